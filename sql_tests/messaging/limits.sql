-- Limits: so many SMS an hour for an organisation, so many a day for a client; what is above waits, or expires.
begin;
select plan(23);
select tests.open_messaging();
update public.sms_settings set max_sms_per_hour = 5, max_sms_per_client_per_day = 3 where org_id = :'kilo';
create function pg_temp.noon(p_minutes integer default 0) returns timestamptz language sql as $$ select tests.at(5, '12:00') + make_interval(mins => p_minutes) $$;
create function pg_temp.fill(p_client text, p_n integer, p_kind text default 'direct', p_prefix text default '') returns void language sql as $$
  select tests.queue(p_prefix || p_client || n, p_kind, p_client, p_at => pg_temp.noon(-1), p_now => pg_temp.noon(-1), p_expires_at => pg_temp.noon(60 * 72)) from generate_series(1, p_n) as n $$;
create function pg_temp.n(p_now timestamptz, p_limit integer default 100) returns bigint language sql as $$ select count(*) from service.claim_messages('w', p_limit, p_now => p_now) $$;
select pg_temp.fill('ann', 2), pg_temp.fill('ben', 2), pg_temp.fill('kilo_client', 3);
select is(pg_temp.n(pg_temp.noon()), 5::bigint, 'five an hour');
select is(pg_temp.n(pg_temp.noon()), 0::bigint, 'and none more');
select is(array_agg(next_at order by next_at), array[pg_temp.noon(60), pg_temp.noon(60)], 'the others wait until there is room') from public.outbox_messages where status = 'queued';
select is(pg_temp.n(pg_temp.noon(59)), 0::bigint, 'after 59 minutes there is none');
select is(pg_temp.n(pg_temp.noon(60)), 2::bigint, 'after sixty there is');
update public.outbox_messages set status = 'sent' where status in ('unknown', 'sending');
update public.sms_settings set max_sms_per_hour = null where org_id = :'kilo';

-- By client and local day.
select pg_temp.fill('ann', 3, p_prefix => 'more ');
select is(pg_temp.n(pg_temp.noon(70)), 1::bigint, 'three a day for one client');
select is(array_agg(next_at), array[tests.at(6, '00:00'), tests.at(6, '00:00')], 'the others wait for the next local day') from public.outbox_messages where status = 'queued';
select is(pg_temp.n(tests.at(6, '00:00')), 2::bigint, 'when they go');
select tests.queue('useless', p_at => pg_temp.noon(80), p_now => pg_temp.noon(80), p_expires_at => tests.at(6, '00:00'));
delete from public.outbox_messages where status = 'queued' and id <> tests.id('useless');
select is((pg_temp.n(pg_temp.noon(80)), tests.standing('useless'))::text, '(0,"expired client_limit")', 'what is of no use then expires');
select tests.queue('mail', p_channel => 'email', p_at => pg_temp.noon(80), p_now => pg_temp.noon(80));
select is(tests.claim(pg_temp.noon(80)), 'mail', 'emails are not counted');
update public.sms_settings set max_sms_per_client_per_day = null where org_id = :'kilo';
select tests.queue('free', p_at => pg_temp.noon(81), p_now => pg_temp.noon(81));
select is(tests.claim(pg_temp.noon(81)), 'free', 'no limit is no limit');

-- What counts: attempts that may have reached the provider; a coach's own notices are not the client's.
delete from public.outbox_messages;
update public.sms_settings set max_sms_per_client_per_day = 1 where org_id = :'kilo';
select private.queue_message(:'kilo', 'sms', 'coach_notice', tests.id('ann'), 'notice' || n, p_to_address => '+61400000009', p_metadata => '{"notice": "booked"}', p_scheduled_for => pg_temp.noon(-1), p_now => pg_temp.noon(-1))
  from generate_series(1, 3) as n;
