-- What operators do, each through private.act: who may, why, and exactly one audit row, also of a refusal (which is therefore returned).
-- A rule is private.act_<action>(p_args): it trusts its caller, and answers with what to tell and what to audit.
-- An action on an organisation is in that organisation's log, where its owner reads it; a refusal is in the platform's.

create type private.acted as (answer jsonb, org_id uuid, subject_id uuid, before jsonb, after jsonb);
comment on type private.acted is 'What an operator''s action came to: what to answer, whose log it belongs in (null: the platform''s), what it was done to, and the values before and after.';

-- system.* is never implied: neither star means it.
create function private.may_operate(p_permission text)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (
    select from public.platform_admins as a
     where a.user_id = (select auth.uid())
       and (p_permission = any (a.permissions)
            or p_permission not like 'system.%' and array['*', split_part(p_permission, '.', 1) || '.*'] && a.permissions));
$$;
comment on function private.may_operate is 'True when the signed-in person has this permission on the platform.';

create function private.act(p_action text, p_args jsonb, p_is_trusted boolean)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_action private.admin_actions;
  v_acted private.acted;
  v_state text;
  v_slug text;
  v_message text;
  v_hint text;
begin
  select a.* into v_action from private.admin_actions as a where a.action = p_action;
  perform private.require_value(found, 'action');
  begin
    if not p_is_trusted and not private.may_operate(v_action.permission) then
      perform private.fail(403, 'platform_permission_missing', 'Your rights on the platform do not include this.', 'Ask who manages the platform''s admins.');
    elsif v_action.needs_reason then
      perform private.require_reason(p_args ->> 'reason');
    end if;
    perform set_config('coach.acts', 'on', true);
    execute format('select * from private.%I($1)', 'act_' || p_action) into v_acted using p_args;
    perform set_config('coach.acts', 'off', true);
  exception when others then
    get stacked diagnostics v_state = returned_sqlstate, v_slug = pg_exception_detail, v_message = message_text, v_hint = pg_exception_hint;
    -- Ours alone: what we did not foresee stays an error.
    if v_state !~ '^PT4..$' then
      raise;
    end if;
    perform private.write_audit(
      null, p_action, v_action.subject_type,
      coalesce(p_args ->> 'client_id', p_args ->> 'message_id', p_args ->> 'access_id', p_args ->> 'org_id')::uuid,
      '{}', null, null, p_args ->> 'reason', v_slug);
    return private.caught_refusal(v_state, v_message, v_slug, v_hint);
  end;
  perform private.write_audit(
    v_acted.org_id, p_action, v_action.subject_type, v_acted.subject_id,
    coalesce((select array_agg(k.name order by k.name)
                from (select jsonb_object_keys(v_acted.before) union select jsonb_object_keys(v_acted.after)) as k (name)
               where v_acted.before -> k.name is distinct from v_acted.after -> k.name), '{}'),
    v_acted.before, v_acted.after, p_args ->> 'reason', null);
  return v_acted.answer;
end;
$$;
comment on function private.act is
  'Does one of private.admin_actions with its arguments and writes its one audit row; a refusal is returned, not raised. p_is_trusted: an operator at the command line, who needs no permission.';

create function private.caught_refusal(p_sqlstate text, p_message text, p_slug text, p_hint text)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform set_config('response.status', right(p_sqlstate, 3), true);
  return jsonb_build_object('code', p_sqlstate, 'message', p_message, 'details', p_slug, 'hint', p_hint);
end;
$$;
comment on function private.caught_refusal is 'What was raised, as an answer in the form of private.refusal.';

create function private.admin_act(p_action text, p_args jsonb)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.act(p_action, p_args, false);
$$;
comment on function private.admin_act is 'act for a signed-in platform admin with the action''s permission.';

-- Blocking.

create function private.act_block_org(p_args jsonb)
returns private.acted
language sql volatile security definer set search_path = ''
as $$
  select private.set_blocked('orgs', (p_args ->> 'org_id')::uuid, true);
