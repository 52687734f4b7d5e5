-- offered_slots: what is taken is not on offer; buffers, holds, seats, limits and what is inactive count; the rank keeps days compact.
begin;
select plan(38);
select tests.open_studio();
create function pg_temp.take(p_days integer, p_time time, p_type text default 'pt', p_staff text default 'staff') returns text language sql as $$
  select private.book(tests.id('kilo'), tests.id('ann'), tests.id(p_type), tests.at(p_days, p_time), null, tests.id(p_staff), null, null, 'coach', 'trainer',
                      null, null, null) ->> 'outcome' $$;

select is(tests.starts(8), '09:00-11:00', 'a free morning, every quarter of an hour');
select is(pg_temp.take(8, '10:00'), 'booked', 'one session is booked');
select is(tests.starts(8), '09:00 11:00', 'beside it two fit');
select is(tests.starts(8, 'second'), '09:00-11:00', 'somebody else''s time is their own');
select is(tests.starts(8, null), '09:00-11:00', 'and anyone''s what somebody has');

-- Buffers: of the type, of the settings, the larger after.
update public.session_types set buffer_before_mins = 15, buffer_after_mins = 30 where id = tests.id('pt');
select is(tests.starts(8), '', 'a type''s buffers must fit as well');
select is(tests.starts(9), '09:00-11:00', 'but not within the hours');
select is(pg_temp.take(9, '09:00'), 'booked', 'a session with buffers is booked');
select is(tests.starts(9), '10:45-11:00', 'and keeps them: thirty minutes after, fifteen before');
update public.session_types set buffer_before_mins = 0, buffer_after_mins = 0 where id = tests.id('pt');
select is(tests.starts(9), '10:30-11:00', 'what was taken with it keeps its buffer');
update public.booking_settings set buffer_between_mins = 45 where org_id = :'kilo';
select is(pg_temp.take(10, '09:00'), 'booked', 'the settings'' buffer comes after a session');
select is(tests.starts(10), '10:45-11:00', 'at once');
update public.session_types set buffer_after_mins = 60 where id = tests.id('pt');
select is(pg_temp.take(11, '09:00'), 'booked', 'the larger of the two counts');
select is(tests.starts(11), '11:00', 'not their sum');
update public.session_types set buffer_after_mins = 0 where id = tests.id('pt');
update public.booking_settings set buffer_between_mins = 0 where org_id = :'kilo';

-- The rank.
select results_eq(
  $$ select to_char(s.start_time at time zone 'Australia/Brisbane', 'HH24:MI'), s.rank
       from private.offered_slots(tests.id('kilo'), tests.id('pt'), 30, tests.id('staff'), null, private.org_day_bounds(tests.id('kilo'), tests.day(8)), 'coach') as s
      order by 1 $$,
  $$ values ('09:00', 30), ('09:15', 15), ('09:30', 0), ('11:00', 0), ('11:15', 15), ('11:30', 30) $$, 'the rank is the minutes to what is taken');
select is(rank, 1440, 'a free day has the last rank')
  from private.offered_slots(:'kilo', tests.id('pt'), null, tests.id('staff'), null, tstzrange(tests.at(20, '09:00'), tests.at(20, '09:00'), '[]'), 'coach');

-- Holds.
select private.hold_slot(:'kilo', tests.id('ann'), tests.id('pt'), tests.at(12, '10:00'), null, tests.id('staff'), null, 'coach', 10);
select is(tests.starts(12), '09:00 11:00', 'what is held is not on offer');
select is(tests.starts(tests.day(12), p_now => now() + interval '10 minutes'), '09:00-11:00', 'until the hold runs out, swept or not');

-- A group.
select is(pg_temp.take(13, '09:00', 'class'), 'booked', 'the first of a group');
select results_eq(
  $$ select to_char(s.start_time at time zone 'Australia/Brisbane', 'HH24:MI'), s.seats_left, s.rank
       from private.offered_slots(tests.id('kilo'), tests.id('class'), null, tests.id('staff'), null, private.org_day_bounds(tests.id('kilo'), tests.day(13)), 'coach') as s
      where s.start_time < tests.at(13, '10:15') order by 1 $$,
  $$ values ('09:00', 2, 0), ('10:00', 3, 0) $$, 'the group is on offer with its seats, and other times with all');
select is(tests.starts(13), '10:00-11:00', 'a group takes the time of other types');
select is(pg_temp.take(13, '09:00', 'class'), 'booked', 'the second') union all select is(pg_temp.take(13, '09:00', 'class'), 'booked', 'the third');
select is(tests.starts(13, 'staff', 'class'), '10:00-11:00', 'a full group is not on offer');

-- A limit for each day: sessions, not seats.
update public.session_types set max_per_day = 1 where id = tests.id('class');
select is(tests.starts(13, 'staff', 'class'), '', 'one a day is reached');
select is(tests.starts(13, 'second', 'class'), '', 'whoever gives it');
select is(tests.starts(14, 'staff', 'class'), '09:00-11:00', 'day by day');
select is(pg_temp.take(14, '09:00', 'class'), 'booked', 'on another day');
select is(tests.starts(14, 'staff', 'class'), '09:00', 'the group that is on may still be joined');
select is(private.reschedule(:'kilo', b.id, tests.at(14, '11:00'), null, 'coach') ->> 'outcome', 'rescheduled', 'moving within the day is no second session')
  from public.bookings as b where b.start_time = tests.at(14, '09:00');

-- Inactive, not for that staff member, past.
update public.session_types set is_active = false where id = tests.id('class');
select is(tests.starts(15, 'staff', 'class'), '', 'an inactive type is not on offer');
insert into public.session_type_staff (org_id, session_type_id, staff_id) values (:'kilo', tests.id('pt'), tests.id('second'));
select is(tests.starts(15), '', 'a type that others give is not') union all select is(tests.starts(15, 'second'), '09:00-11:00', 'theirs is');
select is(tests.starts(15, 'staff', null), '09:00-11:00', 'without a type everybody is');
select is(tests.starts(-1, 'second'), '', 'what is past is not on offer');
select is(tests.starts(tests.day(15), 'second', p_now => tests.at(15, '10:20')), '10:30-11:00', 'nor the part of a day that is');
select is(tests.runs(array_agg(start_time), 'Australia/Brisbane'), '09:00-11:30', 'a shorter session fits more often')
  from private.offered_slots(:'kilo', tests.id('pt'), 30, tests.id('second'), null, private.org_day_bounds(:'kilo', tests.day(15)), 'coach');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
