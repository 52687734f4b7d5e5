-- Occupancy: whatever writes a booking takes its staff member's time, once; only cancelling gives it back.
begin;
select plan(46);
select tests.open_studio();

create function pg_temp.add(p_name text, p_days integer, p_from time, p_until time, p_type text default 'pt_session') returns uuid language sql as $$
  with added as (
    insert into public.bookings (org_id, client_id, start_time, end_time, session_type)
    values (tests.id('kilo'), tests.id('ann'), tests.at(p_days, p_from), tests.at(p_days, p_until), p_type) returning id)
  select tests.remember(p_name, a.id) from added as a $$;
grant execute on function pg_temp.add(text, integer, time, time, text) to public;

-- The existing app's direct writes.
select tests.sign_in('coach@kilo.example');
select lives_ok($$ select pg_temp.add('first', 8, '09:00', '10:00') $$, 'a coach''s direct booking is taken');
select tests.refuses(format('select pg_temp.add(''x'', 8, %L, %L)', t.starts, t.ends), 409, 'slot_taken', t.title)
  from (values ('09:00', '10:00', 'the same time is not'), ('09:59', '10:30', 'nor a minute of it'), ('08:00', '09:01', 'at either end'),
               ('08:00', '11:00', 'nor one around it'), ('09:20', '09:30', 'nor one within')) as t (starts, ends, title);
select lives_ok($$ select pg_temp.add('next', 8, '10:00', '11:00') $$, 'one that touches it is');
select lives_ok($$ select pg_temp.add('before', 8, '08:00', '09:00') $$, 'on either side');
select lives_ok($$ select pg_temp.add('night', 8, '22:00', '23:00') $$, 'outside the hours a coach books');
select lives_ok($$ select pg_temp.add('past', -8, '10:00', '11:00') $$, 'and enters what is past');
select is(count(*), 0::bigint, 'a refusal leaves nothing behind') from public.bookings where client_id = tests.id('ann') and start_time = tests.at(8, '09:59');

-- Moving, staff, status.
select tests.refuses($$ update public.bookings set start_time = tests.at(8, '10:30'), end_time = tests.at(8, '11:30') where id = tests.id('first') $$,
                     409, 'slot_taken', 'a direct move onto another is refused');
select is(start_time, tests.at(8, '09:00'), 'and moves nothing') from public.bookings where id = tests.id('first');
select lives_ok($$ update public.bookings set start_time = tests.at(8, '11:30'), end_time = tests.at(8, '12:30') where id = tests.id('first') $$, 'to a free time it moves');
select lives_ok($$ update public.bookings set start_time = tests.at(8, '11:45'), end_time = tests.at(8, '12:45') where id = tests.id('first') $$, 'its own old time is no obstacle');
select lives_ok($$ select pg_temp.add('refill', 8, '09:00', '10:00') $$, 'what it left is free');
select is(ics_sequence, 2, 'each move raises the calendar file''s sequence') from public.bookings where id = tests.id('first');
select tests.refuses($$ update public.bookings set end_time = tests.at(8, '10:15') where id = tests.id('refill') $$, 409, 'slot_taken', 'growing into the next is refused');
select lives_ok($$ update public.bookings set end_time = tests.at(8, '09:30') where id = tests.id('refill') $$, 'shrinking is not');
select lives_ok($$ select pg_temp.add('half', 8, '09:30', '10:00') $$, 'and frees the rest');
update public.bookings set status = 'cancelled' where id = tests.id('half');
select lives_ok($$ select pg_temp.add('instead', 8, '09:30', '10:00') $$, 'a cancelled booking''s time is free');
select tests.refuses($$ update public.bookings set status = 'confirmed' where id = tests.id('half') $$, 409, 'slot_taken', 'it does not come back over another');
select is(status, 'cancelled', 'and stays cancelled') from public.bookings where id = tests.id('half');
update public.bookings set status = 'cancelled' where id = tests.id('instead');
select lives_ok($$ update public.bookings set status = 'confirmed' where id = tests.id('half') $$, 'when the time is free again it does');
select lives_ok($$ update public.bookings set start_time = tests.at(8, '08:00'), end_time = tests.at(8, '09:00') where id = tests.id('instead') $$,
                'a cancelled booking may lie anywhere');
