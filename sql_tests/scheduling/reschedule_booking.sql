-- reschedule_booking: the booking moves and stays itself; what does not fit is answered with alternatives and moves nothing.
begin;
select plan(46);
select tests.open_studio();
create function pg_temp.add(p_name text, p_days integer, p_time time, p_type text default 'pt') returns uuid language sql as $$
  select tests.remember(p_name, (private.book(tests.id('kilo'), tests.id('kilo_client'), tests.id(p_type), tests.at(p_days, p_time), null, tests.id('staff'), null,
    tests.id('kilo_package'), 'coach', 'trainer', null, null, null) ->> 'booking_id')::uuid) $$;
select pg_temp.add('lesson', 8, '09:00'), pg_temp.add('other', 8, '11:00');
update public.bookings set client_confirmed = true, confirmation_sent_at = now(), notes = 'Knee' where id = tests.id('lesson');

select tests.sign_in('coach@kilo.example');
select is(reschedule_booking(tests.id('lesson'), tests.at(8, '09:30')),
          jsonb_build_object('outcome', 'rescheduled', 'booking_id', tests.id('lesson'), 'staff_id', tests.id('staff'), 'start_time', tests.at(8, '09:30'), 'end_time', tests.at(8, '10:30')),
          'a booking moves, over its own old time too');
select is((start_time, end_time, purchase_id, notes, status, ics_sequence)::text, (tests.at(8, '09:30'), tests.at(8, '10:30'), :'kilo_package'::uuid, 'Knee', 'confirmed', 1)::text, 'and keeps the rest')
  from public.bookings where id = tests.id('lesson');
