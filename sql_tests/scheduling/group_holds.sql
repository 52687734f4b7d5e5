-- Held seats of a group session: the others join it, booked or held, and when only holds are left it takes time as long as the last of them.
begin;
select plan(45);
select tests.open_studio();
create function pg_temp.holds(p_name text, p_client text, p_days integer, p_minutes integer default 10) returns text language sql as $$
  select case when h.answer ? 'hold_id' then (select h.answer ->> 'outcome' from (select tests.remember(p_name, (h.answer ->> 'hold_id')::uuid)) as r) else h.answer ->> 'outcome' end
    from (select private.hold_slot(tests.id('kilo'), tests.id(p_client), tests.id('class'), tests.at(p_days, '09:00'), null, tests.id('staff'), null, 'coach', p_minutes)) as h (answer) $$;
create function pg_temp.books(p_name text, p_client text, p_days integer, p_after interval default '0', p_type text default 'class') returns text language sql as $$
  select case when b.answer ? 'booking_id' then (select b.answer ->> 'outcome' from (select tests.remember(p_name, (b.answer ->> 'booking_id')::uuid)) as r) else b.answer ->> 'outcome' end
    from (select private.book(tests.id('kilo'), tests.id(p_client), tests.id(p_type), tests.at(p_days, '09:00'), null, tests.id('staff'), null, null, 'coach', 'trainer',
                              null, null, null, p_now => now() + p_after)) as b (answer) $$;
create function pg_temp.confirms(p_hold text, p_client text, p_after interval default '0') returns text language sql as $$
  select private.confirm_hold(tests.id('kilo'), tests.id(p_hold), tests.id(p_client), null, 'coach', 'trainer', null, null, now() + p_after) ->> 'outcome' $$;
create function pg_temp.left_at(p_days integer, p_after interval default '0') returns integer language sql as $$
  select s.seats_left from private.offered_slots(tests.id('kilo'), tests.id('class'), null, tests.id('staff'), null,
                                                 tstzrange(tests.at(p_days, '09:00'), tests.at(p_days, '09:00'), '[]'), 'coach', now() + p_after) as s $$;
create function pg_temp.until(p_days integer) returns interval language sql as $$
  select o.expires_at - now() from private.occupancies as o where o.starts_at = tests.at(p_days, '09:00') and o.staff_id = tests.id('staff') and o.seats > 0 $$;

-- All seats only held.
select is(pg_temp.holds('anns', 'ann', 8), 'held', 'the first seat of an empty session is held');
select is(pg_temp.left_at(8), 2, 'the others are listed');
select is(tests.starts(8, 'staff', 'class'), '09:00 10:00-11:00', 'and no start beside it');
select is(pg_temp.holds('bens', 'ben', 8, 30), 'held', 'a second is held');
select is(pg_temp.until(8), interval '30 minutes', 'as long as the longer hold');
select is(pg_temp.left_at(8), 1, 'one is left');
select is(pg_temp.books('third', 'kilo_client', 8), 'booked', 'which is booked');
select is(pg_temp.until(8), null, 'a session that is booked does not run out');
select is(pg_temp.left_at(8), null, 'then none is listed');
select is(pg_temp.books('x', 'kilo_client', 8), 'taken', 'nor booked');
select is(pg_temp.holds('x', 'kilo_client', 8), 'taken', 'nor held');
select tests.calendar_holds('seats, holds and bookings agree');

-- The seats come back one by one.
select is(pg_temp.left_at(8, '11 minutes'), 1, 'a hold that has run out leaves its seat');
select is(pg_temp.confirms('anns', 'ann', '9 minutes'), 'booked', 'in time it is booked');
select is(pg_temp.left_at(8, '11 minutes'), null, 'and its seat stays taken');
select is(pg_temp.books('second', 'ann', 8, '31 minutes'), 'booked', 'the other hold''s seat is booked when it has run out, swept or not');
select is(pg_temp.confirms('bens', 'ben', '31 minutes'), 'hold_expired', 'and lost to whoever held it');
select tests.calendar_holds('seats, holds and bookings agree, also then');

