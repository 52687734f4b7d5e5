-- Risk: a score with its reasons, by the organisation's thresholds, once for each of its local days.
begin;
select plan(21);
select tests.open_studio();
update public.clients set created_at = now() - interval '3 days' where org_id = :'kilo';
create function pg_temp.risk(p_client text) returns text language sql as $$
  select concat_ws(' ', r.tier, r.score, nullif(array_to_string(r.reasons, '; '), '')) from public.client_risk as r where r.client_id = tests.id(p_client);
$$;
select is(private.score_risk(:'kilo', now()), 3, 'every active client');
select is(pg_temp.risk('ann'), 'green 0', 'somebody new is at no risk');
update public.clients set created_at = now() - interval '15 days' where id = tests.id('ann');
select private.score_risk(:'kilo', now());
select is(pg_temp.risk('ann'), 'amber 45 No activity for 15 days; No session is booked', 'silence, and nothing booked');
insert into public.risk_settings (org_id, red_from, amber_from, inactive_days) values (:'kilo', 40, 20, 14);
select private.score_risk(:'kilo', now());
select is(pg_temp.risk('ann'), 'red 45 No activity for 15 days; No session is booked', 'the thresholds are the organisation''s');
update public.risk_settings set inactive_days = 7, red_from = 50, amber_from = 25;
select private.score_risk(:'kilo', now());
select is(pg_temp.risk('ann'), 'red 65 No activity for 15 days; No session is booked', 'twice as long weighs more');
update public.clients set created_at = now() - interval '60 days' where id = tests.id('ben');
insert into public.activity_events (org_id, client_id, type, payload, created_at)
select :'kilo', tests.id('ben'), 'workout', '{"completed": true}', now() - interval '8 days' + n * interval '1 hour' from generate_series(1, 4) as n;
insert into public.activity_events (org_id, client_id, type, payload, created_at) values (:'kilo', tests.id('ben'), 'workout', '{"completed": true}', now() - interval '1 hour');
select tests.make_package('done', 0);
update public.client_purchases set client_id = tests.id('ben') where id = tests.id('done');
insert into public.bookings (org_id, client_id, start_time, end_time, status, staff_id) values (:'kilo', tests.id('ben'), now() - interval '3 days', now() - interval '3 days' + interval '1 hour', 'confirmed', tests.id('second'));
update public.bookings set status = 'no_show' where client_id = tests.id('ben');
select private.score_risk(:'kilo', now());
select is(pg_temp.risk('ben'), 'red 50 No session is booked; No sessions are left; Less than half as active as the week before; Missed 1 session in 30 days', 'each reason has its points, the weightiest first');
insert into public.subscriptions (org_id, client_id, status) values (:'kilo', tests.id('kilo_client'), 'past_due');
select private.score_risk(:'kilo', now());
select is(pg_temp.risk('kilo_client'), 'amber 40 A payment is overdue', 'a subscription that is not paid');
select ok((select private.meets(f.facts, '[{"field": "subscription_status", "operator": "=", "value": "past_due"}]') from private.client_facts(:'kilo', array[tests.id('kilo_client')], now()) as f), 'which conditions may ask about');
select is((select count(*) from public.client_risk where client_id = tests.id('ann')), 1::bigint, 'one row for each client: the latest');
update public.clients set status = 'archived' where id = tests.id('ann');
select private.score_risk(:'kilo', now() + interval '1 day');
select is(pg_temp.risk('ann'), null, 'who has left is on no list');
select is((select distinct as_of_date from public.client_risk where org_id = :'kilo'), private.org_today(:'kilo', now() + interval '1 day'), 'as of the local day');

-- The sweep: each organisation when its own day begins.
update public.booking_settings set timezone = 'Pacific/Auckland' where org_id = tests.id('lima');
delete from private.risk_schedule;
create function pg_temp.sweep(p_now timestamptz, p_dry_run boolean default false) returns text language sql as $$
  select s.orgs || ' ' || s.scored from service.sweep_risk(p_now => p_now, p_dry_run => p_dry_run) as s;
$$;
select is(pg_temp.sweep('2027-06-01 09:00+10'), '2 3', 'both at first');
select is(pg_temp.sweep('2027-06-01 09:05+10'), '0 0', 'not again that day');
select is(pg_temp.sweep('2027-06-01 22:00+10', true), '1 0', 'a dry run only says so');
select is(pg_temp.sweep('2027-06-01 21:59+10'), '0 0', 'until midnight');
select is(pg_temp.sweep('2027-06-01 22:00+10'), '1 1', 'in Auckland, two hours ahead');
select is(pg_temp.sweep('2027-06-02 00:00+10'), '1 2', 'then in Brisbane');
select is((select string_agg(distinct as_of_date::text, ' ') from public.client_risk), '2027-06-02', 'each for its own date');

select tests.sign_in('coach@kilo.example');
select throws_ok($$ update public.client_risk set score = 0 $$, '42501', null, 'nobody writes a score');
select tests.refuses($$ update public.risk_settings set amber_from = 60 $$, 422, 'value_not_allowed', 'amber begins below red');
select tests.sign_in('client@kilo.example');
select is((select count(*) from public.client_risk), 0::bigint, 'a client sees none of it');
select * from finish();
rollback;
