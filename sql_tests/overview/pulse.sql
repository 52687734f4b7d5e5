-- pulse: silent on a healthy database that has work; each planted fault shows in its kind, and in no other.
begin;
select plan(54);
select tests.open_studio();

-- A busy, healthy hour: every job ran a minute ago and did something; texts left, one failed, some wait for their time.
insert into private.job_runs (job, started_at, finished_at, result)
select j, now() - m * interval '1 minute', now() - m * interval '1 minute', '{"completed": 2, "queued": 1, "settled": 1}'
  from (select distinct unnest(k.jobs) from private.work_kinds as k) as x (j), generate_series(1, 5) as m;
insert into public.sms_schedules (org_id, type, label, body, created_at) values (:'kilo', 'pre_session', 'Day before', 'x', now() - interval '30 days');
insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, next_at, expires_at, claimed_at, sent_at)
select :'kilo', c, 'direct', :'kilo_client', 'Hello', 'sent', now() - interval '20 minutes', now() + interval '1 day', now() - interval '20 minutes', now() - interval '20 minutes'
  from unnest('{sms,email,push}'::text[]) as c, generate_series(1, 40);
insert into public.outbox_attempts (org_id, message_id, attempt_number, claim, provider, status, error_code, created_at)
select m.org_id, m.id, 1, gen_random_uuid(), 'x', case when row_number() over (partition by m.channel) = 1 then 'failed' else 'sent' end, '30005', now() - interval '20 minutes'
  from public.outbox_messages as m where m.status = 'sent';
insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, next_at, expires_at)
select :'kilo', 'sms', 'direct', :'kilo_client', 'Later', 'queued', now() + n * interval '1 minute', now() + interval '1 day' from generate_series(-2, 2) as n;

insert into public.automations (org_id, name, trigger, conditions, actions, guardrails) values (:'kilo', 'Daily', '{"type": "schedule", "schedule": "daily"}', '[]', '[{"type": "notify_trainer", "params": {}}]', '{}') returning id as automation \gset
select tests.remember('automation', :'automation'), tests.remember('payment', (select e.id from public.money_events as e where e.org_id = :'kilo' and e.type = 'INCOME' limit 1));
delete from private.receipts_due;

create function pg_temp.kinds(p_pulse jsonb) returns text language sql as $$
  select coalesce(string_agg(concat_ws(' ', k ->> 'kind', k ->> 'verdict', (select string_agg(r, '+') from jsonb_array_elements_text(k -> 'reasons') as r)), ', ' order by k ->> 'kind'), '')
    from jsonb_array_elements(p_pulse -> 'kinds') as k where k ->> 'verdict' <> 'healthy' $$;
create function pg_temp.kind(p_pulse jsonb, p_kind text) returns jsonb language sql as $$ select k from jsonb_array_elements(p_pulse -> 'kinds') as k where k ->> 'kind' = p_kind $$;
-- The pulse with a fault, which is undone again.
create function pg_temp.with_fault(p_fault text) returns jsonb language plpgsql as $$
declare
  v_pulse jsonb;
begin
  begin
    execute p_fault;
    v_pulse := private.pulse();
    raise exception 'undone' using errcode = 'UNDON';
  exception when sqlstate 'UNDON' then null;
  end;
  return v_pulse;
end;
$$;

