-- Cancellations give a deposit back by the organisation's tiers, in their own transaction, once however often they are told.
begin;
select plan(43);
select tests.open_checkout();
create function pg_temp.back(p_name text) returns text language sql as $$
  select coalesce(string_agg(r.reason || ' ' || r.amount_cents, ', ' order by r.created_at, r.id), '') from public.refunds as r where r.deposit_id = tests.id(p_name) $$;

-- The policy.
select tests.sign_in('coach@kilo.example');
select is(set_refund_policy(:'kilo', '[{"hours_before": 24, "percent": 50}, {"hours_before": 72, "percent": 100}]'), '[{"hours_before": 72, "percent": 100}, {"hours_before": 24, "percent": 50}]'::jsonb, 'tiers are set, and read the most hours first');
select is(set_refund_policy(:'kilo', '[{"hours_before": 48, "percent": 100}, {"hours_before": 24, "percent": 50}]') -> 0 ->> 'hours_before', '48', 'set again, the others are gone');
select tests.refuses(format($$ select set_refund_policy(tests.id('kilo'), %L) $$, t.tiers), 422, 'value_not_allowed', t.title) from (values
  ('{}', 'no object'), ('[{"hours_before": 24}]', 'no tier without a percentage'), ('[{"hours_before": -1, "percent": 50}]', 'no time before'),
  ('[{"hours_before": 24, "percent": 101}]', 'no more than all'), ('[{"hours_before": 24, "percent": "x"}]', 'no words'), ('[{"hours_before": 24.5, "percent": 50}]', 'no half hours'),
  ('[{"hours_before": 24, "percent": 50}, {"hours_before": 24, "percent": 60}]', 'no two answers'),
  ('[{"hours_before": 24, "percent": 50}, {"hours_before": 48, "percent": 40}]', 'who cancels earlier gets no less'), ('[1]', 'no number')) as t (tiers, title);
select tests.refuses($$ select set_refund_policy(tests.id('kilo'), (select jsonb_agg(jsonb_build_object('hours_before', n, 'percent', n)) from generate_series(1, 11) as n)) $$, 422, 'value_not_allowed', 'ten are enough');
select tests.only_for_members($$ select set_refund_policy(tests.id('kilo'), '[]') $$, 'org_not_found', 'desk@kilo.example', 'set_refund_policy');
select is(private.refund_percent(:'kilo', now() + make_interval(hours => h.hours), now()), h.percent, format('%s hours before: %s', h.hours, h.percent))
  from (values (49, 100), (48, 100), (47, 50), (24, 50), (23, 0), (-1, 0)) as h (hours, percent);
select is(private.refund_percent(tests.id('lima'), now() + interval '25 hours', now()), 100, 'without tiers: all, outside the notice');
select is(private.refund_percent(tests.id('lima'), now() + interval '23 hours', now()), 0, 'nothing inside it');
select tests.sign_out();
select is(portal_overview(tests.id('ann_token')::text) -> 'refund_policy', '[{"hours_before": 48, "percent": 100}, {"hours_before": 24, "percent": 50}]'::jsonb, 'a client sees the policy');
select is(public_page('kilo') #>> '{refund_policy,0,hours_before}', '48', 'so does a visitor');
select tests.sign_in('client@kilo.example');
select is(count(*), 2::bigint, 'a signed-in client reads the tiers') from refund_tiers;
select tests.sign_in('coach@lima.example');
select is_empty($$ select from refund_tiers where org_id = tests.id('kilo') $$, 'another organisation does not');

-- A client cancels.
select tests.as_owner();
select is(tests.pay_deposit('early', tests.at(8, '09:00')), 'paid', 'a booking with a deposit');
select tests.sign_out();
select is(portal_cancel(tests.id('ann_token')::text, tests.id('early_booking')) ->> 'outcome', 'cancelled', 'cancelled early');
select is(portal_cancel(tests.id('ann_token')::text, tests.id('early_booking')) ->> 'outcome', 'cancelled', 'and again');
select tests.as_owner();
select is(pg_temp.back('early'), 'cancellation 2500', 'all of it goes back, once');

-- Late, in parts, by whoever cancels again.
select tests.pay_deposit('late', tests.at(9, '09:00'));
update public.bookings set start_time = now() + interval '30 hours', end_time = now() + interval '31 hours' where id = tests.id('late_booking');
select tests.sign_out();
select is(portal_cancel(tests.id('ann_token')::text, tests.id('late_booking')) ->> 'outcome', 'cancelled', 'cancelled thirty hours before');
select tests.as_owner();
select is(pg_temp.back('late'), 'cancellation 1250', 'half goes back');
select tests.sign_in('coach@kilo.example');
select lives_ok($$ update bookings set status = 'confirmed' where id = tests.id('late_booking') $$, 'the coach takes it back');
select lives_ok($$ update bookings set status = 'cancelled' where id = tests.id('late_booking') $$, 'and cancels it, by a direct write');
select tests.as_owner();
select is(pg_temp.back('late'), 'cancellation 1250, cancellation 1250', 'so the rest goes back');
select is(private.refundable_cents(e), 0::bigint, 'and nothing is left') from public.money_events as e where e.id = tests.id('late_payment');

-- A coach.
select tests.pay_deposit('coachs', tests.at(10, '09:00'));
update public.bookings set start_time = now() + interval '2 hours', end_time = now() + interval '3 hours' where id = tests.id('coachs_booking');
select tests.sign_in('coach@kilo.example');
select cancel_booking(tests.id('coachs_booking'), 'Ill');
select tests.as_owner();
select is(pg_temp.back('coachs'), 'cancellation 2500', 'a coach who cancels gives all of it back, however late');
select tests.pay_deposit('charged', tests.at(11, '09:00'));
update public.bookings set start_time = now() + interval '2 hours', end_time = now() + interval '3 hours' where id = tests.id('charged_booking');
select tests.sign_in('coach@kilo.example');
select cancel_booking(tests.id('charged_booking'), 'Late', true);
select tests.as_owner();
select is(pg_temp.back('charged'), '', 'unless they hold the client to the policy');
select is(count(*), 0::bigint, 'a booking without a deposit gives nothing back')
  from (select private.refund_cancelled(b, 100, null) as id from public.bookings as b where b.id = tests.id('kilo_booking')) as x where x.id is not null;

select * from finish();
rollback;
