-- The doctor: looks, finds, and changes nothing. A check costs what is wrong and not what is there, but for the thorough ones.

create function private.check_package_counter_drift(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select p.org_id, p.id::text, format('used %s, ledger %s', p.sessions_used, coalesce(e.used, 0))
    from public.client_purchases as p
    left join (select x.org_id, x.purchase_id, sum(x.used_delta) as used, count(*) as entries
                 from public.session_entries as x group by 1, 2) as e on e.org_id = p.org_id and e.purchase_id = p.id
   where p.sessions_used <> coalesce(e.used, 0) or p.entry_count <> coalesce(e.entries, 0);
$$;
comment on function private.check_package_counter_drift is 'Doctor: packages whose counters are not their ledger''s.';

create function private.check_booking_charge_drift(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  with charges as (
    select e.org_id, coalesce(e.booking_id, u.booking_id) as booking_id, sum(e.used_delta) as net
      from public.session_entries as e
      left join public.session_entries as u on u.org_id = e.org_id and u.id = e.released_entry_id
     where coalesce(e.booking_id, u.booking_id) is not null
     group by 1, 2)
  select b.org_id, b.id::text, format('%s, ledger %s', coalesce(b.settlement, 'open'), coalesce(c.net, 0))
    from public.bookings as b
    left join charges as c on c.org_id = b.org_id and c.booking_id = b.id
   where (b.settlement is not distinct from 'charged') <> (coalesce(c.net, 0) > 0) or c.net > 1;
$$;
comment on function private.check_booking_charge_drift is 'Doctor: bookings that are charged without an entry, or have one without being charged.';

create function private.occupancy_counts()
returns table (org_id uuid, id uuid, seats integer, counted bigint)
language sql stable security definer set search_path = ''
as $$
  select o.org_id, o.id, o.seats,
         (select count(*) from public.bookings as b where b.org_id = o.org_id and b.occupancy_id = o.id)
         + (select count(*) from private.holds as h where h.org_id = o.org_id and h.occupancy_id = o.id)
    from private.occupancies as o
   where o.seats > 0;
$$;
comment on function private.occupancy_counts is 'Taken times: the seats they count, and how many bookings and holds take one.';

create function private.check_occupancy_seats_drift(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select c.org_id, c.id::text, format('seats %s, taken %s', c.seats, c.counted) from private.occupancy_counts() as c
   where c.counted > 0 and c.counted <> c.seats;
$$;
comment on function private.check_occupancy_seats_drift is 'Doctor: taken times that count other seats than are taken.';

create function private.check_occupancy_orphaned(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select c.org_id, c.id::text, format('seats %s', c.seats) from private.occupancy_counts() as c where c.counted = 0;
$$;
comment on function private.check_occupancy_orphaned is 'Doctor: taken times that nobody takes.';

create function private.check_org_without_owner(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select m.org_id, m.org_id::text, format('%s members', count(*)) from public.org_members as m group by m.org_id
  having not bool_or(m.role = 'owner');
$$;
comment on function private.check_org_without_owner is 'Doctor: organisations with members and no owner.';

create function private.check_timezone_unknown(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  with used as materialized (select distinct b.timezone from public.booking_settings as b),
  unknown as materialized (select u.timezone from used as u where not exists (select from pg_catalog.pg_timezone_names as n where n.name = u.timezone))
  select b.org_id, b.org_id::text, b.timezone from public.booking_settings as b join unknown as u on u.timezone = b.timezone;
$$;
comment on function private.check_timezone_unknown is 'Doctor: organisations in a timezone that this server''s data does not have.';

-- Billing.

create function private.check_subscription_price_unknown(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select s.org_id, s.stripe_price_id, s.status from public.org_subscriptions as s
   where s.plan is null and s.status in ('trialing', 'active', 'past_due');
$$;
comment on function private.check_subscription_price_unknown is 'Doctor: live subscriptions at a price that is no plan''s.';

create function private.check_subscription_twice(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select s.org_id, s.org_id::text, string_agg(s.stripe_subscription_id, ' ' order by s.started_at) from public.org_subscriptions as s
   where s.status in ('trialing', 'active', 'past_due') group by s.org_id having count(*) > 1;
$$;
comment on function private.check_subscription_twice is 'Doctor: organisations with two live subscriptions.';

create function private.check_subscription_unanswered(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select s.org_id, s.stripe_subscription_id, s.fetch_error from public.org_subscriptions as s
   where s.refetch_at is not null and s.fetch_error is not null;
$$;
comment on function private.check_subscription_unanswered is 'Doctor: subscriptions that the provider was to be asked about.';

create function private.check_renewal_unheard(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select s.org_id, s.stripe_subscription_id, s.status from public.org_subscriptions as s
   where s.status in ('trialing', 'active') and s.current_period_ends_at < p_now - interval '1 day';
$$;
comment on function private.check_renewal_unheard is 'Doctor: live subscriptions whose period ended a day ago.';

create function private.check_plan_feature_unknown(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, p.plan, n.name
    from public.plans as p
   cross join lateral (select unnest(p.features), false union all select jsonb_object_keys(p.limits), true) as n (name, is_limit)
   where not exists (select from private.features as f where f.feature = n.name and f.is_limit = n.is_limit);
$$;
comment on function private.check_plan_feature_unknown is 'Doctor: plans with a feature or limit that does not exist.';

create function private.check_org_without_plan(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select o.id, o.slug, null::text from public.orgs as o
   where exists (select from public.plans) and not exists (select from public.plans as p where p.is_default)
     and not exists (select from private.current_grants(o.id, p_now));
$$;
comment on function private.check_org_without_plan is 'Doctor: organisations without any plan, where there are plans.';

create function private.check_automation_never_due(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select a.org_id, a.id::text, a.trigger ->> 'schedule' from public.automations as a
   where a.enabled and a.trigger ->> 'type' = 'schedule' and a.next_run_at is null;
$$;
comment on function private.check_automation_never_due is 'Doctor: automations that are on and will never be due.';

-- Work that runs by itself: as the pulse judges it, of every kind that it knows.

create function private.work_in(p_verdict text, p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, k ->> 'kind',
         coalesce(k #>> '{stuck,0,fix}', k ->> 'fix') || format(' (%s; %s waiting)',
           array_to_string(array(select jsonb_array_elements_text(k -> 'reasons')), ', '), k ->> 'backlog')
    from jsonb_array_elements(private.pulse(p_now) -> 'kinds') as k
   where k ->> 'verdict' = p_verdict and k -> 'reasons' <> '["brake_on"]';
$$;
comment on function private.work_in is 'Kinds of work that the pulse judges so, each with its fix; a brake alone is no fault.';

create function private.check_work_failing(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$ select * from private.work_in('failing', p_now); $$;
comment on function private.check_work_failing is 'Doctor: work that the pulse calls failing.';

create function private.check_work_degraded(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$ select * from private.work_in('degraded', p_now); $$;
comment on function private.check_work_degraded is 'Doctor: work that the pulse calls degraded.';

-- Five times its usual pause, and at least an hour: a sweep by cron once a day is not missed after an hour.
create function private.check_sweep_stopped(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, j.job, 'last started ' || to_char(max(j.started_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
    from private.job_runs as j
   where j.started_at > p_now - interval '14 days' and j.job like 'sweep\_%'
   group by j.job
  having count(*) >= 3
     and max(j.started_at) < p_now - greatest(interval '1 hour', 5 * (max(j.started_at) - min(j.started_at)) / (count(*) - 1));
$$;
comment on function private.check_sweep_stopped is 'Doctor: sweeps that were started regularly and no longer are.';

create function private.check_job_killed(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, j.job, j.id::text from private.job_runs as j
   where j.finished_at is null and j.started_at between p_now - interval '14 days' and p_now - interval '1 hour'
     and not exists (select from private.job_runs as l where l.job = j.job and l.started_at > j.started_at and l.finished_at is not null);
$$;
comment on function private.check_job_killed is 'Doctor: runs that never ended and were not made up for.';

create function private.check_brake_left_on(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select b.org_id, b.kind, 'since ' || to_char(b.pulled_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' from private.brakes as b
   where b.pulled_at < p_now - interval '1 day';
$$;
comment on function private.check_brake_left_on is 'Doctor: brakes that have been on for more than a day.';

create function private.check_app_url_unset(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, 'app_url', null::text where not exists (select from private.platform_settings as s where s.name = 'app_url');
$$;
comment on function private.check_app_url_unset is 'Doctor: nobody has said where links lead.';

-- The database itself.

create function private.check_extension_missing(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, n.name, null::text from unnest('{btree_gist}'::text[]) as n (name)
   where not exists (select from pg_catalog.pg_extension as e where e.extname = n.name and e.extnamespace = to_regnamespace('extensions'));
$$;
comment on function private.check_extension_missing is 'Doctor: extensions that the schema needs.';

create function private.check_row_security_off(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, c.oid::regclass::text, null::text from pg_catalog.pg_class as c
   where c.relkind in ('r', 'p') and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace) and not c.relrowsecurity;
$$;
comment on function private.check_row_security_off is 'Doctor: tables without row level security.';

create function private.check_table_open_to_visitors(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, c.oid::regclass::text, null::text from pg_catalog.pg_class as c
   where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = 'public'::regnamespace
     and (has_table_privilege('anon', c.oid, 'select, insert, update, delete, truncate')
          or has_any_column_privilege('anon', c.oid, 'select, insert, update'));
$$;
comment on function private.check_table_open_to_visitors is 'Doctor: tables and views that anon may read or write.';

create function private.check_private_open(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, 'schema ' || n.name, r.role
    from unnest('{private}'::text[]) as n (name) cross join unnest('{anon,authenticated,service_role}'::text[]) as r (role)
   where has_schema_privilege(r.role, n.name, 'usage, create')
  union all
  select null, 'schema service', r.role from unnest('{anon,authenticated}'::text[]) as r (role) where has_schema_privilege(r.role, 'service', 'usage, create')
  union all
  select null, c.oid::regclass::text, r.role
    from pg_catalog.pg_class as c cross join unnest('{anon,authenticated,service_role}'::text[]) as r (role)
   where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = 'private'::regnamespace
     and (has_table_privilege(r.role, c.oid, 'select, insert, update, delete, truncate')
          or has_any_column_privilege(r.role, c.oid, 'select, insert, update'));
$$;
comment on function private.check_private_open is 'Doctor: what API roles reach of private, and client roles of service.';

create function private.check_definer_exposed(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, p.oid::regprocedure::text, null::text from pg_catalog.pg_proc as p
   where p.pronamespace = 'public'::regnamespace and p.prosecdef
     and (has_function_privilege('anon', p.oid, 'execute') or has_function_privilege('authenticated', p.oid, 'execute'));
$$;
comment on function private.check_definer_exposed is 'Doctor: definers in the exposed schema that clients may call.';

create function private.check_function_open_to_all(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, p.oid::regprocedure::text, null::text
    from pg_catalog.pg_proc as p
   cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
   where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace) and a.grantee = 0
     -- An extension's are its own; where it lies is another check.
     and not exists (select from pg_catalog.pg_depend as d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e');
$$;
comment on function private.check_function_open_to_all is 'Doctor: functions that PUBLIC may execute.';

create function private.check_trigger_disabled(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, t.tgname::text, c.oid::regclass::text from pg_catalog.pg_trigger as t join pg_catalog.pg_class as c on c.oid = t.tgrelid
   where not t.tgisinternal and t.tgenabled <> 'O' and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace);
$$;
comment on function private.check_trigger_disabled is 'Doctor: triggers that are off.';

create function private.check_constraint_not_valid(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, k.conname::text, k.conrelid::regclass::text from pg_catalog.pg_constraint as k
   where not k.convalidated and k.connamespace in ('public'::regnamespace, 'private'::regnamespace);
$$;
comment on function private.check_constraint_not_valid is 'Doctor: constraints that were never validated.';

create function private.check_index_invalid(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, i.indexrelid::regclass::text, i.indrelid::regclass::text
    from pg_catalog.pg_index as i join pg_catalog.pg_class as c on c.oid = i.indrelid
   where not i.indisvalid and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace);
$$;
comment on function private.check_index_invalid is 'Doctor: indexes that were not finished.';

create function private.check_transaction_open_long(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, a.pid::text, a.state from pg_catalog.pg_stat_activity as a
   where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
     and a.xact_start < p_now - interval '15 minutes';
$$;
comment on function private.check_transaction_open_long is 'Doctor: transactions that have been open for a quarter of an hour.';

-- Runs every check; one that cannot look says so and hides no other.
create function private.examine(p_now timestamptz, p_is_quick boolean)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_check private.doctor_checks;
  v_found private.found[];
  v_findings jsonb := '[]';
  v_blind jsonb := '[]';
  v_checked integer := 0;
begin
  for v_check in
    select c.* from private.doctor_checks as c where not (p_is_quick and c.is_thorough) order by c.severity, c.name
  loop
    begin
      execute format('select array_agg(x::private.found) from (select f.* from private.%I($1) as f limit 1000) as x', 'check_' || v_check.name)
         into v_found using p_now;
      v_checked := v_checked + 1;
      if v_found is not null then
        v_findings := v_findings || jsonb_build_object(
          'check', v_check.name, 'severity', v_check.severity, 'meaning', v_check.meaning,
          'fix', replace(replace(replace(v_check.fix, '{subject}', coalesce(v_found[1].subject, '')), '{org}', coalesce(v_found[1].org_id::text, 'ORG')),
                         '{detail}', coalesce(v_found[1].detail, '')),
          'count', cardinality(v_found),
          'examples', (select jsonb_agg(jsonb_build_object('org_id', f.org_id, 'subject', f.subject, 'detail', f.detail))
                         from (select u.* from unnest(v_found) as u limit 5) as f));
      end if;
    exception when others then
      v_blind := v_blind || jsonb_build_object('check', v_check.name, 'sqlstate', sqlstate);
    end;
  end loop;
  return jsonb_build_object('checked', v_checked, 'findings', v_findings, 'blind', v_blind);
end;
$$;
comment on function private.examine is
  '{checked: n, findings: [{check, severity, meaning, fix, count (at most 1000), examples: [{org_id, subject, detail}] (at most 5)}], blind: [{check, sqlstate}]}.';

create function private.function_grants()
returns table (function text, role text)
language sql stable security definer set search_path = ''
as $$
  select n.nspname || '.' || p.proname, r.role
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
   cross join unnest('{anon,authenticated,service_role}'::text[]) as r (role)
   where n.nspname in ('public', 'private', 'service') and has_function_privilege(r.role, p.oid, 'execute');
$$;
comment on function private.function_grants is 'Which API role may call which function, by name.';
