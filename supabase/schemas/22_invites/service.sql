-- Invites for operators, and the auth hook.

create function service.create_client_invite(p_client_id uuid, p_days integer default 14)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.create_client_invite(private.client_org(p_client_id), p_client_id, p_days, null);
$$;
comment on function service.create_client_invite is
  'public.create_client_invite for operators. Fails: client_not_found 404, client_linked 409, value_not_allowed 422.';
revoke all on function service.create_client_invite(uuid, integer) from public, anon, authenticated;
grant execute on function service.create_client_invite(uuid, integer) to service_role;

create function service.list_client_invites(p_org_id uuid, p_limit integer default 100)
returns table (invite_id uuid, client_id uuid, client_name text, status text, expires_at timestamptz, redeemed_at timestamptz, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select i.id, i.client_id, c.full_name,
         case when i.redeemed_at is not null then 'redeemed' when i.revoked_at is not null then 'revoked' when i.expires_at <= now() then 'expired'
              else 'open' end, i.expires_at, i.redeemed_at, i.created_at
    from public.client_invites as i
    join public.clients as c on c.org_id = i.org_id and c.id = i.client_id
   where i.org_id = p_org_id
   order by i.created_at desc, i.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_client_invites is
  'An organisation''s client invites, newest first; status is open, redeemed, revoked or expired. The codes are not shown. Fails: org_not_found 404.';
revoke all on function service.list_client_invites(uuid, integer) from public, anon, authenticated;
grant execute on function service.list_client_invites(uuid, integer) to service_role;

create function service.revoke_client_invite(p_invite_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := (select i.org_id from public.client_invites as i where i.id = p_invite_id);
begin
  if v_org_id is null then
    perform private.refuse_invite();
  end if;
  return private.revoke_client_invite(v_org_id, p_invite_id);
end;
$$;
comment on function service.revoke_client_invite is
  'public.revoke_client_invite for operators. Fails: invite_not_found 404.';
revoke all on function service.revoke_client_invite(uuid) from public, anon, authenticated;
grant execute on function service.revoke_client_invite(uuid) to service_role;

create function service.invite_member(p_org_id uuid, p_email text, p_role text, p_days integer default 7)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.invite_member(p_org_id, p_email, p_role, p_days, null);
end;
$$;
comment on function service.invite_member is
  'public.invite_member for operators. Fails: org_not_found 404, already_member 409, value_not_allowed 422.';
revoke all on function service.invite_member(uuid, text, text, integer) from public, anon, authenticated;
grant execute on function service.invite_member(uuid, text, text, integer) to service_role;

create function service.list_invites(p_org_id uuid, p_limit integer default 100)
returns table (invite_id uuid, email text, role text, status text, expires_at timestamptz, accepted_at timestamptz, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select i.id, i.email, i.role,
         case when i.accepted_at is not null then 'accepted' when i.revoked_at is not null then 'revoked' when i.expires_at <= now() then 'expired'
              else 'open' end, i.expires_at, i.accepted_at, i.created_at
    from public.member_invites as i
   where i.org_id = p_org_id
   order by i.created_at desc, i.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_invites is
  'An organisation''s invitations of members, newest first; status is open, accepted, revoked or expired. Fails: org_not_found 404.';
revoke all on function service.list_invites(uuid, integer) from public, anon, authenticated;
grant execute on function service.list_invites(uuid, integer) to service_role;

create function service.revoke_invite(p_invite_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := (select i.org_id from public.member_invites as i where i.id = p_invite_id);
begin
  if v_org_id is null then
    perform private.refuse_invite();
  end if;
  return private.revoke_invite(v_org_id, p_invite_id);
end;
$$;
comment on function service.revoke_invite is
  'public.revoke_invite for operators. Fails: invite_not_found 404.';
revoke all on function service.revoke_invite(uuid) from public, anon, authenticated;
grant execute on function service.revoke_invite(uuid) to service_role;

create function service.set_sign_up_mode(p_mode text)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.set_sign_up_mode(p_mode);
  return p_mode;
end;
$$;
comment on function service.set_sign_up_mode is
  'Says who may sign up: open (anybody), or invite_only (the allow-list and open invitations). Audited. Fails: value_not_allowed 422.';
revoke all on function service.set_sign_up_mode(text) from public, anon, authenticated;
grant execute on function service.set_sign_up_mode(text) to service_role;

create function service.allow_sign_up(p_entry text, p_note text default null)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_entry text := private.allow_entry(p_entry);
begin
  perform private.require_value(coalesce(char_length(p_note), 0) <= 500, 'note');
  insert into private.allow_list (entry, note) values (v_entry, p_note) on conflict (entry) do nothing;
  if not found then
    return false;
  end if;
  perform private.record_audit(null, 'allow_sign_up', 'allow_list', null);
  return true;
end;
$$;
comment on function service.allow_sign_up is
  'Puts an email, or @domain for all of a domain, on the allow-list; false when it was there. Audited. Fails: value_not_allowed 422.';
revoke all on function service.allow_sign_up(text, text) from public, anon, authenticated;
grant execute on function service.allow_sign_up(text, text) to service_role;

create function service.disallow_sign_up(p_entry text)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  delete from private.allow_list as a where a.entry = private.allow_entry(p_entry);
  if not found then
    return false;
  end if;
  perform private.record_audit(null, 'disallow_sign_up', 'allow_list', null);
  return true;
end;
$$;
comment on function service.disallow_sign_up is
  'Takes an entry off the allow-list; false when it was not there. Accounts that exist stay. Audited. Fails: value_not_allowed 422.';
revoke all on function service.disallow_sign_up(text) from public, anon, authenticated;
grant execute on function service.disallow_sign_up(text) to service_role;

create function service.list_allowed_sign_ups(p_search text default null, p_limit integer default 100)
returns table (entry text, note text, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select a.entry, a.note, a.created_at
    from private.allow_list as a
   where p_search is null or position(lower(p_search) in a.entry) > 0
   order by a.entry
   limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.list_allowed_sign_ups is
  'The allow-list by entry, at most p_limit (1 to 1000).';
revoke all on function service.list_allowed_sign_ups(text, integer) from public, anon, authenticated;
grant execute on function service.list_allowed_sign_ups(text, integer) to service_role;

create function service.check_sign_up(p_email text)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('mode', private.sign_up_mode(), 'is_allowed', d.is_allowed, 'reason', d.reason)
    from private.decide_sign_up(p_email, null) as d;
$$;
comment on function service.check_sign_up is
  'Whether somebody with this email could sign up now, and why: {mode, is_allowed, reason}; a client who brings a code may besides.';
revoke all on function service.check_sign_up(text) from public, anon, authenticated;
grant execute on function service.check_sign_up(text) to service_role;

-- Auth asks before it makes an account: {user: {email, user_metadata}}. An answer without error lets it; the trigger on auth.users asks again.
create function service.before_user_created(p_event jsonb)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_decision record := private.decide_sign_up(p_event #>> '{user,email}', p_event #>> '{user,user_metadata,invite_code}');
begin
  if v_decision.is_allowed then
    return '{}';
  end if;
  perform private.record_audit(null, 'sign_up_refused', 'users', null, p_reason => v_decision.reason);
  return jsonb_build_object('error', case v_decision.reason
    when 'brake_on' then jsonb_build_object('http_code', 423, 'message', 'Signing up is stopped at the moment. Try again later.')
    else jsonb_build_object('http_code', 403, 'message', 'Signing up is by invitation. Ask for an invitation to this email.') end);
end;
$$;
comment on function service.before_user_created is
  'The auth hook before an account is made: {} lets it be, {error: {http_code, message}} refuses. Each refusal is audited; what is let through is by the trigger on auth.users.';
revoke all on function service.before_user_created(jsonb) from public, anon, authenticated;
grant execute on function service.before_user_created(jsonb) to service_role;
grant usage on schema service to supabase_auth_admin;
grant execute on function service.before_user_created(jsonb) to supabase_auth_admin;
