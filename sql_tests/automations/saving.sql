-- An automation is checked when it is saved, with a sentence that says what is wrong; what the existing app saves is taken.
begin;
select plan(58);
create function pg_temp.save(p_trigger text default '{"type": "schedule", "schedule": "daily"}', p_conditions text default '[]',
                             p_actions text default '[{"type": "notify_trainer", "params": {}}]', p_guardrails text default '{}') returns text language sql as $$
  select format($q$ insert into public.automations (org_id, name, enabled, trigger, conditions, actions, guardrails)
                    values (tests.id('kilo'), 'x', true, %L, %L, %L, %L) $q$, p_trigger, p_conditions, p_actions, p_guardrails);
$$;
grant execute on function pg_temp.save(text, text, text, text) to public;
select tests.remember('endpoint', gen_random_uuid()), tests.remember('foreign', gen_random_uuid());
insert into public.webhook_endpoints (org_id, id, name, url, secret_encrypted)
values (:'kilo', tests.id('endpoint'), 'Books', 'https://hooks.example', 'x'), (:'lima', tests.id('foreign'), 'Books', 'https://hooks.example', 'x');
select tests.sign_in('coach@kilo.example');

-- As the existing app saves it.
select lives_ok(pg_temp.save('{"type": "schedule", "schedule": "daily"}', '[{"field": "risk_tier", "operator": "=", "value": "red"}]',
  '[{"type": "notify_trainer", "params": {}}]', '{"max_per_client_per_day": 1}'), 'the existing form');
select ok((select next_run_at > now() and next_run_at at time zone 'Australia/Brisbane' = (next_run_at at time zone 'Australia/Brisbane')::date + time '09:00'
             and next_run_at < now() + interval '25 hours' and enabled_at = now() from public.automations), 'is due next at nine by the organisation''s clock');
select is((select count(*) from public.automations where id in (select id from public.automations)), 1::bigint, 'and read back');

select lives_ok(pg_temp.save(p_trigger => t), t) from unnest(array[
  '{"type": "schedule", "schedule": "weekly"}', '{"type": "schedule", "schedule": "hourly", "minute": 30}',
  '{"type": "schedule", "schedule": "monthly", "day_of_month": "31", "time": "18:30"}', '{"type": "event", "event": "inactivity", "days": 10}',
  '{"type": "schedule", "schedule": "daily", "missed": "all", "grace_hours": 48}', '{"type": "event", "event": "package_low", "sessions": 1}']) as t;
select lives_ok(pg_temp.save(p_conditions => t), t) from unnest(array[
  '[{"field": "days_since_activity", "operator": ">=", "value": "14"}]', '[{"field": "risk_score", "operator": "gt", "value": 40}, {"field": "status", "operator": "in", "value": ["active", "paused"]}]',
  '[{"field": "subscription_status", "operator": "not_equals", "value": "active"}]']) as t;
select lives_ok(pg_temp.save(p_actions => t), t) from unnest(array[
  '[{"type": "send_message", "params": {"body": "Hi {{first_name}}"}}]', '[{"type": "send_push", "params": {"title": "Hi", "message": "There"}}, {"type": "notify_trainer"}]',
  format('[{"type": "webhook", "params": {"endpoint_id": "%s"}}]', tests.id('endpoint'))]) as t;
select lives_ok(pg_temp.save(p_guardrails => '{"quiet_hours_start": 21, "quiet_hours_end": "08:00", "dedupe_hours": 24, "max_per_client_per_week": 2}'), 'every guardrail');

select tests.refuses(pg_temp.save(p_trigger => t), 422, 'automation_trigger_invalid', 'no trigger: ' || t) from unnest(array[
  '{}', '[]', '"daily"', '{"type": "cron"}', '{"type": "schedule"}', '{"type": "schedule", "schedule": "yearly"}', '{"type": "schedule", "schedule": "daily", "time": "25:00"}',
  '{"type": "schedule", "schedule": "daily", "minute": 5}', '{"type": "schedule", "schedule": "weekly", "day_of_week": 7}', '{"type": "schedule", "schedule": "monthly", "day_of_month": 1.5}',
  '{"type": "schedule", "schedule": "fortnightly", "starts_on": "2026-02-30"}', '{"type": "schedule", "schedule": "daily", "missed": "perhaps"}',
  '{"type": "schedule", "schedule": "daily", "grace_hours": 1000}', '{"type": "event"}', '{"type": "event", "event": "full_moon"}', '{"type": "event", "event": "birthday", "days": 3}']) as t;
select tests.refuses(pg_temp.save(p_conditions => t), 422, 'automation_condition_invalid', 'no condition: ' || t) from unnest(array[
  '{}', '[{}]', '[{"field": "shoe_size", "operator": "=", "value": 1}]', '[{"field": "risk_score", "operator": "like", "value": 1}]', '[{"field": "risk_tier", "operator": ">", "value": "red"}]',
  '[{"field": "risk_tier", "operator": "=", "value": "purple"}]', '[{"field": "risk_score", "operator": ">", "value": "many"}]', '[{"field": "status", "operator": "in", "value": "active"}]', '[1]']) as t;
select tests.refuses(pg_temp.save(p_actions => t), 422, 'automation_action_invalid', 'no action: ' || t) from unnest(array[
  '[]', '{}', '[{"type": "launch_rocket", "params": {}}]', '[{"type": "send_message", "params": {}}]', '[{"type": "send_message", "params": {"message": "  "}}]',
  '[{"type": "send_message", "params": {"message": "x", "channel": "fax"}}]', '[{"type": "send_push", "params": "x"}]', '[{"type": "webhook", "params": {"endpoint_id": "x"}}]',
  format('[{"type": "webhook", "params": {"endpoint_id": "%s"}}]', tests.id('foreign'))]) as t;
select tests.refuses(pg_temp.save(p_actions => '[{"type": "send_message", "params": {"message": "Hi {shoe_size}"}}]'), 422, 'placeholder_unknown', 'no placeholder that nothing fills');
select tests.refuses(pg_temp.save(p_guardrails => t), 422, 'automation_guardrail_invalid', 'no guardrail: ' || t) from unnest(array[
  '[]', '{"max_per_day": 1}', '{"max_per_client_per_day": 0}', '{"quiet_hours_start": 21}', '{"quiet_hours_start": 21, "quiet_hours_end": "08:30"}', '{"dedupe_hours": -1}']) as t;
select is(tests.refusal_of(pg_temp.save(p_actions => '[{"type": "notify_trainer"}, {"type": "launch_rocket"}]')),
  'PT422 | An action is none that is known. | automation_action_invalid | In action 2 use send_message, send_push, notify_trainer or webhook.', 'the sentence says which');
select * from finish();
rollback;
