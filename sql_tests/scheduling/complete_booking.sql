-- complete_booking: completes and settles in one; the same again answers the same.
begin;
select plan(31);

select tests.make_package('pack', 2), tests.make_package('empty', 0);
select tests.make_booking('lesson', 'pack', now() - interval '2 hours'),
  tests.make_booking('bare', null, now() - interval '2 hours'),
       tests.make_booking('unpaid', 'empty', now() - interval '2 hours'),
       tests.make_booking('by_calendar', 'pack', now() - interval '3 hours'),
       tests.make_booking('asked', 'pack', now() + interval '1 day'),
       tests.make_booking('off', 'pack', now() + interval '3 days'),
       tests.make_booking('missed', 'pack', now() - interval '3 days');
update public.bookings set status = 'pending' where id = tests.id('asked');
select tests.sign_in('desk@kilo.example');
update public.bookings set status = 'cancelled' where id = tests.id('off');
update public.bookings set status = 'no_show' where id = tests.id('missed');

select is(complete_booking(tests.id('lesson')), 'charged', 'a booking with a package ends charged');
select is((status, settlement, due_since, completed_at is not null)::text, '(completed,charged,,t)',
          'completed and settled') from public.bookings where id = tests.id('lesson');
select results_eq($$ select used_delta, reason, booking_id, actor_id from public.session_entries
                     where purchase_id = tests.id('pack') $$,
                  $$ values (1, 'completion', tests.id('lesson'), tests.id('kilo_desk')) $$,
                  'by one entry that says who');
select is(complete_booking(tests.id('lesson')), 'charged', 'the same again answers the same');
select is(complete_booking(tests.id('bare')), 'none', 'without a package nothing is owed');
select is(complete_booking(tests.id('bare')), 'none', 'and again');
select is(complete_booking(tests.id('unpaid')), 'uncovered', 'without a session left it is uncovered');
select is(complete_booking(tests.id('unpaid')), 'uncovered', 'and again');
update public.bookings set status = 'completed' where id = tests.id('by_calendar');
select is(complete_booking(tests.id('by_calendar')), 'charged',
          'what the calendar completed and did not settle is settled');
select is(complete_booking(tests.id('by_calendar')), 'charged', 'once');
select is(sessions_used, 2, 'two bookings, two sessions') from public.client_purchases where id = tests.id('pack');
select is(release_session(tests.id('pack'), tests.id('lesson')), 1, 'a session is given back');
select is(complete_booking(tests.id('lesson')), 'waived', 'completing it again leaves it waived');
select is(sessions_used, 1, 'and takes nothing') from public.client_purchases where id = tests.id('pack');

select tests.refuses(format('select complete_booking(tests.id(%L))', b), 409, 'booking_not_confirmed',
                     format('one that is %s is not completed', b))
  from unnest(array['asked', 'off', 'missed']) as b;
select tests.refuses($$ select complete_booking(gen_random_uuid()) $$,
                     404, 'booking_not_found', 'an unknown booking does not exist');
select tests.refuses($$ select complete_booking(null) $$, 404, 'booking_not_found', 'nor does none');
select tests.only_for_members($$ select complete_booking(tests.id('kilo_booking')) $$,
                              'booking_not_found', 'accountant@kilo.example', 'complete_booking');
select is(status, 'confirmed', 'nobody of them completed it') from public.bookings where id = :'kilo_booking';

select tests.as_service();
select is(service.complete_booking(:'kilo_booking'), 'charged', 'the operator''s door completes likewise');
select is(service.complete_booking(:'kilo_booking'), 'charged', 'once');
select tests.refuses($$ select service.complete_booking(gen_random_uuid()) $$,
                     404, 'booking_not_found', 'and knows no other bookings');
select tests.as_owner();
select is(actor_id, null, 'the ledger names nobody then') from public.session_entries
  where booking_id = :'kilo_booking';
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
