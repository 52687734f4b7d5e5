-- Deposits: the slot is held while it is paid, booked once it is, free again when it is not, and money that comes too late goes back.
begin;
select plan(61);
select tests.open_checkout();

-- What is asked.
select is(private.deposit_amount(t), a.amount, a.title) from (values
  (null::integer, null::integer, 10000, null::bigint, 'a type without one asks none'),
  (2500, null, 10000, 2500, 'a fixed deposit is what it says'),
  (2500, null, 2000, 2000, 'never more than the price'),
  (2500, null, null, 2500, 'also where there is no price'),
  (null, 25, 9990, 2498, 'a percentage is rounded to the minor unit'),
  (null, 1, 40, null, 'and nothing is nothing')) as a (cents, percent, price, amount, title)
 cross join lateral (select jsonb_populate_record(null::public.session_types, jsonb_build_object('deposit_cents', a.cents, 'deposit_percent', a.percent, 'price_cents', a.price)) as t) as x;
select tests.sign_in('coach@kilo.example');
select lives_ok($$ update session_types set deposit_percent = 30, deposit_cents = null where id = tests.id('paid') $$, 'a coach sets a percentage');
select lives_ok($$ update session_types set deposit_percent = null, deposit_cents = 2500 where id = tests.id('paid') $$, 'or an amount');
select tests.refuses($$ update session_types set deposit_percent = 30 where id = tests.id('paid') $$, 422, 'value_not_allowed', 'not both');
select tests.refuses($$ update session_types set deposit_percent = 30 where id = tests.id('pt') $$, 422, 'value_not_allowed', 'no percentage of no price');
select tests.refuses($$ update session_types set deposit_percent = 101, deposit_cents = null where id = tests.id('paid') $$, 422, 'value_not_allowed', 'not more than all of it');
select tests.sign_in('coach@lima.example');
select tests.changes_nothing($$ update session_types set deposit_cents = 100 where id = tests.id('paid') $$, 'another organisation changes nothing');

-- Asking.
select tests.sign_out();
select portal_book(tests.id('ann_token')::text, tests.at(8, '09:00'), null, tests.id('paid'), tests.id('staff'), p_notes => 'Left knee') as asked \gset
select is(:'asked'::jsonb - 'deposit_id', jsonb_build_object('outcome', 'deposit_due', 'amount_cents', 2500, 'currency', 'aud', 'start_time', tests.at(8, '09:00'),
          'expires_at', now() + interval '10 minutes', 'refund_policy', '[{"hours_before": 24, "percent": 100}]'::jsonb), 'who has no package is asked for the deposit, and told the policy');
select tests.remember('first', (:'asked'::jsonb ->> 'deposit_id')::uuid);
select is(tests.ask_deposit('again', tests.at(8, '09:00')), 'deposit_due', 'asked again');
select is(tests.id('again'), tests.id('first'), 'it is the same deposit');
select is(tests.ask_deposit('other', tests.at(8, '09:00'), 'ben_token'), 'taken', 'nobody else has the time');
select is(deposit_state(tests.id('first')) - 'refund_policy', jsonb_build_object('deposit_id', tests.id('first'), 'status', 'due', 'booking_id', null, 'amount_cents', 2500, 'currency', 'aud',
          'start_time', tests.at(8, '09:00'), 'expires_at', now() + interval '10 minutes'), 'its page shows it');