$$;
comment on function private.act_block_org is 'Blocks an organisation: {org_id}. Its members read and change nothing, its clients and visitors are let in nowhere, nothing leaves.';

create function private.act_unblock_org(p_args jsonb)
returns private.acted
language sql volatile security definer set search_path = ''
as $$
  select private.set_blocked('orgs', (p_args ->> 'org_id')::uuid, false);
$$;
comment on function private.act_unblock_org is 'Unblocks an organisation: {org_id}.';

create function private.act_block_client(p_args jsonb)
returns private.acted
language sql volatile security definer set search_path = ''
as $$
  select private.set_blocked('clients', (p_args ->> 'client_id')::uuid, true);
$$;
comment on function private.act_block_client is 'Blocks a client: {client_id}. They are let in nowhere: not signed in, not by their link, not on the public page.';

create function private.act_unblock_client(p_args jsonb)
returns private.acted
language sql volatile security definer set search_path = ''
as $$
  select private.set_blocked('clients', (p_args ->> 'client_id')::uuid, false);
$$;
comment on function private.act_unblock_client is 'Unblocks a client: {client_id}.';

create function private.set_blocked(p_table text, p_id uuid, p_is_blocked boolean)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_before timestamptz;
  v_after timestamptz;
begin
  if p_table = 'orgs' then
    select o.id, o.blocked_at into v_acted.org_id, v_before from public.orgs as o where o.id = p_id for no key update;
    if not found then
      perform private.refuse_org();
    end if;
    update public.orgs as o set blocked_at = case when p_is_blocked then coalesce(o.blocked_at, now()) end
     where o.id = p_id returning o.blocked_at into v_after;
  else
    select c.org_id, c.blocked_at into v_acted.org_id, v_before from public.clients as c where c.id = p_id for no key update;
    if not found then
      perform private.refuse_client();
    end if;
    update public.clients as c set blocked_at = case when p_is_blocked then coalesce(c.blocked_at, now()) end
     where c.org_id = v_acted.org_id and c.id = p_id returning c.blocked_at into v_after;
  end if;
  v_acted.subject_id := p_id;
  v_acted.before := jsonb_build_object('blocked_at', v_before);
  v_acted.after := jsonb_build_object('blocked_at', v_after);
  v_acted.answer := jsonb_build_object('id', p_id, 'blocked_at', v_after, 'is_changed', v_before is distinct from v_after);
  return v_acted;
end;
$$;
comment on function private.set_blocked is 'Blocks or unblocks a row of orgs or clients: {id, blocked_at, is_changed}. Fails: org_not_found 404, client_not_found 404.';

-- Onboarding.

