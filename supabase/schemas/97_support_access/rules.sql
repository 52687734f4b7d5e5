-- Support access: a person of the platform is a member of an organisation, or in one client's place, for a while and with a reason.
-- Invariant: nobody's token is forged. The person stays who they are, in auth.uid() and in every audit row; orgs_with and my_client_ids
-- let them in until the access ends. As a member they have the role `support`, which lists what it may and nothing else.
-- What is of high risk and needs no permission of its own asks refuse_support_access, or carries tg__refuse_support_access.

create function private.open_support_access(p_org_id uuid)
returns uuid
language sql stable security definer set search_path = ''
as $$
  select s.id from public.support_access as s
   where s.user_id = (select auth.uid()) and s.org_id = p_org_id and s.ended_at is null and s.expires_at > now();
$$;
comment on function private.open_support_access is 'The support access that the signed-in person has in an organisation at this moment; null: none.';

create function private.refuse_support_access(p_org_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if private.open_support_access(p_org_id) is not null then
    perform private.fail(403, 'support_access_limited', 'Support access does not allow this.', 'Ask an owner of the organisation to do it.');
  end if;
end;
$$;
comment on function private.refuse_support_access is 'Refuses what is of high risk to somebody who is there under support access: support_access_limited 403.';

-- Arguments: the columns that must stay as they are; none: the whole write is refused.
create function private.tg__refuse_support_access()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
begin
  if tg_nargs = 0 or exists (select from unnest(tg_argv::text[]) as c (name)
                              where coalesce(v_new -> c.name, 'null') is distinct from coalesce(v_old -> c.name, 'null')) then
    perform private.refuse_support_access((coalesce(v_new, v_old) ->> 'org_id')::uuid);
  end if;
  return coalesce(new, old);
end;
$$;
comment on function private.tg__refuse_support_access is 'Refuses a direct write of high risk under support access: support_access_limited 403.';

create function private.refuse_blocked_org(p_org_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if exists (select from public.orgs as o where o.id = p_org_id and o.blocked_at is not null) then
    perform private.fail(403, 'org_blocked', 'This organisation is blocked.', 'Write to the platform''s support.');
  end if;
end;
$$;
comment on function private.refuse_blocked_org is 'Refuses to change what is a blocked organisation''s: org_blocked 403.';

-- The caller has authorised. The organisation is told: an alert each time, and an email to each owner.
create function private.start_support_access(
  p_org_id uuid, p_user_id uuid, p_client_id uuid, p_reason text, p_minutes integer, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
  v_ends_at timestamptz := p_now + make_interval(mins => p_minutes);
  v_org public.orgs;
begin
  perform private.require_reason(p_reason);
  perform private.require_value(p_minutes between 5 and 480, 'minutes');
  -- The organisation's row is the lock: two starts queue here, and a start and an opt-out.
  select o.* into v_org from public.orgs as o where o.id = p_org_id for no key update;
  if not found then
    perform private.refuse_org();
  elsif not v_org.allows_support then
    perform private.fail(403, 'support_access_declined', 'This organisation does not let support in.', 'Ask an owner to allow it in the settings.');
  elsif p_client_id is not null and not exists (select from public.clients as c where c.org_id = p_org_id and c.id = p_client_id) then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'Check the client.');
  end if;
  perform private.expire_support_access(p_org_id, p_user_id, p_now);
  if exists (select from public.support_access as s where s.org_id = p_org_id and s.user_id = p_user_id and s.ended_at is null) then
    perform private.fail(409, 'support_access_open', 'There is a support access to this organisation already.', 'End it first.');
  elsif exists (select from public.org_members as m where m.org_id = p_org_id and m.user_id = p_user_id)
     or exists (select from public.clients as c where c.org_id = p_org_id and c.auth_user_id = p_user_id) then
    perform private.fail(409, 'already_member', 'Who belongs to an organisation needs no support access to it.', 'Sign in as usual.');
  end if;

  insert into public.support_access (org_id, user_id, client_id, reason, started_at, expires_at)
  values (p_org_id, p_user_id, p_client_id, btrim(p_reason), p_now, v_ends_at)
  returning id into v_id;
  if p_client_id is null then
    insert into public.org_members (org_id, user_id, role, ends_at) values (p_org_id, p_user_id, 'support', v_ends_at);
    insert into public.profiles as p (id, active_org_id) values (p_user_id, p_org_id)
    on conflict (id) do update set active_org_id = excluded.active_org_id;
  end if;

  insert into public.alerts (org_id, kind, client_id) values (p_org_id, 'support_access_started', p_client_id);
  perform private.queue_message(
            p_org_id, 'email', 'support_access', null, 'support_access-' || v_id || '-' || m.user_id,
            p_to_address => u.email::text, p_subject => 'Support has access to ' || v_org.name,
            -- Its words are given: no template of the organisation''s can hide them.
            p_body => format('The platform''s support has access to %s until %s, for this reason: %s. You can end it at any time in your settings.',
                             v_org.name, private.org_datetime_text(p_org_id, v_ends_at), btrim(p_reason)),
            p_metadata => jsonb_build_object('support_access_id', v_id), p_now => p_now)
     from public.org_members as m join auth.users as u on u.id = m.user_id
    where m.org_id = p_org_id and m.role = 'owner' and u.email is not null;
  return v_id;
end;
$$;
comment on function private.start_support_access is
  'Lets a person of the platform in, for minutes (5 to 480); returns the access''s id. Fails: org_not_found 404, client_not_found 404, support_access_declined 403, support_access_open 409, already_member 409, reason_missing 422, value_not_allowed 422.';

create function private.end_support_access(p_org_id uuid, p_id uuid, p_now timestamptz default now())
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user_id uuid;
begin
  update public.support_access as s
     set ended_at = least(p_now, s.expires_at), ended_by = case when s.expires_at > p_now then auth.uid() end
   where s.org_id = p_org_id and s.id = p_id and s.ended_at is null
  returning s.user_id into v_user_id;
  if v_user_id is null then
    return false;
  end if;
  delete from public.org_members as m where m.org_id = p_org_id and m.user_id = v_user_id and m.role = 'support';
  return true;
end;
$$;
comment on function private.end_support_access is 'Ends an access at once; false when it had ended. The caller has authorised.';

create function private.expire_support_access(p_org_id uuid, p_user_id uuid, p_now timestamptz)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.end_support_access(s.org_id, s.id, p_now)
    from public.support_access as s
   where s.org_id = p_org_id and s.user_id = p_user_id and s.ended_at is null and s.expires_at <= p_now;
$$;
comment on function private.expire_support_access is 'Puts away a person''s access to an organisation that has run out.';

create function private.end_support_of(p_user_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select count(private.end_support_access(s.org_id, s.id))::integer
    from public.support_access as s where s.user_id = p_user_id and s.ended_at is null;
$$;
comment on function private.end_support_of is 'Ends every access of a person, who runs the platform no more.';

create function private.refuse_support_access_id()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'support_access_not_found', 'There is no such support access.', 'Reload the page.');
$$;
comment on function private.refuse_support_access_id is 'Refuses an unknown support access, or one that is none of the caller''s: support_access_not_found 404.';

-- Whoever is concerned: the person themselves, an owner or manager of the organisation, a platform admin who may start one.
create function private.person_end_support_access(p_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_access public.support_access;
begin
  select s.* into v_access from public.support_access as s
   where s.id = p_id
     and (s.user_id = (select auth.uid()) or s.org_id = any (private.orgs_with('audit.read')) or private.may_operate('support.start'))
     for no key update;
  if not found then
    perform private.refuse_support_access_id();
  elsif v_access.user_id <> auth.uid() and private.open_support_access(v_access.org_id) is not null and not private.may_operate('support.start') then
    perform private.refuse_support_access(v_access.org_id);
  end if;
  if v_access.ended_at is not null or v_access.expires_at <= now() then
    return false;
  end if;
  -- Before it ends: the row says under which access it was done.
  perform private.record_audit(v_access.org_id, 'end_support', 'support_access', p_id);
  return private.end_support_access(v_access.org_id, p_id);
end;
$$;
comment on function private.person_end_support_access is 'end_support_access for those whom it concerns; to end one that has ended changes nothing.';