select is(deposit_state(gen_random_uuid()) ->> 'details', 'deposit_not_found', 'a page for no deposit does not exist');
select tests.remember('click', gen_random_uuid());
select is(tests.ask_deposit('clicked', tests.at(8, '10:00'), 'ann_token', tests.id('click')), 'deposit_due', 'with a request id');
select is(tests.ask_deposit('clicked2', tests.at(8, '10:00'), 'ann_token', tests.id('click')), 'deposit_due', 'again');
select is(tests.id('clicked2'), tests.id('clicked'), 'it is one');
select tests.refuses($$ select tests.ask_deposit('x', tests.at(8, '11:00'), 'ben_token', tests.id('click')) $$, 409, 'request_reused', 'and nobody else''s');
select is(portal_book(tests.id('token')::text, tests.at(9, '09:00'), null, tests.id('paid'), tests.id('staff')) ->> 'outcome', 'booked', 'who has a package pays by it');
select is(public_book('kilo', tests.at(9, '11:00'), 'New', 'new@x.example', null, tests.id('paid'), tests.id('staff')) ->> 'outcome', 'deposit_due', 'the public page asks too');
select is(public_book('kilo', tests.at(9, '11:00'), 'New', 'new@x.example', null, tests.id('paid'), tests.id('staff')) ->> 'outcome', 'taken', 'whoever knows the email is given nobody''s deposit');
select is(portal_book(tests.id('ann_token')::text, tests.at(9, '10:00'), null, tests.id('pt')) ->> 'outcome', 'package_exhausted', 'a type without a deposit is booked by packages alone');
select tests.sign_in('client@kilo.example');
select tests.refuses($$ insert into bookings (org_id, client_id, start_time, end_time, session_type) values (tests.id('kilo'), tests.id('kilo_client'), tests.at(12, '09:00'), tests.at(12, '10:00'), 'massage') $$,
                     402, 'deposit_required', 'a client''s own insert cannot pass it by');
select tests.sign_in('coach@kilo.example');
select is(book(:'kilo', tests.id('ann'), tests.at(12, '10:00'), tests.id('paid'), tests.id('staff')) ->> 'outcome', 'booked', 'a coach books without one');
select tests.as_owner();
update public.stripe_accounts set charges_enabled = false where org_id = tests.id('kilo');
select tests.sign_out();
select tests.refuses($$ select tests.ask_deposit('x', tests.at(10, '09:00')) $$, 409, 'payments_not_set_up', 'where no card can be taken nothing is held');
select tests.as_owner();
update public.stripe_accounts set charges_enabled = true where org_id = tests.id('kilo');
select private.set_brake('payments', tests.id('kilo'), 'Stripe is down', null, true);
select tests.sign_out();
select tests.refuses($$ select tests.ask_deposit('x', tests.at(10, '09:00')) $$, 423, 'brake_on', 'nor under the brake');
select tests.as_owner();
select is((service.claim_deposits(p_now => now() + interval '1 hour') -> 'work')::text, '[]', 'under which the sweep leaves everything due');
select private.set_brake('payments', tests.id('kilo'), 'It is up', null, false);

-- The intent.
select is(service.open_deposit(tests.id('first')) - 'client_id', jsonb_build_object('org_id', :'kilo', 'deposit_id', tests.id('first'), 'account', 'acct_kilo', 'payment_intent_id', null, 'amount_cents', 2500,
          'currency', 'aud', 'application_fee_cents', 125, 'action', 'create'), 'the page''s step says what to create, with the platform''s share');
select is(intent_status, 'asked', 'and marks it before it is') from public.deposits where id = tests.id('first');
select is(service.record_deposit(tests.id('first'), tests.intent('first', 'requires_payment_method')), 'due', 'what was made is recorded');
select is((intent_status, stripe_payment_intent_id, next_at)::text, ('open', tests.intent('first') ->> 'id', expires_at)::text, 'and looked at when the time is over') from public.deposits where id = tests.id('first');
select is(service.open_deposit(tests.id('first')) ->> 'action', 'read', 'a page that comes again reads it');
select tests.refuses($$ select service.open_deposit(gen_random_uuid()) $$, 404, 'deposit_not_found', 'no deposit, no intent');