create function private.act_reset_org_onboarding(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  select o.id, o.id, jsonb_build_object('onboarding_completed', o.onboarding_completed)
    into v_acted.org_id, v_acted.subject_id, v_acted.before
    from public.orgs as o where o.id = (p_args ->> 'org_id')::uuid for no key update;
  if not found then
    perform private.refuse_org();
  end if;
  update public.orgs as o set onboarding_completed = false where o.id = v_acted.org_id;
  v_acted.after := '{"onboarding_completed": false}';
  v_acted.answer := jsonb_build_object('id', v_acted.org_id, 'onboarding_completed', false);
  return v_acted;
end;
$$;
comment on function private.act_reset_org_onboarding is 'Lets an organisation go through its onboarding again: {org_id}.';

-- The link they had opens nothing any more: the coach sends a new one.
create function private.act_reset_client_onboarding(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  select c.org_id, c.id, jsonb_build_object('onboarding_completed_at', c.onboarding_completed_at)
    into v_acted.org_id, v_acted.subject_id, v_acted.before
    from public.clients as c where c.id = (p_args ->> 'client_id')::uuid for no key update;
  if not found then
    perform private.refuse_client();
  end if;
  update public.clients as c
     set onboarding_completed_at = null, onboarding_sent_at = null, onboarding_token = null
   where c.org_id = v_acted.org_id and c.id = v_acted.subject_id;
  v_acted.after := '{"onboarding_completed_at": null}';
  v_acted.answer := jsonb_build_object('id', v_acted.subject_id, 'org_id', v_acted.org_id, 'onboarding_completed_at', null);
  return v_acted;
end;
$$;
comment on function private.act_reset_client_onboarding is 'Lets a client be onboarded again: {client_id}; the open link is closed.';

-- Messages.

create function private.act_resend_message(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_new_id uuid := private.retry_message((p_args ->> 'message_id')::uuid);
begin
  v_acted.subject_id := (p_args ->> 'message_id')::uuid;
  select m.org_id into v_acted.org_id from public.outbox_messages as m where m.id = v_new_id;
  v_acted.answer := jsonb_build_object('id', v_acted.subject_id, 'org_id', v_acted.org_id, 'message_id', v_new_id);
  return v_acted;
end;
$$;
comment on function private.act_resend_message is 'Sends a message again that did not arrive or may not have, as a new one: {message_id}.';

-- What failed, once more: where doing it twice does nothing twice.
create function private.act_retry_work(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  perform private.require_value(coalesce(p_args ->> 'kind' in ('message', 'stripe_event'), false), 'kind');
  if p_args ->> 'kind' = 'message' then
    return private.act_resend_message(jsonb_build_object('message_id', p_args -> 'id'));
  end if;
  v_acted.answer := service.replay_stripe_event(p_args ->> 'id');
  select e.org_id into v_acted.org_id from private.stripe_events as e where e.id = p_args ->> 'id';
  return v_acted;
end;
$$;
comment on function private.act_retry_work is 'Does once more what failed: {kind: message | stripe_event, id}.';

-- Support access.

create function private.act_start_support(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_access public.support_access;
begin
  v_acted.org_id := (p_args ->> 'org_id')::uuid;
  v_acted.subject_id := private.start_support_access(
    v_acted.org_id, case when p_args ? 'email' then private.admin_by_email(p_args ->> 'email') else auth.uid() end,
    (p_args ->> 'client_id')::uuid, p_args ->> 'reason', coalesce((p_args ->> 'minutes')::integer, 60));
  select s.* into v_access from public.support_access as s where s.org_id = v_acted.org_id and s.id = v_acted.subject_id;
  v_acted.after := jsonb_build_object('client_id', v_access.client_id, 'expires_at', v_access.expires_at);
  v_acted.answer := jsonb_build_object('id', v_access.id, 'org_id', v_access.org_id, 'client_id', v_access.client_id, 'expires_at', v_access.expires_at);
  return v_acted;
end;
$$;
comment on function private.act_start_support is
  'Lets a person of the platform into an organisation, or one client''s place: {org_id, client_id, minutes (5 to 480, else 60), email (the command line''s: whom)}.';

create function private.act_end_support(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_access public.support_access;
begin
  select s.* into v_access from public.support_access as s where s.id = (p_args ->> 'access_id')::uuid for no key update;
  if not found then
    perform private.refuse_support_access_id();
  end if;
  v_acted.org_id := v_access.org_id;
  v_acted.subject_id := v_access.id;
  v_acted.answer := jsonb_build_object('id', v_access.id, 'org_id', v_access.org_id,
                                       'is_changed', private.end_support_access(v_access.org_id, v_access.id));
  return v_acted;
end;
$$;
comment on function private.act_end_support is 'Ends a support access at once: {access_id}.';

create function private.act_list_support(p_args jsonb)
returns private.acted
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  select coalesce(jsonb_agg(to_jsonb(x) order by x.started_at desc), '[]') into v_acted.answer
    from (select s.id, s.org_id, o.slug, s.user_id, a.email, s.client_id, s.reason, s.started_at, s.expires_at, s.ended_at,
                 s.ended_at is null and s.expires_at > now() as is_open
            from public.support_access as s
            join public.orgs as o on o.id = s.org_id
            left join public.platform_admins as a on a.user_id = s.user_id
           where coalesce(s.org_id = (p_args ->> 'org_id')::uuid, true)
             and (coalesce((p_args ->> 'all')::boolean, false) or s.ended_at is null and s.expires_at > now())
           order by s.started_at desc
           limit private.page_size(p_args)) as x;
  return v_acted;
end;
$$;
comment on function private.act_list_support is 'The support accesses that are open, or all: {org_id, all, limit}.';

create function private.page_size(p_args jsonb)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select least(greatest(coalesce((p_args ->> 'limit')::integer, 100), 1), 1000);
$$;
comment on function private.page_size is 'The limit among an action''s arguments, 1 to 1000, else 100.';

-- Brakes.

create function private.act_pull_brake(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.set_brake(p_args ->> 'kind', (p_args ->> 'org_id')::uuid, p_args ->> 'reason', p_args ->> 'banner', true);
end;
$$;
comment on function private.act_pull_brake is 'Stops a kind of work: {kind, org_id (none: for everybody), banner}; see private.is_braked.';

create function private.act_release_brake(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.set_brake(p_args ->> 'kind', (p_args ->> 'org_id')::uuid, p_args ->> 'reason', null, false);
end;
$$;
comment on function private.act_release_brake is 'Lets a kind of work go on: {kind, org_id}.';

create function private.act_list_brakes(p_args jsonb)
returns private.acted
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  select coalesce(jsonb_agg(to_jsonb(x) order by x.pulled_at, x.kind), '[]') into v_acted.answer
    from (select b.kind, b.org_id, o.slug, b.reason, b.banner, b.pulled_by, b.pulled_at
            from private.brakes as b left join public.orgs as o on o.id = b.org_id) as x;
  return v_acted;
end;
$$;
comment on function private.act_list_brakes is 'The brakes that are on, oldest first; without an organisation: for everybody.';

-- Who runs the platform.

create function private.admin_by_email(p_email text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_user_id uuid := (select a.user_id from public.platform_admins as a where a.user_id = private.user_by_email(p_email));
begin
  if v_user_id is null then
    perform private.fail(404, 'platform_admin_not_found', 'This person does not run the platform.', 'Make them a platform admin first.');
  end if;
  return v_user_id;
end;
$$;
comment on function private.admin_by_email is 'The platform admin with this email. Fails: user_not_found 404, platform_admin_not_found 404.';

create function private.act_list_admins(p_args jsonb)
returns private.acted
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  select coalesce(jsonb_agg(jsonb_build_object('user_id', a.user_id, 'email', a.email, 'permissions', a.permissions, 'created_at', a.created_at)
                            order by a.created_at, a.id), '[]') into v_acted.answer
    from public.platform_admins as a;
  return v_acted;
end;
$$;
comment on function private.act_list_admins is 'Who runs the platform, and what each may do.';

create function private.act_set_admin(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_user_id uuid := private.user_by_email(p_args ->> 'email');
  v_permissions text[] := array(select jsonb_array_elements_text(p_args -> 'permissions'));
begin
  perform pg_catalog.pg_advisory_xact_lock(15, 0);
  if exists (select from unnest(v_permissions) as p (permission) where p.permission <> all (private.platform_permissions())) then
    perform private.fail(422, 'platform_permission_unknown', 'There is no such right on the platform.',
                         format('Choose of: %s.', array_to_string(private.platform_permissions(), ', ')));
  end if;
  select jsonb_build_object('permissions', a.permissions) into v_acted.before from public.platform_admins as a where a.user_id = v_user_id;
  insert into public.platform_admins as a (user_id, email, permissions)
  select u.id, u.email::text, v_permissions from auth.users as u where u.id = v_user_id
  on conflict (user_id) do update set permissions = excluded.permissions
  returning a.user_id into v_acted.subject_id;
  perform private.require_admin_left();
  v_acted.after := jsonb_build_object('permissions', v_permissions);
  v_acted.answer := jsonb_build_object('user_id', v_user_id, 'permissions', v_permissions);
  return v_acted;
end;
$$;
comment on function private.act_set_admin is
  'Makes somebody who has signed up a platform admin, or changes what they may do: {email, permissions}. Fails: user_not_found 404, platform_permission_unknown 422, last_admin 409.';

create function private.act_remove_admin(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  perform pg_catalog.pg_advisory_xact_lock(15, 0);
  v_acted.subject_id := private.admin_by_email(p_args ->> 'email');
  delete from public.platform_admins as a where a.user_id = v_acted.subject_id
  returning jsonb_build_object('permissions', a.permissions) into v_acted.before;
  perform private.require_admin_left();
  v_acted.answer := jsonb_build_object('user_id', v_acted.subject_id, 'support_ended', private.end_support_of(v_acted.subject_id));
  return v_acted;
end;
$$;
comment on function private.act_remove_admin is
  'Takes the platform from somebody, and ends their support accesses: {email}. Fails: platform_admin_not_found 404, last_admin 409.';

create function private.platform_permissions()
returns text[]
language sql immutable security invoker set search_path = ''
as $$
  select '{*,orgs.*,clients.*,orgs.read,orgs.write,orgs.block,orgs.onboard,clients.read,clients.block,clients.onboard,messages.resend,work.retry,support.start,audit.read,pulse.read,billing.grant,system.brakes,system.admins}'::text[];
$$;
comment on function private.platform_permissions is 'What a platform admin may be given.';

-- The command line makes the first, and can always make another; nobody locks the others out of the console.
create function private.require_admin_left()
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if auth.uid() is not null and not exists (select from public.platform_admins as a where 'system.admins' = any (a.permissions)) then
    perform private.fail(409, 'last_admin', 'Somebody must be left who manages the platform''s admins.', 'Give system.admins to another one first.');
  end if;
end;
$$;
comment on function private.require_admin_left is 'Refuses to leave the console without anybody who manages its admins: last_admin 409.';

-- The logs.

create function private.act_list_audit(p_args jsonb)
returns private.acted
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_before timestamptz := coalesce((p_args ->> 'before')::timestamptz, 'infinity');
  v_action text := p_args ->> 'action';
  v_actor uuid := (p_args ->> 'actor_id')::uuid;
  v_org_id uuid := (p_args ->> 'org_id')::uuid;
  v_limit integer := private.page_size(p_args);
begin
  select coalesce(jsonb_agg(to_jsonb(x) order by x.happened_at desc), '[]') into v_acted.answer
    from (select * from (
            (select a.happened_at, a.org_id, a.id, a.actor_id, a.actor_role, a.support_access_id, a.action, a.subject_type, a.subject_id,
                    a.changed_columns, a.before, a.after, a.reason, a.refused, a.request_id
               from public.audit_log as a
              where a.happened_at < v_before and (v_org_id is null or a.org_id = v_org_id) and (v_action is null or a.action = v_action)
                and (v_actor is null or a.actor_id = v_actor)
              order by a.happened_at desc limit v_limit)
            union all
            (select p.happened_at, null, p.id, p.actor_id, p.actor_role, null, p.action, p.subject_type, p.subject_id,
                    p.changed_columns, p.before, p.after, p.reason, p.refused, p.request_id
               from private.platform_audit_log as p
              where v_org_id is null and p.happened_at < v_before and (v_action is null or p.action = v_action)
                and (v_actor is null or p.actor_id = v_actor)
              order by p.happened_at desc limit v_limit)) as both_logs
           order by happened_at desc limit v_limit) as x;
  return v_acted;
end;
$$;
comment on function private.act_list_audit is
  'The audit logs, newest first: {org_id (none: all, and the platform''s), action, actor_id, before, limit (1 to 1000, else 100)}.';
