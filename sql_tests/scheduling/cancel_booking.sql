-- cancel_booking: the time and the held session are free again, a session taken early returns; charged, it is taken all the same.
begin;
select plan(41);
select tests.open_studio();
select tests.make_package('pack', 5), tests.make_package('empty', 1);
select tests.make_booking('held', 'pack', tests.at(8, '09:00')), tests.make_booking('early', 'pack', tests.at(8, '10:00')),
       tests.make_booking('charged', 'pack', tests.at(8, '11:00')), tests.make_booking('bare', null, tests.at(9, '09:00')),
       tests.make_booking('kept', 'pack', tests.at(10, '09:00')), tests.make_booking('taken', 'pack', tests.at(10, '10:00')),
       tests.make_booking('asked', 'pack', tests.at(9, '10:00'), 'pending'), tests.make_booking('unpaid', 'empty', tests.at(9, '11:00')),
       tests.make_booking('soon', 'pack', now() + interval '1 hour'), tests.make_booking('done', 'pack', tests.at(-5, '09:00'), 'completed');

select tests.sign_in('desk@kilo.example');
select is(cancel_booking(tests.id('held'), 'Ill'), null, 'a booking that holds a session is cancelled, and lets it go');
select is((status, settlement, cancellation_reason, cancelled_by, cancelled_at is not null, occupancy_id)::text, ('cancelled', null::text, 'Ill', tests.id('kilo_desk'), true, null::uuid)::text,
          'with who, when and why') from public.bookings where id = tests.id('held');
select is(cancel_booking(tests.id('held')), null, 'again it answers the same');
select is(cancellation_reason, 'Ill', 'and changes nothing') from public.bookings where id = tests.id('held');
select is(ics_sequence, 1, 'its calendar file rises once') from public.bookings where id = tests.id('held');

select use_session(tests.id('pack'), tests.id('early'));
select is(sessions_used, 1, 'one was taken at the check-in') from public.client_purchases where id = tests.id('pack');
select is(cancel_booking(tests.id('early')), 'waived', 'a session that was taken early returns');
select is(sessions_used, 0, 'to the package') from public.client_purchases where id = tests.id('pack');
select is((status, settlement)::text, '(cancelled,waived)', 'the booking is cancelled and waived') from public.bookings where id = tests.id('early');
select is(cancel_booking(tests.id('early')), 'waived', 'again it answers the same');
select is(sessions_used, 0, 'and returns nothing more') from public.client_purchases where id = tests.id('pack');

select is(cancel_booking(tests.id('charged'), null, true), 'charged', 'a cancellation may be charged');
select is(sessions_used, 1, 'then the session is taken') from public.client_purchases where id = tests.id('pack');
select is(reason, 'late_cancellation', 'the ledger says why') from public.session_entries where booking_id = tests.id('charged');
select is(cancel_booking(tests.id('charged'), null, true), 'charged', 'again it answers the same');
select is(sessions_used, 1, 'and takes nothing more') from public.client_purchases where id = tests.id('pack');
select is(cancel_booking(tests.id('charged')), 'charged', 'afterwards it is not taken back by cancelling');
select use_session(tests.id('empty'), null, gen_random_uuid());
select is(cancel_booking(tests.id('unpaid'), null, true), 'uncovered', 'where nothing is left it is uncovered');
select is(count(*), 1::bigint, 'and the coach is told') from public.alerts where booking_id = tests.id('unpaid') and kind = 'booking_uncovered';
select is(cancel_booking(tests.id('bare'), null, true), null, 'without a package nothing is charged');
select is(cancel_booking(tests.id('asked')), null, 'one that waits to be confirmed is cancelled');
select is(cancel_booking(tests.id('soon')), null, 'a coach''s late cancellation is free');
select is(cancel_booking(tests.id('soon'), p_is_charged => null), null, 'a flag that says nothing is none');
select is(bookable_sessions_remaining(tests.id('pack')), 1, 'what was held is free');
select use_session(tests.id('pack'), tests.id('kept'));
select is(cancel_booking(tests.id('kept'), 'No show', true), 'charged', 'charged, a session that was taken early stays taken');
select is((status, settlement, cancellation_reason, cancelled_by, occupancy_id)::text, ('cancelled', 'charged', 'No show', tests.id('kilo_desk'), null::uuid)::text, 'the booking is cancelled all the same')
  from public.bookings where id = tests.id('kept');
select is(count(*), 1::bigint, 'with one entry in the ledger') from public.session_entries where booking_id = tests.id('kept');
select is(cancel_booking(tests.id('kept'), null, true), 'charged', 'again it answers the same');
select tests.refuses($$ update public.bookings set status = 'cancelled' where id = tests.id('taken') $$, 409, 'booking_charged', 'a direct write does not decide that')
  from use_session(tests.id('pack'), tests.id('taken'));
select tests.refuses($$ select cancel_booking(tests.id('done')) $$, 409, 'booking_not_confirmed', 'a completed booking is not cancelled');
select tests.as_owner();
select is(tests.starts(8), '09:00-11:00', 'the time of all three is free');

select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select cancel_booking(gen_random_uuid()) $$, 404, 'booking_not_found', 'an unknown booking does not exist');
select tests.refuses($$ select cancel_booking(tests.id('lima_booking')) $$, 404, 'booking_not_found', 'nor another organisation''s');
select tests.only_for_members($$ select cancel_booking(tests.id('kilo_booking')) $$, 'booking_not_found', 'accountant@kilo.example', 'cancel_booking');
select tests.ledger_holds('the counters equal the ledger');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
