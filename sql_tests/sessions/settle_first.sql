-- settle_first: a click that names nothing first settles what the calendar has just completed, oldest first.
begin;
select plan(26);

select tests.make_package('pack', 3), tests.make_package('tight', 1);
select tests.make_booking('older', 'pack', now() - interval '2 days'), tests.make_booking('newer', 'pack', now() - interval '1 day'),
       tests.make_booking('missed', 'pack', now() - interval '3 days'), tests.make_booking('one', 'tight', now() - interval '50 hours'),
       tests.make_booking('two', 'tight', now() - interval '26 hours');

-- The calendar's own sequence, once for each booking.
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'completed' where id = tests.id('newer');
update public.bookings set status = 'completed' where id = tests.id('older');
select is((settlement, due_since is not null)::text, '(due,t)', 'a completed booking is due') from public.bookings
  where id = tests.id('older');
select ok(use_session(tests.id('pack')), 'the call that follows is true');
select is(settlement, 'charged', 'the older booking is charged first') from public.bookings
  where id = tests.id('older');
select is(settlement, 'due', 'the newer waits') from public.bookings where id = tests.id('newer');
select ok(use_session(tests.id('pack')), 'the second call, inside the click window, is not taken for the same click');
select is(settlement, 'charged', 'it charges the newer') from public.bookings where id = tests.id('newer');
select is(sessions_used, 2, 'two bookings, two sessions') from public.client_purchases where id = tests.id('pack');
select results_eq($$ select reason, booking_id from public.session_entries where purchase_id = tests.id('pack')
                     order by created_at $$,
                  $$ values ('completion', tests.id('older')), ('completion', tests.id('newer')) $$,
                  'the ledger names them');

-- The same tab loads twice, another tab is late.
select ok(use_session(tests.id('pack')), 'a third call with nothing due is the same click');
select tests.refuses($$ update public.bookings set status = 'completed' where id = tests.id('older') $$,
                     409, 'booking_not_confirmed',
                     'a tab that completes it again is refused, and so does not call');
select is(sessions_used, 2, 'still two') from public.client_purchases where id = tests.id('pack');
select tests.sign_in('desk@kilo.example');
select tests.refuses($$ update public.bookings set status = 'completed' where id = tests.id('older') $$,
                     409, 'booking_not_confirmed',
                     'another person''s tab likewise');

-- What a no-show owes is not what a click means.
select tests.as_owner();
update public.booking_settings set no_show_policy = 'charge', session_click_window_secs = 0 where org_id = :'kilo';
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'no_show' where id = tests.id('missed');
select ok(use_session(tests.id('pack')), 'a click beside a no-show takes its own session');
select is(settlement, 'due', 'the no-show is left to the sweep') from public.bookings where id = tests.id('missed');
select is(reason, 'click', 'the ledger says a click') from public.session_entries where purchase_id = tests.id('pack')
  order by created_at desc limit 1;

-- Two bookings on the last session.
update public.bookings set status = 'completed' where id in (tests.id('one'), tests.id('two'));
select ok(use_session(tests.id('tight')), 'the first of two on the last session is true');
select ok(not use_session(tests.id('tight')), 'the second is false');
select is(settlement, 'charged', 'the older has it') from public.bookings where id = tests.id('one');
select is((settlement, due_since)::text, '(uncovered,)', 'the newer is uncovered') from public.bookings
  where id = tests.id('two');
select is(count(*), 1::bigint, 'and the coach is told') from public.alerts
  where booking_id = tests.id('two') and kind = 'booking_uncovered' and resolved_at is null;
select ok(not use_session(tests.id('tight')), 'asked again it is still false');
select is(count(*), 1::bigint, 'and the coach is not told again') from public.alerts where booking_id = tests.id('two');

-- A request id means its own click and settles nothing.
select tests.make_booking('third', 'kilo_package', now() - interval '4 days') from tests.as_owner();
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'completed' where id = tests.id('third');
select ok(use_session(:'kilo_package', null, gen_random_uuid()), 'a click with an id takes one');
select is(settlement, 'due', 'for itself, not for the booking that is due') from public.bookings
  where id = tests.id('third');
select ok(use_session(:'kilo_package'), 'the calendar''s call settles that');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
