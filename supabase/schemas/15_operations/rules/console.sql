-- What an operator sees: who and what a word finds, and the whole state of one organisation or client. Read in one call each, and audited
-- like every other action: these are other people's data. Messages are shown without their words.

create function private.act_search(p_args jsonb)
returns private.acted
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_query text := lower(btrim(p_args ->> 'query'));
  v_id uuid := case when v_query ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then v_query::uuid end;
begin
  perform private.require_value(char_length(v_query) between 2 and 200, 'query');
  select coalesce(jsonb_agg(to_jsonb(f)), '[]') into v_acted.answer
    from (
      (select 'org' as kind, o.id as org_id, o.id, o.name as label, o.slug as detail, o.blocked_at
         from public.orgs as o where o.id = v_id or v_id is null and position(v_query in lower(o.name || ' ' || o.slug)) > 0
        order by o.created_at desc limit 20)
      union all
      (select 'member', m.org_id, m.user_id, coalesce(p.full_name, u.email::text), m.role, null
         from auth.users as u join public.org_members as m on m.user_id = u.id left join public.profiles as p on p.id = u.id
        where u.id = v_id or v_id is null and position(v_query in lower(concat_ws(' ', u.email::text, p.full_name))) > 0
        order by m.created_at desc limit 20)
      union all
      (select 'client', c.org_id, c.id, c.full_name, coalesce(c.email, c.phone), c.blocked_at
         from public.clients as c
        where c.id = v_id or v_id is null and position(v_query in lower(concat_ws(' ', c.full_name, c.email, c.phone, c.phone_e164))) > 0
        order by c.created_at desc limit 20)
      union all
      (select 'booking', b.org_id, b.id, b.status, b.start_time::text, null from public.bookings as b where b.id = v_id)
      union all
      (select 'package', p.org_id, p.id, p.payment_status, p.sessions_remaining || ' of ' || p.sessions_total, null
         from public.client_purchases as p where p.id = v_id)
      union all
      (select 'message', m.org_id, m.id, m.kind, concat_ws(' ', m.channel, m.status, m.error_code), null
         from public.outbox_messages as m where m.id = v_id or m.provider_message_id = btrim(p_args ->> 'query') limit 20)) as f;
  return v_acted;
end;
$$;
comment on function private.act_search is
  'What a word or an id finds in every organisation: {query (2 to 200)} → [{kind (org, member, client, booking, package, message), org_id, id, label, detail, blocked_at}].';

-- What goes wrong lately, by reason.
create function private.message_errors(p_org_id uuid, p_client_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(x) order by x.last_at desc), '[]')
    from (select m.channel, m.status, m.error_code, count(*) as messages, max(m.updated_at) as last_at,
                 (array_agg(m.id order by m.updated_at desc))[1] as last_id
            from public.outbox_messages as m
           where m.org_id = p_org_id and (p_client_id is null or m.client_id = p_client_id) and m.error_code is not null
             and m.created_at > now() - interval '30 days'
           group by m.channel, m.status, m.error_code
           order by 5 desc limit 20) as x;
$$;
comment on function private.message_errors is 'Thirty days'' messages that met an error, by channel, status and reason.';