update public.bookings set status = 'completed' where id = tests.id('past');
select tests.refuses($$ select pg_temp.add('x', -8, '10:30', '11:00') $$, 409, 'slot_taken', 'a completed booking keeps its time');
update public.bookings set status = 'confirmed' where id = tests.id('past');
update public.bookings set status = 'no_show' where id = tests.id('past');
select tests.refuses($$ select pg_temp.add('x', -8, '10:30', '11:00') $$, 409, 'slot_taken', 'so does a no-show');
update public.bookings set status = 'pending' where id = tests.id('night');
select tests.refuses($$ select pg_temp.add('x', 8, '22:30', '23:00') $$, 409, 'slot_taken', 'and one that waits to be confirmed');
update public.bookings set notes = 'x', client_confirmed = true where id = tests.id('night');
select is(ics_sequence, 0, 'what moves nothing raises no sequence') from public.bookings where id = tests.id('night');
select tests.as_owner();
select lives_ok($$ update public.bookings set staff_id = tests.id('second') where id = tests.id('night') $$, 'a booking goes to another staff member');
select lives_ok($$ insert into public.bookings (org_id, client_id, start_time, end_time) values (tests.id('kilo'), tests.id('ann'), tests.at(8, '22:00'), tests.at(8, '23:00')) $$,
                'which frees the first''s time');
select tests.refuses($$ update public.bookings set staff_id = tests.id('staff') where id = tests.id('night') $$, 409, 'slot_taken', 'back it cannot');

-- Buffers: a coach's direct write keeps the type's, found by its slug.
update public.session_types set buffer_before_mins = 10, buffer_after_mins = 20 where id = tests.id('pt');
select tests.sign_in('coach@kilo.example');
select lives_ok($$ select pg_temp.add('padded', 9, '10:00', '11:00', 'pt') $$, 'a direct booking of a type has its buffers');
select tests.refuses($$ select pg_temp.add('x', 9, '11:19', '12:00') $$, 409, 'slot_taken', 'nothing begins within the one after');
select tests.refuses($$ select pg_temp.add('x', 9, '09:00', '09:51') $$, 409, 'slot_taken', 'nor ends within the one before');
select lives_ok($$ select pg_temp.add('after', 9, '11:20', '12:00') $$, 'where the buffer ends the next begins');
select lives_ok($$ select pg_temp.add('ahead', 9, '09:00', '09:50') $$, 'and ends where it begins');
select tests.refuses($$ select pg_temp.add('x', 9, '12:05', '13:00', 'pt') $$, 409, 'slot_taken', 'a buffer may not reach into another''s session');

-- The organisation's timezone.
select tests.as_owner();
create temp table before_change on commit drop as select id, start_time, end_time, occupancy_id from public.bookings where org_id = :'kilo';
update public.booking_settings set timezone = 'America/New_York' where org_id = :'kilo';
select is_empty($$ select from before_change as c join public.bookings as b using (id) where (b.start_time, b.end_time, b.occupancy_id) is distinct from (c.start_time, c.end_time, c.occupancy_id) $$,
                'a change of timezone moves no booking');

-- Bad input.
select tests.sign_in('coach@kilo.example');
select tests.refuses(format('insert into public.bookings (org_id, client_id, start_time, end_time) values (tests.id(''kilo''), tests.id(''ann''), %s, %s)', t.starts, t.ends),
                     422, t.slug, t.title)
  from (values ('now()', 'now()', 'value_not_allowed', 'a booking has a length'), ('now()', 'now() - interval ''1 hour''', 'value_not_allowed', 'and a positive one'),
               ('''2026-12-01''', '''2026-12-03''', 'value_not_allowed', 'of at most a day'), ('''1999-01-01''', '''1999-01-01 01:00''', 'value_not_allowed', 'in a plausible year'),
               ('null', 'now()', 'value_missing', 'with a start'), ('''-infinity''', '''infinity''', 'value_not_allowed', 'that is no eternity')) as t (starts, ends, slug, title);
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
