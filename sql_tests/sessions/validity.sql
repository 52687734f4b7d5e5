-- validity: a package must be valid at the session's start for a booking, and now for a click.
begin;
select plan(23);

update public.booking_settings set session_click_window_secs = 0 where org_id = :'kilo';
-- Expired an hour ago; was frozen from the fourth to the second day before.
select tests.make_package('ended', 10, now() - interval '1 hour'), tests.make_package('thawed', 10),
  tests.make_package('running', 10, now() + interval '1 day'),
       tests.make_package('owed', 10, null, 'pending');
update public.client_purchases
  set frozen_periods = tstzmultirange(tstzrange(now() - interval '4 days', now() - interval '2 days'))
  where id = tests.id('thawed');
select tests.make_booking('in_time', 'ended', now() - interval '3 hours'),
  tests.make_booking('at_end', 'ended', now() - interval '1 hour'),
       tests.make_booking('within', 'thawed', now() - interval '3 days'),
       tests.make_booking('before', 'thawed', now() - interval '5 days'),
       tests.make_booking('at_freeze', 'thawed', now() - interval '4 days'),
       tests.make_booking('at_thaw', 'thawed', now() - interval '2 days'),
       tests.make_booking('soon', 'running', now() + interval '2 hours'),
       tests.make_booking('beyond', 'running', now() + interval '2 days'),
       tests.make_booking('owing', 'owed', now() - interval '2 hours');

select tests.sign_in('coach@kilo.example');
select ok(not use_session(tests.id('ended')), 'a click on an expired package takes nothing');
select ok(use_session(tests.id('ended'), tests.id('in_time')),
          'a booking that began before the expiry is paid, however late it is settled');
select ok(not use_session(tests.id('ended'), tests.id('at_end')), 'one that began at the expiry is not');
select ok(use_session(tests.id('thawed')), 'a click on a package that was frozen once takes one');
select ok(not use_session(tests.id('thawed'), tests.id('within')), 'a booking during the freeze is not paid');
select ok(use_session(tests.id('thawed'), tests.id('before')), 'one before it is');
select ok(not use_session(tests.id('thawed'), tests.id('at_freeze')), 'a freeze begins with its first instant');
select ok(use_session(tests.id('thawed'), tests.id('at_thaw')), 'and ends before its last');
select ok(use_session(tests.id('running'), tests.id('soon')), 'a booking to come, before the expiry, is paid');
select ok(not use_session(tests.id('running'), tests.id('beyond')), 'one to come after it is not');
select ok(not use_session(tests.id('owed'), tests.id('owing')), 'an unpaid package pays nothing');
select is(complete_booking(tests.id('owing')), 'uncovered', 'its booking ends uncovered');
select tests.as_owner();
update public.client_purchases set payment_status = 'succeeded' where id = tests.id('owed');
select tests.sign_in('coach@kilo.example');
select ok(use_session(tests.id('owed'), tests.id('owing')), 'once it is paid, it covers the bookings of before');
select is(settlement, 'charged', 'which are then charged') from public.bookings where id = tests.id('owing');

-- The sweep judges the same.
select tests.as_service();
select service.sweep_overdue_bookings(p_now => now() + interval '3 days');
select tests.as_owner();
select is(settlement, 'uncovered', 'swept: at the expiry is too late') from public.bookings
  where id = tests.id('at_end');
select is(settlement, 'uncovered', 'swept: during a freeze nothing is paid') from public.bookings
  where id = tests.id('within');
select is(settlement, 'uncovered', 'swept: after the expiry nothing is paid') from public.bookings
  where id = tests.id('beyond');
select is(settlement, 'charged', 'swept: what was charged stays charged') from public.bookings
  where id = tests.id('in_time');

-- The one definition.
select tests.make_package('unpaid', 5, null, 'pending'), tests.make_package('refunded', 5, null, 'refunded'),
  tests.make_package('none', null),
       tests.make_package('endless', 5);
select is(valid_during, '{}'::tstzmultirange, 'an unpaid package is never valid') from public.client_purchases
  where id = tests.id('unpaid');
select is(valid_during, '{}'::tstzmultirange, 'nor is a refunded one') from public.client_purchases
  where id = tests.id('refunded');
select is(valid_during, '{}'::tstzmultirange, 'nor one without sessions') from public.client_purchases
  where id = tests.id('none');
select is(valid_during, '{(,)}'::tstzmultirange, 'a paid one without expiry always is') from public.client_purchases
  where id = tests.id('endless');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