select is((client_confirmed, confirmation_sent_at)::text, '(f,)', 'but the confirmation of the old time') from public.bookings where id = tests.id('lesson');
select is(bookable_sessions_remaining(:'kilo_package'), 7, 'it holds one session still');
select is(reschedule_booking(tests.id('lesson'), tests.at(9, '09:00'), tests.id('second')) ->> 'staff_id', tests.id('second')::text, 'to another staff member and day');
select is(ics_sequence, 2, 'the sequence rises again') from public.bookings where id = tests.id('lesson');
select is(book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff')) ->> 'outcome', 'booked', 'what it left is free');

select reschedule_booking(tests.id('lesson'), tests.at(8, '09:15'), tests.id('staff')) as taken \gset
select is(:'taken'::jsonb ->> 'outcome', 'taken', 'onto another it does not move');
select is(jsonb_array_length(:'taken'::jsonb -> 'alternatives'), 5, 'alternatives are named');
select is((start_time, staff_id, ics_sequence)::text, (tests.at(9, '09:00'), tests.id('second'), 2)::text, 'nothing has moved') from public.bookings where id = tests.id('lesson');
select is(reschedule_booking(tests.id('lesson'), t.at) ->> 'outcome', 'taken', t.title)
  from (values (tests.at(9, '08:00'), 'nor outside the hours'), (tests.at(9, '09:05'), 'nor off the grid'), (tests.at(-2, '09:00'), 'nor into the past')) as t (at, title);
select is(reschedule_booking(tests.id('lesson'), tests.at(9, '09:00')) ->> 'outcome', 'rescheduled', 'to where it is it may');
select tests.calendar_holds('nothing overlaps, nothing is left behind');

-- The settings' buffer goes with it.
update public.booking_settings set buffer_between_mins = 15 where org_id = :'kilo';
select is(tests.starts(10), '09:00-11:00', 'a free day');
select is(private.reschedule(:'kilo', tests.id('lesson'), tests.at(10, '09:00'), tests.id('staff'), 'coach') ->> 'outcome', 'rescheduled', 'a booking moves there');
select is(tests.starts(10), '10:15-11:00', 'and keeps its distance as if it had been booked there');
select is(private.reschedule(:'kilo', tests.id('lesson'), tests.at(10, '09:15'), null, 'coach') ->> 'outcome', 'rescheduled', 'its own buffer is no obstacle to it');
update public.booking_settings set buffer_between_mins = 0 where org_id = :'kilo';

-- Every start listed for the booking can be had: the same function decides.
create function pg_temp.refused() returns bigint language sql as $$
  select count(*) from private.offered_slots(tests.id('kilo'), tests.id('pt'), 60, tests.id('staff'), null, private.org_day_bounds(tests.id('kilo'), tests.day(10)), 'coach',
                                             p_except => (select b.occupancy_id from public.bookings as b where b.id = tests.id('lesson'))) as s
   where private.reschedule(tests.id('kilo'), tests.id('lesson'), s.start_time, s.staff_id, 'coach') ->> 'outcome' <> 'rescheduled' $$;
select is(pg_temp.refused(), 0::bigint, 'one after the other');

-- A package pays for what lies within it.
select tests.as_owner();
select tests.make_package('ending', 3, tests.at(14, '10:00')), tests.make_package('unpaid', 3, null, 'pending');
select tests.remember('paid', (private.book(:'kilo', :'kilo_client', tests.id('pt'), tests.at(13, '09:00'), null, tests.id('second'), null, tests.id('ending'),
  'coach', 'trainer', null, null, null) ->> 'booking_id')::uuid);
insert into public.bookings (org_id, client_id, purchase_id, staff_id, start_time, end_time)
values (:'kilo', :'kilo_client', tests.id('unpaid'), tests.id('second'), tests.at(13, '11:00'), tests.at(13, '12:00')) returning tests.remember('owed', id);
select tests.sign_in('coach@kilo.example');
select is(reschedule_booking(tests.id('paid'), t.at), '{"outcome": "package_expired"}', t.title)
  from (values (tests.at(14, '10:00'), 'at the end of its package a booking does not move'), (tests.at(15, '09:00'), 'nor past it')) as t (at, title);
select is((start_time, ics_sequence)::text, (tests.at(13, '09:00'), 0)::text, 'nothing has moved') from public.bookings where id = tests.id('paid');
select tests.as_owner();
select is(private.reschedule(:'kilo', tests.id('paid'), tests.at(15, '09:00'), null, 'client') ->> 'outcome', 'package_expired', 'a client is told the same');
select tests.sign_in('coach@kilo.example');
select is(reschedule_booking(tests.id('paid'), tests.at(14, '09:45')) ->> 'outcome', 'rescheduled', 'before its end it does');
select use_session(tests.id('ending'), tests.id('paid'));
select is(reschedule_booking(tests.id('paid'), tests.at(15, '09:00')) ->> 'outcome', 'package_expired', 'a session that is taken already is bound as well');
select release_session(tests.id('ending'), tests.id('paid'));
select is(reschedule_booking(tests.id('paid'), tests.at(15, '09:00')) ->> 'outcome', 'rescheduled', 'one that was given back binds nobody');
select is(reschedule_booking(tests.id('owed'), tests.at(15, '11:00')) ->> 'outcome', 'rescheduled', 'a package that pays nowhere is no reason to stay');

-- What is over does not move.
select tests.sign_in('coach@kilo.example');
select cancel_booking(tests.id('other'));
select tests.refuses($$ select reschedule_booking(tests.id('other'), tests.at(12, '09:00')) $$, 409, 'booking_not_confirmed', 'a cancelled booking does not move');
select tests.as_owner();
select tests.make_booking('done', 'kilo_package', tests.at(-3, '09:00'), 'completed'), tests.make_booking('late', 'kilo_package', tests.at(-4, '09:00'));
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select reschedule_booking(tests.id('done'), tests.at(12, '09:00')) $$, 409, 'booking_not_confirmed', 'nor does a completed one');
select is(reschedule_booking(tests.id('late'), tests.at(12, '09:00')) ->> 'outcome', 'rescheduled', 'one that is past and not completed may');
update public.bookings set status = 'pending' where id = tests.id('late');
select is(reschedule_booking(tests.id('late'), tests.at(12, '10:00')) ->> 'outcome', 'rescheduled', 'so may one that waits to be confirmed');
select is(status, 'pending', 'which it then still does') from public.bookings where id = tests.id('late');

select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select reschedule_booking(gen_random_uuid(), tests.at(12, '09:00')) $$, 404, 'booking_not_found', 'an unknown booking does not exist'),
  ($$ select reschedule_booking(tests.id('lima_booking'), tests.at(12, '09:00')) $$, 404, 'booking_not_found', 'nor another organisation''s'),
  ($$ select reschedule_booking(tests.id('lesson'), tests.at(12, '09:00'), gen_random_uuid()) $$, 404, 'staff_not_found', 'nor unknown staff'),
  ($$ select reschedule_booking(tests.id('lesson'), null) $$, 422, 'value_not_allowed', 'a start is needed'),
  ($$ select reschedule_booking(tests.id('lesson'), 'infinity') $$, 422, 'value_not_allowed', 'one that comes')) as t (call, status, slug, title);
select tests.only_for_members($$ select reschedule_booking(tests.id('lesson'), tests.at(13, '09:00')) $$, 'booking_not_found', 'accountant@kilo.example', 'reschedule_booking');
select is_empty($$ select from public.bookings where start_time = tests.at(13, '09:00') $$, 'none of which moved it');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
