-- Webhooks: a post is lent, tried again with growing pauses, ends taken or failed, and its run knows.
begin;
select plan(33);
select tests.open_studio();
insert into public.webhook_endpoints (org_id, name, url, secret_encrypted) values (:'kilo', 'Books', 'https://hooks.example/1', 'secret') returning id as endpoint \gset
insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
values (:'kilo', 'Post', '{"type": "schedule", "schedule": "daily"}', '[]', format('[{"type": "webhook", "params": {"endpoint_id": "%s"}}]', :'endpoint')::jsonb, '{}') returning id as post \gset
select tests.remember('post', :'post'), tests.remember('endpoint', :'endpoint');
create function pg_temp.claim(p_after interval, p_limit integer default 10) returns bigint language sql as $$
  select count(*) from service.claim_webhooks('w', p_limit, 60, now() + p_after);
$$;
create function pg_temp.report(p_after interval, p_outcome text, p_away boolean default false, p_retry_after integer default null) returns text language sql as $$
  select r.recorded || ' ' || r.stale from service.record_webhooks((
    select jsonb_agg(jsonb_build_object('org_id', d.org_id, 'id', d.id, 'claim', d.claim, 'outcome', p_outcome, 'http_status', 500, 'error_code', 'http_500', 'is_away', p_away, 'retry_after_secs', p_retry_after))
      from public.webhook_deliveries as d where d.status = 'sending'), now() + p_after) as r;
$$;
create function pg_temp.standing() returns text language sql as $$
  select string_agg(distinct concat_ws(' ', d.status, d.error_code), ', ') from public.webhook_deliveries as d;
$$;
select service.run_automation(:'post', tests.id('ann'));
select is((select status || ' ' || (actions_fired -> 0 ->> 'status') from public.automation_runs), 'ok pending', 'its run waits for it');
select is((select string_agg(k, ' ' order by k) from public.webhook_deliveries as d, jsonb_object_keys(d.payload -> 'data') as k), 'automation automation_id client_id due_at event facts org_id run_id', 'it tells ids and facts');
select unalike(payload::text, '%Ann%', 'and no names') from public.webhook_deliveries;
select is((select string_agg(url || ' ' || secret_encrypted || ' ' || attempt_number, ',') from service.claim_webhooks('w', 10, 60, now())), 'https://hooks.example/1 secret 1', 'a worker borrows it');
select is(pg_temp.claim('59 seconds'), 0::bigint, 'alone, for as long as its lease');
select is(pg_temp.claim('61 seconds'), 1::bigint, 'then another may');
select is((select r.recorded || ' ' || r.stale from service.record_webhooks(jsonb_build_array(jsonb_build_object('org_id', :'kilo', 'id', (select id from public.webhook_deliveries), 'claim', gen_random_uuid(), 'outcome', 'ok'))) as r), '0 1', 'and the first one''s report counts for nothing');
select is(pg_temp.report('61 seconds', 'ok'), '1 0', 'the second one''s does');
select is((select status || ' ' || (actions_fired -> 0 ->> 'status') from public.automation_runs), 'ok ok', 'its run is done');
select is(pg_temp.standing(), 'ok', 'so is the post');
select is(pg_temp.claim('1 day'), 0::bigint, 'for good');

-- An endpoint that is away rests; what waits is not tried one by one.
select service.run_automation(:'post', tests.id('ann')), service.run_automation(:'post', tests.id('ben')), service.run_automation(:'post', tests.id('kilo_client'));
select is(pg_temp.claim('0', 2), 2::bigint, 'two are tried');
select is(pg_temp.report('0', 'retry', true), '2 0', 'and fail together');
select is((select failures || ' ' || (rests_until - now()) from public.webhook_endpoints), '1 00:00:30', 'that is one failure of the endpoint');
select is(pg_temp.claim('29 seconds'), 0::bigint, 'so long nothing is tried, not even the third');
select is(pg_temp.claim('30 seconds') || pg_temp.report('30 seconds', 'retry', true), '11 0', 'one tries');
select is((select failures || ' ' || (rests_until - now()) from public.webhook_endpoints), '2 00:01:30', 'the rest is twice as long');
select is(pg_temp.claim('90 seconds') || pg_temp.report('90 seconds', 'retry', true, 600), '11 0', 'once more');
select is((select failures || ' ' || (rests_until - now()) from public.webhook_endpoints), '3 00:11:30', 'as long as it asks for');
select is(pg_temp.claim('12 minutes') || pg_temp.report('12 minutes', 'ok'), '11 0', 'one asks whether it is back');
select is(pg_temp.claim('12 minutes') || pg_temp.report('12 minutes', 'ok'), '22 0', 'and when it is all go');
select is((select failures || ' ' || (rests_until is null) from public.webhook_endpoints), '0 true', 'and it is as new');

-- Refused for good, or too often, or for too long.
select service.run_automation(:'post', tests.id('ann'));
select is(pg_temp.claim('0') || pg_temp.report('0', 'failed'), '11 0', 'a post that cannot be made');
select is((select string_agg(reason || ' ' || status, '') from public.automation_runs where status = 'failed'), 'webhook: http_500 failed', 'fails its run, which says which action');
select is((select status from public.automation_firings order by status = 'failed' desc limit 1), 'failed', 'and its firing');
select service.run_automation(:'post', tests.id('ben'));
do $$
begin
  for n in 1 .. 8 loop
    perform pg_temp.claim(n * interval '1 day' / 4), pg_temp.report(n * interval '1 day' / 4, 'retry');
  end loop;
end; $$;
select is((select status || ' ' || attempts from public.webhook_deliveries order by created_at desc, attempts desc limit 1), 'failed 8', 'what is refused eight times has failed');
select service.run_automation(:'post', tests.id('ben'));
select is(pg_temp.claim('73 hours'), 0::bigint, 'what nobody took in three days');
select is((select count(*) from public.automation_runs where reason = 'webhook: expired'), 1::bigint, 'has failed too');
update public.webhook_endpoints set is_active = false;
select is(service.run_automation(:'post', tests.id('ben')) ->> 'reason', 'webhook: endpoint_off', 'an endpoint that is off takes nothing');

select tests.sign_in('coach@kilo.example');
select throws_ok('select secret_encrypted from public.webhook_endpoints', '42501', null, 'nobody reads the secret');
select throws_ok($$ update public.webhook_endpoints set url = 'https://elsewhere.example' $$, '42501', null, 'nor leads its posts elsewhere');
select lives_ok($$ update public.webhook_endpoints set is_active = true, name = 'Ledger' $$, 'but switches and names it');
select tests.as_owner();
select service.run_automation(:'post', tests.id('ben'));
select service.remove_webhook_endpoint(:'endpoint');
select is((select count(*) from public.automation_runs where reason = 'webhook: endpoint_removed'), 1::bigint, 'what waits for an endpoint that is removed fails');
select * from finish();
rollback;