-- The existing app's direct insert.
insert into public.session_types (org_id, name, slug, capacity) values (:'kilo', 'Circle', 'circle', 3);
select is(pg_temp.holds('held', 'ann', 9), 'held', 'another session is held');
select tests.sign_in('coach@kilo.example');
select lives_ok($$ insert into public.bookings (org_id, client_id, start_time, end_time, session_type)
                   values (tests.id('kilo'), tests.id('ben'), tests.at(9, '09:00'), tests.at(9, '10:00'), 'class') $$, 'a direct insert joins it');
select tests.refuses($$ select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(9, '09:00')) $$, 409, 'slot_taken', 'another type does not');
select tests.refuses(format($$ insert into public.bookings (org_id, client_id, start_time, end_time, session_type)
                               values (tests.id('kilo'), tests.id('ben'), tests.at(9, '09:00'), tests.at(9, %L), %L) $$, t.until, t.type), 409, 'slot_taken', t.title)
  from (values ('09:45', 'class', 'nor one that ends at another time, though seats are left'), ('10:00', 'circle', 'nor another group')) as t (until, type, title);
select tests.as_owner();

-- The last booking leaves.
select is(pg_temp.books('only', 'ann', 10), 'booked', 'a session is booked by one');
select is(pg_temp.holds('short', 'ben', 10, 5), 'held', 'and held by two');
select is(pg_temp.holds('long', 'kilo_client', 10, 20), 'held', 'for different times');
update public.bookings set status = 'cancelled' where id = tests.id('only');
select is(pg_temp.until(10), interval '20 minutes', 'when the one leaves, the time is held to the end of the last hold');
select is(pg_temp.left_at(10), 1, 'and joined until then');
select is(pg_temp.left_at(10, '6 minutes'), 2, 'the more as holds run out');
select is(pg_temp.books('x', 'ann', 10, '19 minutes', 'pt'), 'taken', 'nobody else has it');
select is(pg_temp.confirms('long', 'kilo_client', '19 minutes'), 'booked', 'who confirms in time has it');
update public.bookings set status = 'cancelled' where occupancy_id = (select o.id from private.occupancies as o where o.starts_at = tests.at(10, '09:00') and o.seats > 0);
select is(pg_temp.until(10), interval '5 minutes', 'who leaves again leaves the other hold alone');
select is(pg_temp.books('other', 'ann', 10, '6 minutes', 'pt'), 'booked', 'then the time is anybody''s, for another type too, swept or not');
select is(pg_temp.confirms('short', 'ben', '6 minutes'), 'hold_expired', 'the hold has lost it');
select is(pg_temp.confirms('short', 'ben'), 'hold_expired', 'also on a clock that thinks it is in time');
select is(expired > 0, true, 'the sweep tidies up') from service.sweep_expired_holds(p_now => now() + interval '1 hour');
select is_empty($$ select from private.holds where status = 'held' $$, 'nothing is held any more');
select is_empty($$ select from private.occupancies as o where o.seats = 0 or o.expires_at is not null $$, 'and nothing is left of it');
select tests.calendar_holds('nothing overlaps');

-- A day's limit counts sessions: who leaves one that others stay in does not make room for another.
update public.session_types set max_per_day = 1 where id = tests.id('class');
select is(pg_temp.books('stays', 'ann', 12), 'booked', 'the day''s one session') union all select is(pg_temp.books('moves', 'ben', 12), 'booked', 'is shared');
select is(reschedule_booking(tests.id('moves'), tests.at(12, '11:00')) ->> 'outcome', 'taken', 'a second one is not opened by who leaves the first')
  from (select tests.sign_in('coach@kilo.example')) as s;
select cancel_booking(tests.id('stays'));
select is(reschedule_booking(tests.id('moves'), tests.at(12, '10:30')) ->> 'outcome', 'rescheduled', 'alone one moves the session itself');
select tests.as_owner();

-- What has run out is in nobody's way, and is not said to be taken.
select is(private.hold_slot(:'kilo', tests.id('ann'), tests.id('pt'), tests.at(13, '09:00'), null, tests.id('staff'), null, 'coach', 5) ->> 'outcome', 'held', 'a hold')
  union all
select is(private.book(:'kilo', tests.id('ben'), tests.id('pt'), tests.at(13, '09:50'), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null,
                       p_now => now() + interval '6 minutes') ->> 'outcome', 'unavailable', 'that has run out: a start off the grid is unavailable, not taken');

select * from finish();
rollback;
