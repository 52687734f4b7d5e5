-- Firing: each of the audience gets what it says; guardrails hold; what fails is said; and nothing fires twice.
begin;
select plan(46);
select tests.open_messaging();
update public.clients set email = 'ann@kilo.example', sms_opt_in = true where id = tests.id('ann');
update public.clients set phone = null where id = tests.id('kilo_client');
create function pg_temp.automate(p_name text, p_actions text, p_conditions text default '[]', p_guardrails text default '{}', p_trigger text default '{"type": "event", "event": "payment_failed"}')
returns void language sql as $$
  insert into public.automations (org_id, name, trigger, conditions, actions, guardrails, enabled)
  values (tests.id('kilo'), p_name, p_trigger::jsonb, p_conditions::jsonb, p_actions::jsonb, p_guardrails::jsonb, true)
  returning tests.remember(p_name, id);
$$;
create function pg_temp.run(p_name text, p_client text default null, p_now timestamptz default now()) returns text language sql as $$
  select concat_ws(' ', r ->> 'status', r ->> 'reason', 'ok', r ->> 'ok', 'failed', r ->> 'failed', nullif(r ->> 'skipped', '{}'))
    from (select service.run_automation(tests.id(p_name), case when p_client is not null then tests.id(p_client) end, null, p_now)) as x (r);
$$;
create function pg_temp.runs(p_name text) returns text language sql as $$
  select string_agg(concat_ws(' ', c.full_name, r.status, r.reason), ', ' order by r.fired_at, c.full_name) from public.automation_runs as r
    join public.clients as c on c.org_id = r.org_id and c.id = r.client_id where r.automation_id = tests.id(p_name);
$$;
-- To everybody.
select pg_temp.automate('hello', '[{"type": "send_message", "params": {"message": "Hello {first_name}"}}]', p_trigger => '{"type": "schedule", "schedule": "daily"}');
select is(pg_temp.run('hello'), 'ok ok 3 failed 0', 'every active client');
select is((select string_agg(m.sender_type || ': ' || m.body, ', ' order by m.body) from public.messages as m), 'trainer: Hello Ann, trainer: Hello Ben, trainer: Hello Client', 'into their threads');
update public.clients set status = 'paused' where id = tests.id('ben');
select is(pg_temp.run('hello'), 'ok ok 2 failed 0', 'who is not active is left alone');
select pg_temp.automate('paused', '[{"type": "notify_trainer"}]', '[{"field": "status", "operator": "=", "value": "paused"}]', p_trigger => '{"type": "schedule", "schedule": "daily"}');
select is(pg_temp.run('paused'), 'ok ok 1 failed 0', 'unless that is what it asks');
select is((select note || ' ' || (client_id = tests.id('ben')) from public.alerts where kind = 'automation_notice'), 'paused true', 'a coach is told');
select pg_temp.run('paused');
select is((select count(*) from public.alerts where kind = 'automation_notice'), 1::bigint, 'and not again while that is open');
update public.clients set status = 'active' where id = tests.id('ben');

-- One of three cannot be reached.
select pg_temp.automate('text', '[{"type": "send_message", "params": {"message": "Text for {first_name}", "channel": "sms"}}, {"type": "notify_trainer", "params": {"message": "Texted {client_name}"}}]', p_trigger => '{"type": "schedule", "schedule": "daily"}');
select is(pg_temp.run('text'), 'failed send_message: no_phone ok 2 failed 1', 'a run with a failed action is failed, and says which');
select is(pg_temp.runs('text'), 'Ann ok, Ben ok, Client of Kilo failed send_message: no_phone', 'the others are not held up');
select is((select string_agg(a ->> 'status', ' ' order by n) from public.automation_runs as r, jsonb_array_elements(r.actions_fired) with ordinality as x (a, n) where r.automation_id = tests.id('text') and r.status = 'failed'), 'failed ok', 'its further actions are done');
select is((select string_agg(distinct m.channel || ' ' || m.kind || ' ' || m.body || ' ' || m.status, ', ' order by m.channel || ' ' || m.kind || ' ' || m.body || ' ' || m.status) from public.outbox_messages as m where m.kind = 'automation'),
  'sms automation Text for Ann queued, sms automation Text for Ben queued', 'texts go through the outbox');