create function private.act_show_org(p_args jsonb)
returns private.acted
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_org public.orgs;
begin
  select o.* into v_org from public.orgs as o where o.id = (p_args ->> 'org_id')::uuid;
  if not found then
    perform private.refuse_org();
  end if;
  v_acted.org_id := v_org.id;
  v_acted.subject_id := v_org.id;
  v_acted.answer := jsonb_build_object(
    'org', jsonb_build_object('id', v_org.id, 'name', v_org.name, 'slug', v_org.slug, 'created_at', v_org.created_at,
                              'timezone', private.org_timezone(v_org.id), 'commission_rate', v_org.commission_rate,
                              'onboarding_completed', v_org.onboarding_completed, 'allows_support', v_org.allows_support, 'blocked_at', v_org.blocked_at),
    'members', (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from private.team(v_org.id) as t),
    'clients', (select jsonb_build_object('total', count(*), 'blocked', count(*) filter (where c.blocked_at is not null),
                                          'can_sign_in', count(*) filter (where c.auth_user_id is not null))
                  from public.clients as c where c.org_id = v_org.id),
    'bookings', (select coalesce(jsonb_object_agg(x.status, x.bookings), '{}')
                   from (select b.status, count(*) as bookings from public.bookings as b
                          where b.org_id = v_org.id and b.start_time > now() - interval '30 days' group by b.status) as x),
    'messages', (select coalesce(jsonb_object_agg(x.status, x.messages), '{}')
                   from (select m.status, count(*) as messages from public.outbox_messages as m
                          where m.org_id = v_org.id and m.created_at > now() - interval '30 days' group by m.status) as x),
    'message_errors', private.message_errors(v_org.id, null),
    'money', (select coalesce(jsonb_object_agg(x.payment_status, to_jsonb(x) - 'payment_status'), '{}')
                from (select p.payment_status, count(*) as packages, sum(p.amount_paid_cents) as amount_cents from public.client_purchases as p
                       where p.org_id = v_org.id group by p.payment_status) as x),
    'alerts', (select coalesce(jsonb_object_agg(x.kind, x.alerts), '{}')
                 from (select a.kind, count(*) as alerts from public.alerts as a
                        where a.org_id = v_org.id and a.resolved_at is null group by a.kind) as x),
    'jobs', private.last_jobs(),
    'brakes', (select coalesce(jsonb_agg(jsonb_build_object('kind', b.kind, 'is_global', b.org_id is null, 'reason', b.reason, 'pulled_at', b.pulled_at)
                                         order by b.pulled_at), '[]')
                 from private.brakes as b where b.org_id is null or b.org_id = v_org.id),
    'support_access', (select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'user_id', s.user_id, 'client_id', s.client_id, 'expires_at', s.expires_at)), '[]')
                         from public.support_access as s where s.org_id = v_org.id and s.ended_at is null and s.expires_at > now()),
    'audit', (select coalesce(jsonb_agg(to_jsonb(x) order by x.happened_at desc), '[]')
                from (select a.happened_at, a.actor_id, a.actor_role, a.action, a.subject_type, a.subject_id, a.changed_columns, a.reason
                        from public.audit_log as a where a.org_id = v_org.id order by a.happened_at desc limit 20) as x));
  return v_acted;
end;
$$;
comment on function private.act_show_org is
  'One organisation''s whole state: {org_id} → {org, members, clients, bookings and messages of thirty days by status, message_errors, money, alerts, jobs, brakes, support_access, audit}.';

-- The platform's sweeps, each with its last run: what an organisation waits for may be waiting for one of these.
create function private.last_jobs()
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(x) order by x.job), '[]')
    from (select distinct on (j.job) j.job, j.started_at, j.finished_at, j.error from private.job_runs as j
           where j.started_at > now() - interval '7 days' order by j.job, j.started_at desc) as x;
$$;
comment on function private.last_jobs is 'The last run of each sweep within a week: [{job, started_at, finished_at, error}].';