select is(private.pulse() ->> 'verdict', 'healthy', 'a busy, healthy database is healthy');
select is(pg_temp.kinds(private.pulse()), '', 'and silent about every kind');
select is((k ->> 'backlog', k ->> 'done', k ->> 'failed', k ->> 'error_rate', k #>> '{failures,0,reason}')::text, '(3,39,1,0.0250,30005)', 'what waits, what left, and what failed why') from pg_temp.kind(private.pulse(), 'sms') as k;
select is((k ->> 'done', k ->> 'runs')::text, '(10,5)', 'what a job did in the last hour') from pg_temp.kind(private.pulse(), 'bookings') as k;
select is((select string_agg(k.kind, ', ') from private.work_kinds as k
            where not exists (select from pg_proc as p where p.pronamespace = 'private'::regnamespace and p.proname = 'pulse_' || k.kind)), null, 'every kind can be read');

create function pg_temp.add_delivery(p_attempts integer, p_next_at timestamptz) returns void language sql as $$
  with endpoint as (insert into public.webhook_endpoints (org_id, name, url, secret_encrypted) values (tests.id('kilo'), 'x', 'https://x.example', 'x') returning *),
  firing as (insert into public.automation_firings (org_id, automation_id, due_at, next_at, status, fired_at) values (tests.id('kilo'), tests.id('automation'), now(), now(), 'ok', now()) returning *),
  run as (insert into public.automation_runs (org_id, firing_id, automation_id, client_id, status) select f.org_id, f.id, f.automation_id, tests.id('kilo_client'), 'ok' from firing as f returning *)
  insert into public.webhook_deliveries (org_id, endpoint_id, run_id, action_index, payload, next_at, expires_at, attempts)
  select r.org_id, e.id, r.id, 0, '{}', p_next_at, now() + interval '1 day', p_attempts from run as r, endpoint as e $$;

create table faults (kind text, expected text, planted text);
insert into faults values
  ('bookings', 'degraded overdue', $$ select tests.make_booking('f', null, now() - interval '2 hours') $$),
  ('bookings', 'failing overdue', $$ select tests.make_booking('f', null, now() - interval '5 hours') $$),
  ('bookings', 'failing overdue', $$ select tests.make_booking('f', null, now() - interval '26 hours') $$),
  ('bookings', 'degraded last_run_failed', $$ insert into private.job_runs (job, started_at, finished_at, error) values ('sweep_bookings', now(), now(), 'database_unavailable') $$),
  ('bookings', 'failing runs_fail', $$ update private.job_runs set error = 'database_unavailable', result = null where job = 'sweep_bookings' $$),
  ('bookings', 'failing unreadable', $$ alter function private.pulse_bookings(timestamptz) rename to gone $$),
  ('holds', 'degraded overdue', $$ with o as (insert into private.occupancies (org_id, staff_id, starts_at, ends_at, blocked, capacity, seats, expires_at) select tests.id('kilo'), tests.id('second'), now(), now() + interval '1 hour', tstzrange(now(), now() + interval '1 hour'), 1, 1, now() returning *)
     insert into private.holds (org_id, occupancy_id, staff_id, start_time, end_time, expires_at) select o.org_id, o.id, o.staff_id, o.starts_at, o.ends_at, now() - interval '1 hour' from o $$),
  ('holds', 'degraded last_run_failed', $$ insert into private.job_runs (job, started_at, finished_at, error) values ('sweep_holds', now(), now(), 'value_not_allowed') $$),
  ('reminders', 'degraded overdue', $$ update private.job_runs set started_at = now() - interval '2 hours' where job = 'sweep_reminders' $$),
  ('reminders', 'failing overdue', $$ delete from private.job_runs where job = 'sweep_reminders' $$),
  ('sms', 'degraded overdue', $$ update public.outbox_messages set next_at = now() - interval '15 minutes' where channel = 'sms' and status = 'queued' $$),
  ('sms', 'failing overdue', $$ update public.outbox_messages set next_at = now() - interval '61 minutes' where channel = 'sms' and status = 'queued' $$),
  ('sms', 'degraded errors', $$ update public.outbox_attempts set status = 'failed' where (org_id, message_id) in (select org_id, id from public.outbox_messages where channel = 'sms' and status = 'sent' limit 5) $$),
  ('sms', 'failing errors', $$ update public.outbox_attempts set status = 'unknown', error_code = null where (org_id, message_id) in (select org_id, id from public.outbox_messages where channel = 'sms' and status = 'sent') $$),
  ('sms', 'degraded deferred', $$ insert into private.provider_limits (provider, until_at) values ('twilio', now() + interval '5 minutes') $$),
  ('sms', 'degraded brake_on', $$ insert into private.brakes (kind, reason) values ('sms', 'Test') $$),
  ('sms', 'degraded stuck', $$ update public.outbox_messages set status = 'sending', claim = gen_random_uuid(), next_at = now() - interval '20 minutes' where id = (select id from public.outbox_messages where channel = 'sms' and status = 'queued' limit 1) $$),
  ('email', 'failing overdue', $$ insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, next_at, expires_at) values (tests.id('kilo'), 'email', 'direct', tests.id('kilo_client'), 'x', 'pending', now() - interval '2 hours', now() + interval '1 day') $$),
  ('push', 'degraded deferred', $$ insert into private.provider_limits (provider, until_at) values ('expo', now() + interval '5 minutes') $$),
  ('unknown_messages', 'degraded overdue', $$ insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, claim, claimed_at, next_at, expires_at) values (tests.id('kilo'), 'sms', 'direct', tests.id('kilo_client'), 'x', 'unknown', gen_random_uuid(), now() - interval '2 hours', now() - interval '1 hour', now() + interval '1 day') $$),
  ('unknown_messages', 'degraded stuck', $$ insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, claim, claimed_at, next_at, expires_at) values (tests.id('kilo'), 'sms', 'direct', tests.id('kilo_client'), 'x', 'unknown', gen_random_uuid(), now() - interval '80 hours', now() + interval '1 hour', now() + interval '1 day') $$),
  ('unknown_messages', 'degraded stuck', $$ insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, claim, claimed_at, next_at, expires_at) values (tests.id('kilo'), 'email', 'direct', tests.id('kilo_client'), 'x', 'unknown', gen_random_uuid(), now() - interval '1 hour', now() + interval '1 hour', now() + interval '1 day') $$),
  ('callbacks', 'degraded overdue', $$ insert into private.unmatched_sms_events (provider_message_id, event_status, received_at) values ('SM9', 'sent', now() - interval '9 days') $$),
  ('stripe_events', 'failing overdue+errors', $$ insert into private.stripe_events (id, type, created_at, payload, status, error, received_at) select 'evt_' || n, 'x', now(), '{}', 'failed', 'charge_unknown', case n when 1 then now() - interval '7 hours' else now() end from generate_series(1, 4) as n $$),
  ('stripe_events', 'degraded stuck', $$ update private.work_kinds set degraded_after = '5 hours' where kind = 'stripe_events'; insert into private.stripe_events (id, type, created_at, payload, status, error, received_at) values ('evt_1', 'x', now(), '{}', 'failed', 'charge_unknown', now() - interval '2 hours') $$),
  ('stripe_fetches', 'degraded stuck', $$ insert into private.stripe_fetches (account, kind, stripe_id, attempts, next_at) values ('acct_1', 'charge', 'ch_1', 5, now() + interval '1 hour') $$),
  ('deposits', 'degraded overdue', $$ insert into public.deposits (org_id, client_id, amount_cents, currency, application_fee_cents, start_time, expires_at, stripe_account_id, next_at) values (tests.id('kilo'), tests.id('kilo_client'), 100, 'aud', 0, now() + interval '1 day', now() + interval '1 hour', 'acct_1', now() - interval '20 minutes') $$),
  ('refunds', 'degraded overdue', $$ insert into public.refunds (org_id, payment_id, amount_cents, currency, reason, source, stripe_account_id, stripe_payment_intent_id, next_at) values (tests.id('kilo'), tests.id('payment'), 100, 'aud', 'by_hand', 'stripe', 'acct_1', 'pi_1', now() - interval '40 minutes') $$),
  ('refunds', 'degraded stuck', $$ insert into public.refunds (org_id, payment_id, amount_cents, currency, reason, source, stripe_account_id, stripe_payment_intent_id, status, settled_at, error_code) values (tests.id('kilo'), tests.id('payment'), 100, 'aud', 'by_hand', 'stripe', 'acct_1', 'pi_1', 'failed', now() - interval '2 hours', 'charge_disputed') $$),
  ('receipts', 'degraded overdue', $$ insert into private.receipts_due (org_id, money_event_id, created_at) values (tests.id('kilo'), tests.id('payment'), now() - interval '2 hours') $$),
  ('billing', 'failing overdue', $$ insert into public.org_subscriptions (org_id, stripe_subscription_id, stripe_price_id, status, started_at, current_period_ends_at, as_of, refetch_at) values (tests.id('kilo'), 'sub_1', 'price_1', 'active', now(), now() + interval '1 day', now(), now() - interval '2 days') $$),
  ('automations', 'degraded overdue', $$ update public.automations set next_run_at = now() - interval '1 hour' where id = tests.id('automation') $$),
  ('automations', 'failing errors', $$ insert into public.automation_firings (org_id, automation_id, due_at, next_at, status, reason, fired_at) select tests.id('kilo'), tests.id('automation'), now() - n * interval '1 minute', now(), 'failed', 'send_message', now() from generate_series(1, 4) as n $$),
  ('webhooks', 'degraded overdue', $$ select pg_temp.add_delivery(1, now() - interval '1 hour') $$),
  ('webhooks', 'degraded stuck', $$ select pg_temp.add_delivery(5, now() + interval '1 hour') $$),
  ('risk', 'failing overdue', $$ update private.job_runs set started_at = now() - interval '4 days' where job = 'sweep_risk'; update public.orgs set created_at = now() - interval '9 days' $$),
  ('clean_up', 'degraded overdue', $$ insert into private.rate_limits (bucket, key_hash, window_started_at) values ('x', 'x', now() - interval '5 days') $$);
