-- Group sessions: as many bookings of one type, staff member and start as the type has room for, by whatever door they come.
begin;
select plan(33);
select tests.open_studio();

create function pg_temp.join_class(p_name text, p_client text, p_days integer, p_from time default '09:00', p_until time default '10:00') returns uuid language sql as $$
  with added as (
    insert into public.bookings (org_id, client_id, start_time, end_time, session_type)
    values (tests.id('kilo'), tests.id(p_client), tests.at(p_days, p_from), tests.at(p_days, p_until), 'class') returning id)
  select tests.remember(p_name, a.id) from added as a $$;
grant execute on function pg_temp.join_class(text, text, integer, time, time) to public;
select tests.sign_in('coach@kilo.example');
select lives_ok($$ select pg_temp.join_class('one', 'ann', 8) $$, 'the first opens the session') union all
select is(book(:'kilo', tests.id('ben'), tests.at(8, '09:00'), tests.id('class'), tests.id('staff')) ->> 'outcome', 'booked', 'the second joins it by RPC') union all
select lives_ok($$ select pg_temp.join_class('three', 'kilo_client', 8) $$, 'the third directly');
select tests.refuses($$ select pg_temp.join_class('x', 'ann', 8) $$, 409, 'slot_taken', 'the fourth is refused');
select is(book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('class'), tests.id('staff')) ->> 'outcome', 'taken', 'also by RPC');
select tests.as_owner();
select is((count(*), max(seats), max(capacity))::text, '(1,3,3)', 'one row takes the time of all three') from private.occupancies where starts_at = tests.at(8, '09:00');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(8, '09:00')) $$, 409, 'slot_taken', 'another type does not join');
select tests.refuses($$ select pg_temp.join_class('x', 'ann', 8, '09:30', '10:30') $$, 409, 'slot_taken', 'nor another start');
select tests.refuses($$ select pg_temp.join_class('x', 'ann', 8, '09:00', '09:45') $$, 409, 'slot_taken', 'nor another end');
select is(book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('class'), tests.id('second')) ->> 'outcome', 'booked', 'another staff member has a session of their own');

-- Seats given back.
select is(cancel_booking(tests.id('three')), null, 'one leaves');
select lives_ok($$ select pg_temp.join_class('four', 'kilo_client', 8) $$, 'and another has the seat');
select tests.refuses($$ update public.bookings set status = 'confirmed' where id = tests.id('three') $$, 409, 'slot_taken', 'the one who left has lost it');
select is(cancel_booking(tests.id('four')), null, 'when there is one again');
select lives_ok($$ update public.bookings set status = 'confirmed' where id = tests.id('three') $$, 'they come back');
select is(reschedule_booking(tests.id('three'), tests.at(8, '11:00')) ->> 'outcome', 'rescheduled', 'one moves away alone');
select is(book(:'kilo', tests.id('kilo_client'), tests.at(8, '09:00'), tests.id('class'), tests.id('staff')) ->> 'outcome', 'booked', 'which frees one seat');
select is(book(:'kilo', tests.id('kilo_client'), tests.at(8, '09:00'), tests.id('class'), tests.id('staff')) ->> 'outcome', 'taken', 'and no more');
select is(reschedule_booking(tests.id('three'), tests.at(8, '09:00')) ->> 'outcome', 'taken', 'back it does not fit');
select is(reschedule_booking(tests.id('three'), tests.at(8, '09:30')) ->> 'outcome', 'taken', 'nor into the middle');
select tests.calendar_holds('seats and bookings agree');

-- The last one gives the time back.
update public.bookings set status = 'cancelled' where org_id = :'kilo' and staff_id = tests.id('staff') and start_time = tests.at(8, '09:00');
select is_empty($$ select from private.occupancies where staff_id = tests.id('staff') and starts_at = tests.at(8, '09:00') $$, 'nothing is left of a session that everybody left');
select is(tests.starts(8), '09:00-10:00', 'its time is free');

-- Anyone: a session that has begun to fill is filled first.
select private.book(:'kilo', tests.id('ann'), tests.id('class'), tests.at(9, '09:00'), null, tests.id('second'), null, null, 'coach', 'trainer', null, null, null);
select tests.sign_in('coach@kilo.example');
select is(book(:'kilo', tests.id('ben'), tests.at(9, '09:00'), tests.id('class')) ->> 'staff_id', tests.id('second')::text, 'anyone joins the session that is on');

-- A change of the capacity acts at once.
update public.session_types set capacity = 2 where id = tests.id('class');
select is(book(:'kilo', tests.id('kilo_client'), tests.at(9, '09:00'), tests.id('class'), tests.id('second')) ->> 'outcome', 'taken', 'a smaller capacity binds what is on');
update public.session_types set capacity = 4 where id = tests.id('class');
select is(book(:'kilo', tests.id('kilo_client'), tests.at(9, '09:00'), tests.id('class'), tests.id('second')) ->> 'outcome', 'booked', 'a larger one lets more in');
select lives_ok($$ select cancel_booking(id) from public.bookings where start_time = tests.at(9, '09:00') and client_id = tests.id('ann') $$, 'and out again');
select is(seats_left, 2, 'the listing says how many seats are left')
  from find_slots(:'kilo', tests.day(9), null, tests.id('class'), tests.id('second')) where start_time = tests.at(9, '09:00');
select tests.refuses($$ update public.session_types set capacity = 0 where id = tests.id('class') $$, 422, 'value_not_allowed', 'no type is for nobody');

-- A hold on an empty session keeps it, and becomes its first seat.
select hold_slot(:'kilo', tests.id('ann'), tests.at(10, '09:00'), tests.id('class'), tests.id('staff')) ->> 'hold_id' as hold \gset
select is(confirm_hold(:'kilo', :'hold') ->> 'outcome', 'booked', 'a hold of a group is booked');
select is(book(:'kilo', tests.id('ben'), tests.at(10, '09:00'), tests.id('class'), tests.id('staff')) ->> 'outcome', 'booked', 'and joined');
select is(seats_left, 2, 'two seats are left') from find_slots(:'kilo', tests.day(10), null, tests.id('class'), tests.id('staff')) where start_time = tests.at(10, '09:00');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