create function private.act_show_client(p_args jsonb)
returns private.acted
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_client public.clients;
begin
  select c.* into v_client from public.clients as c where c.id = (p_args ->> 'client_id')::uuid;
  if not found then
    perform private.refuse_client();
  end if;
  v_acted.org_id := v_client.org_id;
  v_acted.subject_id := v_client.id;
  v_acted.answer := jsonb_build_object(
    'client', jsonb_build_object(
      'id', v_client.id, 'org_id', v_client.org_id, 'full_name', v_client.full_name, 'email', v_client.email, 'phone', v_client.phone,
      'phone_e164', v_client.phone_e164, 'status', v_client.status, 'can_sign_in', v_client.auth_user_id is not null,
      'has_portal_link', v_client.portal_token is not null, 'onboarding_sent_at', v_client.onboarding_sent_at,
      'onboarding_completed_at', v_client.onboarding_completed_at, 'sms_opt_in', v_client.sms_opt_in, 'email_opt_in', v_client.email_opt_in,
      'blocked_at', v_client.blocked_at, 'created_at', v_client.created_at,
      'is_suppressed', exists (select from public.sms_suppression as x where x.org_id = v_client.org_id and x.phone = v_client.phone_e164)),
    'packages', (select coalesce(jsonb_agg(to_jsonb(x) order by x.purchased_at desc), '[]')
                   from (select p.id, p.offer_id, p.payment_status, p.amount_paid_cents, p.currency, p.sessions_total, p.sessions_used,
                                p.sessions_remaining, p.purchased_at, p.expires_at
                           from public.client_purchases as p where p.org_id = v_client.org_id and p.client_id = v_client.id
                          order by p.purchased_at desc limit 50) as x),
    'bookings', (select coalesce(jsonb_agg(to_jsonb(x) order by x.start_time desc), '[]')
                   from (select b.id, b.status, b.settlement, b.start_time, b.end_time, b.staff_id, b.purchase_id, b.booking_source
                           from public.bookings as b where b.org_id = v_client.org_id and b.client_id = v_client.id
                          order by b.start_time desc limit 50) as x),
    'messages', (select coalesce(jsonb_agg(to_jsonb(x) order by x.created_at desc), '[]')
                   from (select m.id, m.channel, m.kind, m.status, m.error_code, m.attempts, m.scheduled_for, m.sent_at, m.created_at
                           from public.outbox_messages as m where m.org_id = v_client.org_id and m.client_id = v_client.id
                          order by m.created_at desc limit 50) as x),
    'message_errors', private.message_errors(v_client.org_id, v_client.id),
    'alerts', (select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'kind', a.kind, 'booking_id', a.booking_id, 'created_at', a.created_at)), '[]')
                 from public.alerts as a where a.org_id = v_client.org_id and a.client_id = v_client.id and a.resolved_at is null));
  return v_acted;
end;
$$;
comment on function private.act_show_client is
  'One client''s whole state: {client_id} → {client, packages, bookings, messages (without their words), message_errors, alerts}.';

-- Who the signed-in person is to this system: for banners, switches and what a page may offer.
create function private.person_whoami()
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'user_id', auth.uid(),
    'active_org_id', (select p.active_org_id from public.profiles as p where p.id = auth.uid()),
    'organisations', (select coalesce(jsonb_agg(jsonb_build_object('org_id', m.org_id, 'name', o.name, 'role', m.role, 'ends_at', m.ends_at, 'blocked_at', o.blocked_at)
                                                order by m.created_at, m.org_id), '[]')
                        from public.org_members as m join public.orgs as o on o.id = m.org_id
                       where m.user_id = auth.uid() and (m.ends_at is null or m.ends_at > now())),
    'clients', (select coalesce(jsonb_agg(jsonb_build_object('org_id', c.org_id, 'client_id', c.id)), '[]') from private.my_clients() as c),
    'is_platform_admin', private.is_platform_admin(),
    'platform_permissions', coalesce((select to_jsonb(a.permissions) from public.platform_admins as a where a.user_id = auth.uid()), '[]'),
    'support_access', (select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'org_id', s.org_id, 'org_name', o.name, 'client_id', s.client_id,
                                                                    'reason', s.reason, 'started_at', s.started_at, 'expires_at', s.expires_at)
                                                 order by s.started_at), '[]')
                         from public.support_access as s join public.orgs as o on o.id = s.org_id
                        where s.user_id = auth.uid() and s.ended_at is null and s.expires_at > now()));
$$;
comment on function private.person_whoami is 'The signed-in person, with what lets them in where.';

-- What people read while something is stopped. Another organisation's brakes are not told.
create function private.banners()
returns table (kind text, org_id uuid, message text, since timestamptz)
language sql stable security definer set search_path = ''
as $$
  select b.kind, b.org_id, b.banner, b.pulled_at
    from private.brakes as b
   where b.org_id is null or b.org_id = any (private.orgs_with('org.read')) or b.org_id = any (private.my_client_org_ids())
   order by b.pulled_at, b.kind;
$$;
comment on function private.banners is 'The brakes that concern the caller: everybody''s, and those of their organisations.';