-- What fails later, at the provider.
select id as ann_text from public.outbox_messages where client_id = tests.id('ann') and kind = 'automation' \gset
select id as ben_text from public.outbox_messages where client_id = tests.id('ben') and kind = 'automation' \gset
select count(*) from service.claim_messages('w', 10, '{sms}');
select service.record_messages(jsonb_agg(jsonb_build_object('org_id', m.org_id, 'id', m.id, 'claim', m.claim, 'outcome', case when m.id = :'ann_text' then 'failed' else 'sent' end, 'error_code', '21211', 'provider_message_id', 'SM' || m.id)))
  from public.outbox_messages as m where m.status = 'sending';
select is(pg_temp.runs('text'), 'Ann failed send_message: 21211, Ben ok, Client of Kilo failed send_message: no_phone', 'a text that fails later fails its run');
select is((select status || ' ' || ok_count || ' ' || failed_count from public.automation_firings where automation_id = tests.id('text')), 'failed 1 2', 'and its firing');
select is((select actions_fired -> 0 ->> 'status' from public.automation_runs where automation_id = tests.id('text') and client_id = tests.id('ben')), 'ok', 'one that leaves is done');
update public.clients set sms_opt_in = false where id = tests.id('ann');
select is(pg_temp.run('text', 'ann'), 'ok ok 1 failed 0', 'who wants no texts gets none, and nothing has failed');
select is((select actions_fired -> 0 ->> 'reason' from public.automation_runs where automation_id = tests.id('text') and client_id = tests.id('ann') order by fired_at desc, actions_fired -> 0 ->> 'status' desc limit 1), 'opted_out', 'it says why');

select is((select string_agg(a ->> 'status', ' ' order by r.id) from public.automation_runs as r, jsonb_array_elements(r.actions_fired) as a where r.automation_id = tests.id('text') and r.client_id = tests.id('ann') and r.status = 'failed' and a ->> 'type' = 'send_message'), 'failed', 'what failed has failed');
-- Push, email, unknown.
select pg_temp.automate('push', '[{"type": "send_push", "params": {"title": "Hi", "message": "There"}}]');
select is(pg_temp.run('push', 'ben'), 'failed send_push: no_device ok 0 failed 1', 'a push needs a device');
insert into public.push_tokens (org_id, client_id, expo_token) values (:'kilo', tests.id('ben'), 'ExponentPushToken[b]');
select pg_temp.run('push', 'ben');
select is((select subject || ' ' || body || ' ' || status from public.outbox_messages where channel = 'push'), 'Hi There queued', 'and goes to it');
select pg_temp.automate('mail', '[{"type": "send_message", "params": {"channel": "email", "subject": "Dear {first_name}", "message": "Come back"}}]');
select pg_temp.run('mail', 'ann');
select is((select subject || ': ' || body from public.outbox_messages where channel = 'email' and kind = 'automation' and cause is null), 'Dear Ann: Come back', 'an email');
update public.clients set email = null where id = tests.id('ann');
select is(pg_temp.run('mail', 'ann'), 'failed send_message: no_email ok 0 failed 1', 'needs an address');
alter table public.automations disable trigger automations__plan;
update public.automations set actions = '[{"type": "launch_rocket"}]' where id = tests.id('push');
alter table public.automations enable trigger automations__plan;
select is(pg_temp.run('push', 'ben'), 'failed launch_rocket: action_unknown ok 0 failed 1', 'an action that nobody knows fails, and never passes');
update public.automations set actions = '[{"type": "send_message", "params": {"message": "{portal_link}"}}]' where id = tests.id('push');
select is(pg_temp.run('push', 'ben'), 'failed send_message: message_empty ok 0 failed 1', 'so does a message that says nothing to this client');

