-- A member's invite: an email with a link, a role, and an end. Accepted once, by whoever has confirmed that very email.

create function private.invite_member(p_org_id uuid, p_email text, p_role text, p_days integer, p_actor_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_email text := lower(private.clean_line(p_email));
  v_token uuid := gen_random_uuid();
  v_invite public.member_invites;
begin
  perform private.require_value(coalesce(char_length(v_email) <= 320 and v_email ~ '^[^@\s<>"]+@[^@\s<>"]+\.[^@\s<>"]+$', false), 'email');
  perform private.require_value(exists (select from public.roles as r where r.role = p_role and r.role <> 'support'), 'role');
  perform private.require_value(p_days between 1 and 30, 'days');
  if exists (select from public.org_members as m join auth.users as u on u.id = m.user_id
              where m.org_id = p_org_id and lower(u.email::text) = v_email) then
    perform private.fail(409, 'already_member', 'This person belongs to the organisation already.', 'Change their role instead.');
  end if;
  -- One open invite for each email; sent anew it has a new link, and the old one opens nothing. A double click is one.
  insert into public.member_invites as i (org_id, email, role, token_hash, expires_at, created_by)
  values (p_org_id, v_email, p_role, sha256(convert_to(v_token::text, 'UTF8')), now() + make_interval(days => p_days), p_actor_id)
  on conflict (org_id, email) where accepted_at is null and revoked_at is null do update
     set role = excluded.role, token_hash = excluded.token_hash, expires_at = excluded.expires_at, created_by = excluded.created_by,
         updated_at = clock_timestamp()
   where i.role <> excluded.role or i.updated_at < now() - interval '1 minute'
  returning i.* into v_invite;
  if v_invite.id is null then
    select i.* into v_invite
      from public.member_invites as i
     where i.org_id = p_org_id and i.email = v_email and i.accepted_at is null and i.revoked_at is null;
    return jsonb_build_object('invite_id', v_invite.id, 'email', v_invite.email, 'role', v_invite.role, 'expires_at', v_invite.expires_at,
                              'email_queued', false);
  end if;
  if private.app_link('') is not null then
    perform private.queue_message(
      p_org_id, 'email', 'member_invite', null, 'member_invite-' || v_invite.id || '-' || v_token, p_expires_at => v_invite.expires_at,
      p_metadata => jsonb_build_object('link', private.app_link('/join/' || v_token)), p_to_address => v_email, p_created_by => p_actor_id);
  end if;
  return jsonb_build_object('invite_id', v_invite.id, 'email', v_invite.email, 'role', v_invite.role, 'expires_at', v_invite.expires_at,
                            'email_queued', private.app_link('') is not null);
end;
$$;
comment on function private.invite_member is
  'Invites a person by email: {invite_id, email, role, expires_at, email_queued}. Fails: already_member 409, value_not_allowed 422.';

create function private.member_invite_member(p_org_id uuid, p_email text, p_role text, p_days integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'members.write');
  if p_role = 'owner' then
    perform private.require_org(p_org_id, 'owners.write');
  end if;
  perform private.refuse_support_access(p_org_id);
  if not private.is_within_rate('invite_member', p_org_id::text, 50, '1 hour') then
    return private.rate_limited();
  end if;
  return private.invite_member(p_org_id, p_email, p_role, p_days, auth.uid());
end;
$$;
comment on function private.member_invite_member is 'invite_member for a member with members.write; an owner is invited by owners.';

create function private.revoke_invite(p_org_id uuid, p_invite_id uuid)
returns boolean
language sql volatile security definer set search_path = ''
as $$
  with gone as (
    update public.member_invites as i set revoked_at = now(), updated_at = now()
     where i.org_id = p_org_id and i.id = p_invite_id and i.accepted_at is null and i.revoked_at is null
    returning 1),
  unsent as (
    update public.outbox_messages as m set status = 'cancelled', error_code = 'invite_revoked', updated_at = now()
     where m.org_id = p_org_id and m.kind = 'member_invite' and starts_with(m.idempotency_key, 'member_invite-' || p_invite_id)
       and m.status in ('pending', 'queued') and exists (select from gone))
  select exists (select from gone);
$$;
comment on function private.revoke_invite is 'Takes a member''s invite back; false when it was accepted or taken back already.';

create function private.member_revoke_invite(p_invite_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select i.org_id into v_org_id from public.member_invites as i where i.id = p_invite_id and i.org_id = any (private.orgs_with('org.read'));
  if not found then
    perform private.refuse_invite();
  end if;
  perform private.require_org(v_org_id, 'members.write');
  return private.revoke_invite(v_org_id, p_invite_id);
end;
$$;
comment on function private.member_revoke_invite is 'revoke_invite for a member with members.write. Fails: invite_not_found 404, permission_missing 403.';

-- The link is no more than where to look: whoever accepts must have confirmed the email it was sent to.
create function private.person_accept_invite(p_token text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_email text := (select lower(u.email::text) from auth.users as u where u.id = auth.uid() and u.email_confirmed_at is not null);
  v_invite public.member_invites;
  v_member public.org_members;
begin
  if not private.is_within_rate('invite_accept', auth.uid()::text, 30, '10 minutes') then
    return private.rate_limited();
  end if;
  select i.* into v_invite
    from public.member_invites as i where i.token_hash = sha256(convert_to(lower(btrim(p_token)), 'UTF8')) for no key update;
  if not found or v_invite.revoked_at is not null then
    return private.refusal(404, 'invite_not_found', 'There is no such invitation.', 'Ask for a new one.');
  elsif v_invite.email is distinct from v_email then
    return private.refusal(403, 'invite_other_email', 'This invitation is for another email.', 'Sign in with the email it was sent to, once you have confirmed it.');
  elsif v_invite.accepted_at is not null and v_invite.accepted_by is distinct from auth.uid() then
    return private.refusal(410, 'invite_used', 'This invitation has been used.', 'Ask for a new one.');
  elsif v_invite.accepted_at is null and v_invite.expires_at <= now() then
    return private.refusal(410, 'invite_expired', 'This invitation has ended.', 'Ask for a new one.');
  end if;
  if v_invite.accepted_at is null then
    insert into public.org_members (org_id, user_id, role) values (v_invite.org_id, auth.uid(), v_invite.role)
    on conflict (org_id, user_id) do nothing;
    update public.member_invites as i
       set accepted_at = now(), accepted_by = auth.uid(), updated_at = now()
     where i.org_id = v_invite.org_id and i.id = v_invite.id;
  end if;
  select m.* into v_member from public.org_members as m where m.org_id = v_invite.org_id and m.user_id = auth.uid();
  if not found then
    -- Accepted once, and removed since: an old link is no way back.
    return private.refusal(410, 'invite_used', 'This invitation has been used.', 'Ask for a new one.');
  end if;
  return private.outcome('joined', jsonb_build_object('org_id', v_invite.org_id, 'member_id', v_member.id, 'role', v_member.role));
end;
$$;
comment on function private.person_accept_invite is
  'Joins the organisation of an invitation: {outcome: joined, org_id, member_id, role}; again answers the same.';
