-- use_session with a booking: that booking's session is taken once; again only by naming it after a release.
begin;
select plan(28);

select tests.make_package('pack', 3), tests.make_package('other', 3);
select tests.make_booking('lesson', 'pack', now() - interval '2 hours'), tests.make_booking('second', 'pack', now() - interval '4 hours'),
       tests.make_booking('future', 'pack', now() + interval '3 days'), tests.make_booking('asked', 'pack', now() + interval '2 days'),
       tests.make_booking('called_off', 'pack', now() + interval '5 days'), tests.make_booking('too_late', 'pack', now() + interval '1 hour'),
       tests.make_booking('bare', null, now() - interval '6 hours');
update public.bookings set status = 'pending' where id = tests.id('asked');
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'cancelled' where id in (tests.id('called_off'), tests.id('too_late'));

select ok(use_session(tests.id('pack'), tests.id('lesson')), 'a booking that is named takes its session');
select is(settlement, 'charged', 'and is charged') from public.bookings where id = tests.id('lesson');
select is(status, 'confirmed', 'a check-in does not complete it') from public.bookings where id = tests.id('lesson');
select ok(use_session(tests.id('pack'), tests.id('lesson')), 'naming it again is true');
select is(sessions_used, 1, 'and takes nothing more') from public.client_purchases where id = tests.id('pack');
select results_eq($$ select kind, used_delta, reason, booking_id, charge_no from public.session_entries
                     where purchase_id = tests.id('pack') $$,
                  $$ values ('use', 1, 'check_in', tests.id('lesson'), 1) $$, 'the entry names the booking');

select tests.refuses($$ select use_session(tests.id('other'), tests.id('lesson')) $$,
                     422, 'booking_not_in_package', 'another package does not pay for it');
select tests.refuses($$ select use_session(tests.id('pack'), tests.id('bare')) $$,
                     422, 'booking_not_in_package', 'nor any for a booking without one');
select tests.refuses($$ select use_session(tests.id('pack'), gen_random_uuid()) $$,
                     404, 'booking_not_found', 'an unknown booking does not exist');
select tests.refuses($$ select use_session(tests.id('pack'), tests.id('lima_booking')) $$,
                     404, 'booking_not_found', 'nor does another organisation''s');
select tests.refuses($$ select use_session(tests.id('pack'), tests.id('asked')) $$,
                     409, 'booking_not_chargeable', 'a booking that waits to be confirmed takes none');
select tests.refuses($$ select use_session(tests.id('pack'), tests.id('called_off')) $$,
                     409, 'booking_not_chargeable', 'nor does one that was cancelled in time');
select ok(use_session(tests.id('pack'), tests.id('too_late')), 'one that was cancelled too late may be charged');
select is((status, settlement)::text, '(cancelled,charged)', 'and stays cancelled') from public.bookings
  where id = tests.id('too_late');

-- After a release.
select is(release_session(tests.id('pack'), tests.id('lesson')), 1, 'its session is given back');
select ok(use_session(tests.id('pack'), tests.id('lesson')), 'named after a release it takes one again');
select results_eq($$ select charge_no from public.session_entries
                     where booking_id = tests.id('lesson') and used_delta = 1 order by charge_no $$,
                  $$ values (1), (2) $$, 'the second charge is numbered');
select ok(use_session(tests.id('pack'), tests.id('lesson')), 'and once more it does not');
select is(sessions_used, 2, 'two are used: one each') from public.client_purchases where id = tests.id('pack');

-- A completed one, and the last session.
update public.bookings set status = 'completed' where id = tests.id('second');
select ok(use_session(tests.id('pack'), tests.id('second')), 'a completed booking that is named is charged');
select is((settlement, due_since)::text, '(charged,)', 'and owes nothing more') from public.bookings
  where id = tests.id('second');
select is(reason, 'completion', 'the ledger says why') from public.session_entries
  where booking_id = tests.id('second');
select ok(not use_session(tests.id('pack'), tests.id('future')), 'a booking that nothing covers answers false');
select ok(settlement is null, 'and is not given up before it is over') from public.bookings
  where id = tests.id('future');

-- A booking charged before its end is not paid for again when the existing calendar completes it.
select tests.refuses($$ update public.bookings set status = 'completed' where id = tests.id('lesson') $$,
                     409, 'booking_settled',
                     'the calendar does not complete a booking whose session is taken, and so does not ask for another');
select is(complete_booking(tests.id('lesson')), 'charged', 'complete_booking does, and takes nothing');
select is(sessions_used, 3, 'the package was asked for each booking once') from public.client_purchases
  where id = tests.id('pack');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