-- Paid in time.
select is(private.apply_deposit_event(:'kilo', tests.id('first'), 'payment_intent.payment_failed', tests.intent('first', 'requires_payment_method')), 'due', 'a declined card may be tried again');
select is(private.apply_deposit_event(:'kilo', tests.id('first'), 'payment_intent.succeeded', tests.intent('first')), 'paid', 'paid, it is booked');
select is(private.apply_deposit_event(:'kilo', tests.id('first'), 'payment_intent.succeeded', tests.intent('first')), 'paid', 'told again, nothing changes');
select is(private.apply_deposit_event(:'kilo', tests.id('first'), 'payment_intent.canceled', tests.intent('first', 'canceled')), 'paid', 'and a late word of a cancellation is passed over');
select is((b.client_id, b.status, b.client_notes, b.booking_source, b.session_type_id, b.start_time)::text, (tests.id('ann'), 'confirmed', 'Left knee', 'client', tests.id('paid'), tests.at(8, '09:00'))::text, 'for whom it was held')
  from public.bookings as b join public.deposits as d on d.booking_id = b.id where d.id = tests.id('first');
select is(tests.money(), 'INCOME 2500', 'the money is booked once');
select is((deposit_state(tests.id('first'))) ->> 'status', 'paid', 'its page says so');
select is(private.apply_deposit_event(:'kilo', tests.id('clicked'), 'payment_intent.succeeded', tests.intent('clicked')), 'paid', 'the request is paid');
select tests.sign_out();
select is(tests.ask_deposit('x', tests.at(8, '10:00'), 'ann_token', tests.id('click')), 'booked', 'the same request is then answered with the booking');
select tests.as_owner();

-- Paid twice, and paid wrongly.
select is(private.apply_deposit_event(:'kilo', tests.id('first'), 'payment_intent.succeeded', tests.intent('first', 'succeeded', '{"id": "pi_second"}')), 'paid', 'a second payment of one deposit');
select is((amount_cents, reason, stripe_payment_intent_id)::text, '(2500,paid_twice,pi_second)', 'goes back whole') from public.refunds where deposit_id = tests.id('first');
select is(tests.money(), 'INCOME 2500, INCOME 2500, INCOME 2500', 'and all that came in is booked');
select tests.ask_deposit('wrong', tests.at(10, '09:00'));
select tests.refuses(format($$ select private.apply_deposit_event(tests.id('kilo'), tests.id('wrong'), 'payment_intent.succeeded', tests.intent('wrong', 'succeeded', %L)) $$, m.more), 409, 'payment_mismatch', m.title)
  from (values ('{"amount_received": 2499}', 'another amount is refused and kept'), ('{"currency": "usd"}', 'another currency too'), ('{"amount_received": 99999999999}', 'and one that overflows')) as m (more, title);
select tests.refuses($$ select private.apply_deposit_event(tests.id('lima'), tests.id('wrong'), 'payment_intent.succeeded', tests.intent('wrong')) $$, 404, 'deposit_not_found', 'another organisation''s account pays nothing here');

-- Unpaid.
select jsonb_array_length(service.claim_deposits(p_now => now() + interval '11 minutes') -> 'work') as claimed \gset
select is(status, 'expired', 'unpaid it expires') from public.deposits where id = tests.id('wrong');
select is((expired)::text, '2', 'and the time is free again') from service.sweep_expired_holds(p_now => now() + interval '13 minutes');
select tests.sign_out();
select is(tests.ask_deposit('bens', tests.at(10, '09:00'), 'ben_token'), 'deposit_due', 'for anybody');
select tests.as_owner();

-- Late.
select is(private.apply_deposit_event(:'kilo', tests.id('wrong'), 'payment_intent.succeeded', tests.intent('wrong')), 'late', 'paid late it is told so');
select is((reason, amount_cents, status)::text, '(late_payment,2500,requested)', 'goes back whole') from public.refunds where deposit_id = tests.id('wrong');
select is(count(*), 1::bigint, 'the coach is told') from public.alerts where kind = 'deposit_late' and client_id = tests.id('ann');
select is(string_agg(m.channel, ',' order by m.channel), 'email,sms', 'and the client') from public.outbox_messages as m where m.kind = 'deposit_late' and m.client_id = tests.id('ann');
select tests.calendar_holds('the calendar agrees');

select * from finish();
rollback;
