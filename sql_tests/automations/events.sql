-- What starts automations: a completed booking by any door, a package that runs low, a birthday, silence, turning red.
begin;
select plan(25);
select tests.open_studio();
create function pg_temp.wait_for(p_event text, p_more jsonb default '{}') returns void language sql as $$
  insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
  values (tests.id('kilo'), p_event, jsonb_build_object('type', 'event', 'event', p_event) || p_more, '[]', '[{"type": "notify_trainer"}]', '{}');
$$;
create function pg_temp.fired(p_event text) returns text language sql as $$
  select coalesce(string_agg(split_part(c.full_name, ' ', 1), ' ' order by c.full_name), '') from public.automation_firings as f
    join public.clients as c on c.org_id = f.org_id and c.id = f.client_id where f.event = p_event;
$$;
select pg_temp.wait_for('booking_completed'), pg_temp.wait_for('package_low', '{"sessions": 1}');

-- Bookings: the app's own update, the RPC, the sweep; each once, and none that only ended otherwise.
select tests.make_booking('a', null, now() - interval '9 hours'), tests.make_booking('b', null, now() - interval '7 hours'), tests.make_booking('c', null, now() - interval '5 hours'), tests.make_booking('d', null, now() - interval '3 hours', 'no_show');
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'completed' where id = tests.id('a');
select complete_booking(tests.id('b'));
select tests.as_owner();
select is((select count(*) from public.automation_firings where event = 'booking_completed'), 2::bigint, 'completed by hand, in the app and by the function');
select service.sweep_overdue_bookings();
select is((select count(*) from public.automation_firings where event = 'booking_completed'), 3::bigint, 'or by the sweep');
select service.sweep_overdue_bookings();
select is((select count(distinct event_key) from public.automation_firings where event = 'booking_completed'), 3::bigint, 'each once; a no-show is none');
select tests.make_booking('e', null, now() - interval '11 hours');
select service.complete_booking(tests.id('e'));
select is((select count(*) from public.automation_firings where event = 'booking_completed'), 4::bigint, 'after a sweep in the same transaction too');

select tests.make_package('pack', 3);
select private.take_session(:'kilo', tests.id('pack'), null, gen_random_uuid(), null);
select is(pg_temp.fired('package_low'), '', 'two left are not few here');
select private.take_session(:'kilo', tests.id('pack'), null, gen_random_uuid(), null);
select is(pg_temp.fired('package_low'), 'Client', 'one is');
select private.take_session(:'kilo', tests.id('pack'), null, gen_random_uuid(), null);
select is(pg_temp.fired('package_low'), 'Client', 'none is no second time');

-- A daily look, by the clock on the wall.
delete from public.automations;
select pg_temp.wait_for('birthday', '{"time": "08:00"}'), pg_temp.wait_for('inactivity', '{"days": 10}');
select is((select (next_run_at at time zone 'Australia/Brisbane')::time from public.automations where name = 'birthday'), '08:00'::time, 'birthdays are looked for once a day');
update public.clients set date_of_birth = '1990-03-05' where id = tests.id('ann');
update public.clients set date_of_birth = '1992-02-29' where id = tests.id('ben');
update public.clients set created_at = '2027-01-01' where org_id = :'kilo';
create function pg_temp.look(p_at timestamptz) returns void language plpgsql as $$
begin
  update public.automations set next_run_at = p_at where next_run_at is not null;
  perform service.sweep_automations(p_now => p_at);
end;
$$;
delete from public.automations where name = 'inactivity';
select pg_temp.look('2027-02-27 08:00+10');
select is(pg_temp.fired('birthday'), '', 'nobody''s birthday');
select pg_temp.look('2027-02-28 08:00+10');
select is(pg_temp.fired('birthday'), 'Ben', 'who was born on a 29 February has one every year');
select pg_temp.look('2027-03-01 08:00+10');
select is(pg_temp.fired('birthday'), 'Ben', 'and one a year');
select pg_temp.look('2028-02-28 08:00+10');
select is(pg_temp.fired('birthday'), 'Ben', 'a leap year');
select pg_temp.look('2028-02-29 08:00+10');
select is(pg_temp.fired('birthday'), 'Ben Ben', 'has their own day');
-- The look of the fifth was missed.
update public.automations set next_run_at = '2028-03-05 08:00+10' where name = 'birthday';
select service.sweep_automations(p_now => '2028-03-06 09:00+10');
select is(pg_temp.fired('birthday'), 'Ann Ben Ben', 'yesterday''s is told when yesterday was missed');
select is((select count(*) from public.automation_runs), 4::bigint - 1, 'each has a run');

select pg_temp.wait_for('inactivity', '{"days": 10}');
select tests.remember('thread', private.thread_of(:'kilo', tests.id('ann')));
insert into public.messages (org_id, thread_id, sender_type, body, created_at) values (:'kilo', tests.id('thread'), 'client', 'Hi', '2028-03-01 10:00+10');
insert into public.activity_events (org_id, client_id, type, payload, created_at) values (:'kilo', tests.id('ben'), 'workout', '{"completed": true}', '2028-03-05 10:00+10');
update public.clients set status = 'paused' where id = tests.id('kilo_client');
select pg_temp.look('2028-03-10 09:00+10');
select is(pg_temp.fired('inactivity'), '', 'nine days are not ten');
select pg_temp.look('2028-03-11 09:00+10');
select is(pg_temp.fired('inactivity'), 'Ann', 'ten are');
select pg_temp.look('2028-03-12 09:00+10'), pg_temp.look('2028-03-13 09:00+10');
select is(pg_temp.fired('inactivity'), 'Ann', 'once for as long as she is silent');
select pg_temp.look('2028-03-15 09:00+10');
select is(pg_temp.fired('inactivity'), 'Ann Ben', 'Ben by then');
insert into public.messages (org_id, thread_id, sender_type, body, created_at) values (:'kilo', tests.id('thread'), 'client', 'Back', '2028-03-16 10:00+10');
select pg_temp.look('2028-03-17 09:00+10'), pg_temp.look('2028-03-26 09:00+10');
select is(pg_temp.fired('inactivity'), 'Ann Ann Ben', 'again when she has been back and falls silent again');

-- Turning red.
delete from public.automations;
select pg_temp.wait_for('risk_red');
insert into public.risk_settings (org_id, red_from, amber_from) values (:'kilo', 50, 25);
select private.score_risk(:'kilo', now() + interval '400 days');
select is(pg_temp.fired('risk_red'), 'Ann Ben', 'who turns red is an event');
select private.score_risk(:'kilo', now() + interval '401 days');
select is(pg_temp.fired('risk_red'), 'Ann Ben', 'who stays red is none');
insert into public.activity_events (org_id, client_id, type, payload, created_at) values (:'kilo', tests.id('ben'), 'workout', '{"completed": true}', now() + interval '402 days');
select private.score_risk(:'kilo', now() + interval '403 days');
select is((select tier from public.client_risk where client_id = tests.id('ben')), 'green', 'who is active again is not red');
select private.score_risk(:'kilo', now() + interval '440 days');
select is(pg_temp.fired('risk_red'), 'Ann Ben Ben', 'and may turn red again');
select is((select count(*) from public.automation_firings where org_id = tests.id('lima')), 0::bigint, 'nothing of it is another organisation''s');
select * from finish();
rollback;