-- Guardrails.
update public.automations set enabled = false where trigger ->> 'type' = 'schedule';
select pg_temp.automate('capped', '[{"type": "notify_trainer"}]', p_guardrails => '{"max_per_client_per_day": 2, "max_per_client_per_week": 3}');
select is(pg_temp.run('capped', 'ann', tests.at(1, '10:00')) || ', ' || pg_temp.run('capped', 'ann', tests.at(1, '11:00')), 'ok ok 1 failed 0, ok ok 1 failed 0', 'twice a day');
select is(pg_temp.run('capped', 'ann', tests.at(1, '23:00')), 'skipped daily_cap ok 0 failed 0 {"daily_cap": 1}', 'not three times');
select is(pg_temp.run('capped', 'ann', tests.at(2, '00:30')), 'ok ok 1 failed 0', 'the local day after, again');
select is(pg_temp.run('capped', 'ann', tests.at(2, '01:00')), 'skipped weekly_cap ok 0 failed 0 {"weekly_cap": 1}', 'and three times within seven days');
select is(pg_temp.run('capped', 'ann', tests.at(3, '01:00')), 'skipped weekly_cap ok 0 failed 0 {"weekly_cap": 1}', 'whenever it is asked');
select is(pg_temp.runs('capped'), 'Ann ok, Ann ok, Ann skipped daily_cap, Ann ok, Ann skipped weekly_cap', 'who is left out for the same reason again has no new row');
select is(pg_temp.run('capped', 'ann', tests.at(8, '00:10')), 'ok ok 1 failed 0', 'until the week has passed');
select is(pg_temp.run('capped', 'ben', tests.at(3, '01:00')), 'ok ok 1 failed 0', 'each client by themselves');
select pg_temp.automate('dedupe', '[{"type": "notify_trainer"}]', p_guardrails => '{"dedupe_hours": 24}');
select is(pg_temp.run('dedupe', 'ann', tests.at(1, '10:00')) || ', ' || pg_temp.run('dedupe', 'ann', tests.at(2, '09:59')) || ', ' || pg_temp.run('dedupe', 'ann', tests.at(2, '10:00')),
  'ok ok 1 failed 0, skipped dedupe ok 0 failed 0 {"dedupe": 1}, ok ok 1 failed 0', 'not again within so many hours');
select pg_temp.automate('quiet', '[{"type": "notify_trainer"}]', p_guardrails => '{"quiet_hours_start": 21, "quiet_hours_end": "08:00"}');
select is(pg_temp.run('quiet', 'ann', tests.at(1, '22:00')), 'pending ok 0 failed 0', 'in quiet hours it waits');
select is((select next_at from public.automation_firings where automation_id = tests.id('quiet')), tests.at(2, '08:00'), 'until their local end');
select is((select s.fired from service.sweep_automations(p_now => tests.at(2, '07:59')) as s), 0, 'not before');
select is((select s.ok from service.sweep_automations(p_now => tests.at(2, '08:00')) as s), 1, 'then it happens');
select is(pg_temp.run('quiet', 'ann', tests.at(2, '08:01')), 'ok ok 1 failed 0', 'outside of them at once');

-- Conditions, and the same request.
select pg_temp.automate('red', '[{"type": "notify_trainer"}]', '[{"field": "risk_tier", "operator": "=", "value": "red"}]');
select is(pg_temp.run('red', 'ann'), 'skipped conditions_not_met ok 0 failed 0', 'who does not meet the conditions gets nothing');
insert into public.client_risk (org_id, client_id, as_of_date, score, tier) values (:'kilo', tests.id('ann'), current_date, 60, 'red');
select is(service.run_automation(tests.id('red'), tests.id('ann'), tests.id('kilo')) ->> 'ok', '1', 'who does, does');
select service.run_automation(tests.id('red'), tests.id('ann'), tests.id('kilo'));
select is((select count(*) from public.automation_runs where automation_id = tests.id('red')), 1::bigint, 'the same request fires once');
select tests.refuses($$ select service.run_automation(tests.id('red')) $$, 422, 'client_missing', 'an event happens to somebody');
select tests.refuses($$ select service.run_automation(tests.id('red'), tests.id('lima_client')) $$, 404, 'client_not_found', 'of the organisation');
select private.notice_event(:'kilo', 'payment_failed', tests.id('ann'), 'x');
update public.automations set enabled = false;
select service.sweep_automations();
select is((select distinct status || ' ' || reason from public.automation_firings where event = 'payment_failed'), 'skipped switched_off', 'what was switched off meanwhile does nothing');
select is((select count(*) from public.automation_firings where status = 'pending'), 0::bigint, 'nothing is left behind');
select * from finish();
rollback;