select is(pg_temp.kinds(pg_temp.with_fault(f.planted)), f.kind || ' ' || f.expected, format('%s: %s', f.kind, f.expected)) from faults as f;
select is(pg_temp.with_fault($$ insert into private.brakes (kind, org_id, reason) values ('sms', tests.id('kilo'), 'Test'); update public.outbox_messages set next_at = now() - interval '2 hours' where status = 'queued' $$) ->> 'verdict', 'healthy',
          'what waits for one organisation''s brake is not overdue');
select is(pg_temp.with_fault(f.planted) ->> 'verdict', 'failing', 'the worst kind is the verdict') from faults as f where f.expected ~ 'failing' limit 1;
select ok(private.pulse() = private.pulse(), 'nothing of it stayed');

-- A way out of each.
select is((k #>> '{stuck,0,fix}', k ->> 'fix')::text, format('("coach booking complete %s","coach sweep bookings")', k #>> '{stuck,0,id}'), 'a stuck booking names the command')
  from pg_temp.kind(pg_temp.with_fault($$ select tests.make_booking('f', null, now() - interval '26 hours') $$), 'bookings') as k;
select is(k #>> '{stuck,0,fix}', 'coach messages retry ' || (k #>> '{stuck,0,id}'), 'a message that was never found too')
  from faults as f, lateral pg_temp.kind(pg_temp.with_fault(f.planted), 'unknown_messages') as k where f.planted ~ '80 hours';
select ok(pg_temp.with_fault($$ update public.outbox_attempts set error_code = 'x' $$)::text !~ '@|61400000000|Client of|Hello', 'no personal data in it');

-- For platform admins and the service.
insert into public.platform_admins (user_id, email, permissions) values (:'nobody', 'nobody@nowhere.example', '{pulse.read}'), (:'lima_owner', 'coach@lima.example', '{orgs.*}');
select tests.sign_in('nobody@nowhere.example');
select is(pulse() ->> 'verdict', 'healthy', 'a platform admin with the permission may look');
select tests.sign_in(t.email), tests.refuses('select pulse()', 403, 'platform_permission_missing', t.email || ' may not') from (values ('coach@kilo.example'), ('client@kilo.example'), ('coach@lima.example')) as t (email);
select tests.sign_out();
select tests.forbids('select pulse()', 'nor a visitor');
select tests.as_service();
select is(service.pulse() ->> 'verdict', 'healthy', 'the service has its own door');
select * from finish();
rollback;