select pg_temp.fill('ann', 1);
select is(pg_temp.n(pg_temp.noon()), 4::bigint, 'notices to the coach neither count nor are held back');
select tests.report('ann1', 'deferred', p_now => pg_temp.noon());
select is(pg_temp.n(pg_temp.noon(1)), 1::bigint, 'one that was certainly not sent does not count');
select pg_temp.fill('ann', 1, p_prefix => 'second ');
select is(pg_temp.n(pg_temp.noon(2)), 0::bigint, 'one that is on its way does');
select tests.report('ann1', 'unknown', p_now => pg_temp.noon(2));
update public.outbox_messages set next_at = pg_temp.noon(3) where id = tests.id('second ann1');
select is(pg_temp.n(pg_temp.noon(3)), 0::bigint, 'as does one of which nobody knows');
select tests.queue('lead' || n, p_client => null, p_at => pg_temp.noon(3), p_now => pg_temp.noon(3)) from generate_series(1, 4) as n;
select is(pg_temp.n(pg_temp.noon(3)), 4::bigint, 'people who are no clients are not one client');

-- Neither limit starves anybody.
delete from public.outbox_messages;
update public.sms_settings set max_sms_per_hour = 2, max_sms_per_client_per_day = null where org_id = :'kilo';
insert into public.outbox_messages (org_id, channel, kind, client_id, status, next_at, expires_at, priority)
select :'kilo', 'sms', 'marketing', tests.id('ann'), 'queued', pg_temp.noon(-60), pg_temp.noon(60 * 48), 1 from generate_series(1, 500);
insert into public.sms_settings (org_id, quiet_hours_start) values (:'lima', null);
insert into public.outbox_messages (org_id, id, channel, kind, client_id, status, next_at, expires_at, priority)
values (:'lima', tests.remember('limas', gen_random_uuid()), 'sms', 'marketing', :'lima_client', 'queued', pg_temp.noon(-1), pg_temp.noon(60), 1);
select matches(tests.claim(pg_temp.noon(), 3), 'limas', 'an organisation behind another''s backlog gets its turn in the same claim');
select ok((select count(*) from public.outbox_messages where next_at > pg_temp.noon() and status = 'queued') <= 20, 'without the backlog being written anew each time');

-- Priorities within a limit.
delete from public.outbox_messages;
update public.sms_settings set max_sms_per_hour = 1 where org_id = :'kilo';
select tests.queue('news', 'marketing', p_at => pg_temp.noon(-60), p_now => pg_temp.noon(-60), p_expires_at => pg_temp.noon(600)), tests.queue('reminder', p_at => pg_temp.noon(), p_now => pg_temp.noon());
select is(tests.claim(pg_temp.noon()), 'reminder', 'what room there is goes to what is about a session');

-- By default, and of everybody alike.
delete from public.outbox_messages;
delete from public.sms_settings;
insert into public.outbox_messages (org_id, channel, kind, client_id, status, next_at, expires_at, priority)
select o, 'sms', 'direct', c, 'queued', pg_temp.noon(-60), pg_temp.noon(60), 0
  from (values (:'kilo'::uuid, tests.id('ann')), (:'lima', :'lima_client')) as x (o, c), generate_series(1, 8);
select is(pg_temp.n(pg_temp.noon()), 10::bigint, 'without settings: five a day for each client');
delete from public.outbox_messages;
insert into public.outbox_messages (org_id, channel, kind, to_address, status, next_at, expires_at, priority)
select :'kilo', 'sms', 'direct', '+6140000' || (1000 + n), 'queued', pg_temp.noon(-60), pg_temp.noon(60), 0 from generate_series(1, 130) as n;
select is((pg_temp.n(pg_temp.noon(), 1000), pg_temp.n(pg_temp.noon(), 1000))::text, '(100,0)', 'and a hundred an hour');
select is((select count(*) from public.outbox_messages where status = 'queued'), 30::bigint, 'thirty wait');
select tests.sign_in('coach@kilo.example');
insert into sms_settings (org_id) values (:'kilo');
select tests.refuses($$ update sms_settings set max_sms_per_hour = 0 $$, 422, 'value_not_allowed', 'a limit of none an hour is refused');
select * from finish();
rollback;
