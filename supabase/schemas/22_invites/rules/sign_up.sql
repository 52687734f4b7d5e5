-- Who may have an account. Asked wherever one is born: by the trigger on auth.users, which nothing gets round, and before it by the auth
-- hook, which answers in words and leaves its evidence. Each birth is audited by the trigger, each refusal by the hook: what the trigger
-- refuses is rolled back with its evidence, so it says so in the server's log.

create function private.sign_up_mode()
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((select s.value from private.platform_settings as s where s.name = 'sign_up_mode'), 'open');
$$;
comment on function private.sign_up_mode is 'open: anybody signs up; invite_only: whom the allow-list or an open invitation names.';

-- A client's code comes along in the sign-up's data: it is proven here, not believed.
create function private.decide_sign_up(p_email text, p_invite_code text, out is_allowed boolean, out reason text)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_email text := lower(btrim(p_email));
begin
  reason := case
    when private.is_braked('sign_up') then 'brake_on'
    when private.sign_up_mode() = 'open' then 'open'
    when exists (select from private.allow_list as a where a.entry in (v_email, '@' || split_part(v_email, '@', -1))) then 'listed'
    when exists (select from public.member_invites as i
                  where i.email = v_email and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()) then 'member_invite'
    when exists (select from public.client_invites as i
                   join public.clients as c on c.org_id = i.org_id and c.id = i.client_id
                  where i.redeemed_at is null and i.revoked_at is null and i.expires_at > now()
                    and (i.invite_code = upper(regexp_replace(p_invite_code, '[\s-]', '', 'g')) or lower(c.email) = v_email)) then 'client_invite'
    else 'not_invited' end;
  is_allowed := reason not in ('brake_on', 'not_invited');
end;
$$;
comment on function private.decide_sign_up is
  'Whether somebody may have an account, and why: {is_allowed, reason: open | listed | member_invite | client_invite, or brake_on | not_invited}.';

create function private.tg_users__decide_sign_up()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_decision record := private.decide_sign_up(new.email::text, new.raw_user_meta_data ->> 'invite_code');
begin
  if not v_decision.is_allowed then
    raise log 'sign_up_refused: %', v_decision.reason;
    if v_decision.reason = 'brake_on' then
      perform private.fail(423, 'brake_on', 'Signing up is stopped at the moment.', 'Try again later.');
    end if;
    perform private.fail(403, 'sign_up_not_invited', 'Signing up is by invitation.', 'Ask for an invitation to this email.');
  end if;
  perform private.record_audit(null, 'sign_up_allowed', 'users', new.id, p_reason => v_decision.reason);
  return new;
end;
$$;
comment on function private.tg_users__decide_sign_up is 'Lets an account be born, and audits it: sign_up_not_invited 403, brake_on 423.';
create trigger users__decide_sign_up before insert on auth.users
  for each row execute function private.tg_users__decide_sign_up();

create function private.set_sign_up_mode(p_mode text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_mode in ('open', 'invite_only'), 'mode');
  insert into private.platform_settings (name, value) values ('sign_up_mode', p_mode) on conflict (name) do update set value = excluded.value;
  perform private.record_audit(null, 'set_sign_up_mode', 'platform_settings', null, p_reason => p_mode);
end;
$$;
comment on function private.set_sign_up_mode is 'Says who may sign up: open, or invite_only.';

create function private.allow_entry(p_entry text)
returns text
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_entry text := lower(btrim(p_entry));
begin
  perform private.require_value(coalesce(char_length(v_entry) between 3 and 320 and v_entry ~ '^[^@[:space:]]*@[^@[:space:]]+$', false), 'entry');
  return v_entry;
end;
$$;
comment on function private.allow_entry is 'An email, or @domain, as the allow-list keeps it. Fails: value_not_allowed 422.';
