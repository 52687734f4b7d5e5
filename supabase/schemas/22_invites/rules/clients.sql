-- A client's invite: a code that whoever holds it redeems once, and so signs in as the client. Guesses are counted, so what is not
-- found is returned, not raised (private.refusal).

create function private.create_client_invite(p_org_id uuid, p_client_id uuid, p_days integer, p_actor_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_client public.clients;
  v_invite public.client_invites;
begin
  perform private.require_value(p_days between 1 and 90, 'days');
  -- The client's row is the lock: two coaches who invite at once hand out one code.
  select c.* into v_client from public.clients as c where c.org_id = p_org_id and c.id = p_client_id for no key update;
  if not found then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
  elsif v_client.auth_user_id is not null then
    perform private.fail(409, 'client_linked', 'This client signs in already.', 'There is nothing to invite them to.');
  end if;
  select i.* into v_invite
    from public.client_invites as i
   where i.org_id = p_org_id and i.client_id = p_client_id and i.redeemed_at is null and i.revoked_at is null and i.expires_at > now()
   order by i.expires_at desc limit 1;
  if not found then
    loop
      v_invite.invite_code := private.random_code(10);
      exit when not exists (select from public.client_invites as i where i.invite_code = v_invite.invite_code);
    end loop;
    insert into public.client_invites (org_id, client_id, invite_code, expires_at, created_by)
    values (p_org_id, p_client_id, v_invite.invite_code, now() + make_interval(days => p_days), p_actor_id)
    returning * into v_invite;
  end if;
  return jsonb_build_object('invite_id', v_invite.id, 'invite_code', v_invite.invite_code, 'expires_at', v_invite.expires_at);
end;
$$;
comment on function private.create_client_invite is
  'The open invite of a client, or a new one for so many days (1 to 90): {invite_id, invite_code, expires_at}. Fails: client_not_found 404, client_linked 409, value_not_allowed 422.';

create function private.member_create_client_invite(p_client_id uuid, p_days integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'clients.write');
begin
  perform private.refuse_support_access(v_org_id);
  return private.create_client_invite(v_org_id, p_client_id, p_days, auth.uid());
end;
$$;
comment on function private.member_create_client_invite is 'create_client_invite for a member with clients.write.';

create function private.refuse_invite()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'invite_not_found', 'There is no such invitation.', 'Check the code, or ask for a new one.');
$$;
comment on function private.refuse_invite is 'Refuses an unknown invitation, or another tenant''s: invite_not_found 404.';

create function private.revoke_client_invite(p_org_id uuid, p_invite_id uuid)
returns boolean
language sql volatile security definer set search_path = ''
as $$
  with gone as (
    update public.client_invites as i set revoked_at = now()
     where i.org_id = p_org_id and i.id = p_invite_id and i.redeemed_at is null and i.revoked_at is null
    returning 1)
  select exists (select from gone);
$$;
comment on function private.revoke_client_invite is 'Takes an invite back; false when it was used or taken back already.';

create function private.member_revoke_client_invite(p_invite_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select i.org_id into v_org_id from public.client_invites as i where i.id = p_invite_id and i.org_id = any (private.orgs_with('org.read'));
  if not found then
    perform private.refuse_invite();
  end if;
  perform private.require_org(v_org_id, 'clients.write');
  return private.revoke_client_invite(v_org_id, p_invite_id);
end;
$$;
comment on function private.member_revoke_client_invite is 'revoke_client_invite for a member with clients.write. Fails: invite_not_found 404, permission_missing 403.';

-- Whose invite a code is, or the refusal to answer. People mistype: case and spaces do not matter.
create function private.invite_by_code(p_code text, p_bucket text, out invite public.client_invites, out refusal jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_who text := coalesce(auth.uid()::text, private.caller_address());
begin
  if not private.is_within_rate(p_bucket, v_who, 30, '10 minutes') then
    refusal := private.rate_limited();
    return;
  end if;
  select i.* into invite
    from public.client_invites as i
   where i.invite_code in (upper(regexp_replace(p_code, '[\s-]', '', 'g')), btrim(p_code)) and i.revoked_at is null
   order by i.redeemed_at nulls first limit 1;
  if invite.id is null then
    refusal := private.refusal(404, 'invite_not_found', 'There is no such invitation.', 'Check the code, or ask for a new one.');
  elsif invite.redeemed_at is null and invite.expires_at <= now() then
    refusal := private.refusal(410, 'invite_expired', 'This invitation has ended.', 'Ask for a new one.');
  elsif invite.redeemed_at is not null and invite.redeemed_by is distinct from auth.uid() then
    refusal := private.refusal(410, 'invite_used', 'This invitation has been used.', 'Ask for a new one.');
  end if;
end;
$$;
comment on function private.invite_by_code is
  'The invite of a code, or the refusal to answer: invite_not_found 404, invite_expired 410, invite_used 410, rate_limited 429.';

create function private.client_invite(p_code text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_found record := private.invite_by_code(p_code, 'invite_look');
begin
  return coalesce(v_found.refusal, (
    select jsonb_build_object('first_name', split_part(c.full_name, ' ', 1), 'org_name', o.name, 'expires_at', (v_found.invite).expires_at)
      from public.clients as c
      join public.orgs as o on o.id = c.org_id
     where c.org_id = (v_found.invite).org_id and c.id = (v_found.invite).client_id));
end;
$$;
comment on function private.client_invite is 'What the app shows of an invite before its holder signs up.';

-- Lock order: invite, then client.
create function private.person_redeem_client_invite(p_code text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_found record := private.invite_by_code(p_code, 'invite_redeem');
  v_invite public.client_invites := v_found.invite;
  v_client public.clients;
begin
  if v_found.refusal is not null then
    return v_found.refusal;
  end if;
  -- Of two people with one code the second waits here, and reads again what the first has left.
  select i.* into v_invite from public.client_invites as i where i.org_id = v_invite.org_id and i.id = v_invite.id for no key update;
  if v_invite.revoked_at is not null then
    return private.refusal(404, 'invite_not_found', 'There is no such invitation.', 'Check the code, or ask for a new one.');
  elsif v_invite.redeemed_at is not null and v_invite.redeemed_by is distinct from auth.uid() then
    return private.refusal(410, 'invite_used', 'This invitation has been used.', 'Ask for a new one.');
  end if;
  if v_invite.redeemed_at is null then
    select c.* into v_client from public.clients as c where c.org_id = v_invite.org_id and c.id = v_invite.client_id for no key update;
    if v_client.auth_user_id is not null and v_client.auth_user_id <> auth.uid() then
      return private.refusal(409, 'client_linked', 'Somebody signs in as this client already.', 'Ask your coach.');
    end if;
    update public.clients as c set auth_user_id = auth.uid() where c.org_id = v_invite.org_id and c.id = v_invite.client_id;
    update public.client_invites as i
       set redeemed_at = now(), redeemed_by = auth.uid()
     where i.org_id = v_invite.org_id and i.id = v_invite.id
    returning i.* into v_invite;
    insert into public.profiles (id, full_name) values (auth.uid(), v_client.full_name) on conflict (id) do nothing;
  end if;
  return private.outcome('redeemed', jsonb_build_object(
    'invite_id', v_invite.id, 'client_id', v_invite.client_id, 'org_id', v_invite.org_id, 'redeemed_at', v_invite.redeemed_at));
end;
$$;
comment on function private.person_redeem_client_invite is
  'Makes the signed-in person the client of a code: {outcome: redeemed, invite_id, client_id, org_id, redeemed_at}; again answers the same.';
