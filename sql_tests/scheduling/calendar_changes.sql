-- calendar with p_since: beside bookings it tells of blocks and free time, when they changed and only then.
begin;
select plan(39);
select tests.open_studio();
select tests.make_booking('lesson', null, tests.at(8, '09:00'));
-- One transaction has one instant: whatever happened before it, happened an hour ago.
create function pg_temp.rest() returns void language sql as $$
  update public.bookings set updated_at = updated_at - interval '1 hour';
  update private.holds set updated_at = updated_at - interval '1 hour';
  update private.calendar_changes set changed_at = changed_at - interval '1 hour';
  select tests.sign_in('coach@kilo.example') $$;
-- What the next poll tells: the keys that hold something.
create function pg_temp.told(p_since timestamptz default now() - interval '10 seconds', p_staff text default null) returns text language sql as $$
  select coalesce(string_agg(e.key, ' ' order by e.key), '')
    from jsonb_each(calendar(tests.id('kilo'), 'day', tests.day(8), case when p_staff is not null then tests.id(p_staff) end, p_since)) as e
   where e.key in ('bookings', 'left', 'blocks', 'free') and not (e.key in ('bookings', 'left') and e.value = '[]') $$;
grant execute on function pg_temp.told(timestamptz, text) to public;

select tests.as_owner();
select pg_temp.rest();
select is(pg_temp.told(), '', 'nothing changed, nothing is told');
select is(calendar(:'kilo', 'day', tests.day(8), null, now()) -> 'left', '[]', 'but an answer in part always says what left');

-- Hours.
insert into public.availability (org_id, day_of_week, start_time, end_time) select :'kilo', d, '18:00', '19:00' from generate_series(0, 6) as d;
select is(pg_temp.told(), 'free', 'hours that come change the free time');
select ok(calendar(:'kilo', 'day', tests.day(8), null, now() - interval '10 seconds') -> 'free' = calendar(:'kilo', 'day', tests.day(8)) -> 'free', 'which is told whole');
select ok(calendar(:'kilo', 'day', tests.day(8)) -> 'free' @> jsonb_build_array(jsonb_build_object('staff_id', tests.id('second'), 'start_time', tests.at(8, '18:00'))), 'with the new hours');
select tests.as_owner();
select is(count(*), 1::bigint, 'many rows of one change are one note') from private.calendar_changes where org_id = :'kilo' and changed_at = now();
select tests.as_owner();
select pg_temp.rest();
select is(pg_temp.told(), '', 'once told it is not told again');
select tests.as_owner();
update public.availability set end_time = '20:00' where org_id = :'kilo' and start_time = '18:00';
select is(pg_temp.told(), 'free', 'hours that change do') from tests.sign_in('coach@kilo.example');
select tests.as_owner();
select pg_temp.rest();
delete from public.availability where start_time = '18:00';
select is(pg_temp.told(), 'free', 'and hours that go');

-- Blocks.
select tests.as_owner();
select pg_temp.rest();
insert into public.blocked_times (org_id, date, start_time, end_time, reason) values (:'kilo', tests.day(8), '11:00', '11:30', 'Dentist');
select is(pg_temp.told(), 'blocks free', 'a block is told, and what it takes');
select is(calendar(:'kilo', 'day', tests.day(8), null, now() - interval '10 seconds') #>> '{blocks,0,reason}', 'Dentist', 'as it stands');
select tests.as_owner();
select pg_temp.rest();
update public.blocked_times set end_time = '11:45' where org_id = :'kilo';
select is(pg_temp.told(), 'blocks free', 'one that changes');
select tests.as_owner();
select pg_temp.rest();
delete from public.blocked_times where org_id = :'kilo';
select is(pg_temp.told(), 'blocks free', 'and one that goes');
select is(calendar(:'kilo', 'day', tests.day(8), null, now() - interval '10 seconds') -> 'blocks', '[]', 'then none are left');

-- Bookings and holds take free time.
select tests.as_owner();
select pg_temp.rest();
select book(:'kilo', tests.id('ann'), tests.at(8, '10:00'), tests.id('pt'), tests.id('staff'));
select is(pg_temp.told(), 'bookings free', 'a booking takes free time');
select is(pg_temp.told(p_staff => 'second'), 'free left', 'in another''s view it is elsewhere, and free time is told to be sure');
select tests.as_owner();
select pg_temp.rest();
update public.bookings set start_time = tests.at(9, '09:00'), end_time = tests.at(9, '10:00') where id = tests.id('lesson');
select is(pg_temp.told(), 'free left', 'one that moved away gives it back');
select tests.as_owner();
select pg_temp.rest();
select hold_slot(:'kilo', tests.id('ann'), tests.at(8, '11:00'), tests.id('pt'), tests.id('staff')) ->> 'hold_id' as hold \gset
select is(pg_temp.told(), 'free', 'a hold takes it');
select tests.as_owner();
select pg_temp.rest();
select is(pg_temp.told(), '', 'while it lasts nothing changes');
select tests.as_owner();
update private.holds set expires_at = now() - interval '5 seconds', updated_at = updated_at - interval '1 second' where id = :'hold';
select tests.sign_in('coach@kilo.example');
select is(pg_temp.told(), 'free', 'when it has run out it gives it back, swept or not');
select is(pg_temp.told(now() - interval '4 seconds'), '', 'once');
select tests.as_service();
select service.sweep_expired_holds();
select is(pg_temp.told(), 'free', 'as it does when it is swept') from tests.sign_in('coach@kilo.example');
select tests.as_owner();
select pg_temp.rest();
select hold_slot(:'kilo', tests.id('ann'), tests.at(8, '11:00'), tests.id('pt'), tests.id('staff'));
select tests.as_owner();
select pg_temp.rest();
select tests.as_owner();
delete from private.holds where client_id = tests.id('ann') and status = 'held';
select is(pg_temp.told(), 'free', 'or deleted') from tests.sign_in('coach@kilo.example');

-- Staff and settings.
select tests.as_owner();
select pg_temp.rest();
insert into public.staff (org_id, full_name) values (:'kilo', 'Third Coach') returning id as third \gset
select is(pg_temp.told(), 'free', 'somebody new has free time');
select tests.as_owner();
select pg_temp.rest();
update public.staff set full_name = 'Third' where id = :'third';
select is(pg_temp.told(), '', 'a name does not');
select deactivate_staff(:'third');
select is(pg_temp.told(), 'free', 'who leaves has none');
select tests.as_owner();
select pg_temp.rest();
select reactivate_staff(:'third');
select is(pg_temp.told(), 'free', 'until they return');
select tests.as_owner();
select pg_temp.rest();
update public.booking_settings set min_notice_hours = 3 where org_id = :'kilo';
select is(pg_temp.told(), '', 'notice changes nothing that a calendar shows');
update public.booking_settings set timezone = 'Australia/Perth' where org_id = :'kilo';
select is(pg_temp.told(), 'blocks bookings free', 'another timezone changes everything: the answer is whole');
select ok(not calendar(:'kilo', 'day', tests.day(8), null, now() - interval '10 seconds') ? 'left', 'and says so, by leaving out what left');
update public.booking_settings set timezone = 'Australia/Brisbane' where org_id = :'kilo';

-- How long it is known.
select tests.as_owner();
delete from private.calendar_changes where kind = 'timezone';
select pg_temp.rest();
select is(pg_temp.told(now() - interval '7 days'), 'blocks bookings free left', 'a week back is told in part');
select is(pg_temp.told(now() - interval '7 days 1 second'), 'blocks bookings free', 'what lies further back is answered whole');
select is(pg_temp.told('-infinity'), 'blocks bookings free', 'however far');
select is(pg_temp.told('infinity'), '', 'nothing changed after all time');
select tests.as_owner();
update private.calendar_changes set changed_at = now() - interval '8 days 1 second' where org_id = :'kilo';
select tests.sign_in('coach@kilo.example');
delete from public.availability where day_of_week = 0;
select tests.as_owner();
select is(count(*), 1::bigint, 'notes that nobody can ask for any more go with the next one') from private.calendar_changes where org_id = :'kilo';

-- Others.
select tests.as_owner();
select pg_temp.rest();
select tests.sign_in('coach@lima.example');
insert into public.availability (org_id, day_of_week, start_time, end_time) values (:'lima', 1, '09:00', '10:00');
insert into public.blocked_times (org_id, day_of_week, start_time, end_time) values (:'lima', 1, '09:00', '10:00');
select tests.book('lima', 'lima_client', 'lima_package', tests.at(8, '12:00'));
select is(pg_temp.told(), '', 'another organisation''s changes are not told') from tests.sign_in('coach@kilo.example');
select tests.forbids($$ select from private.calendar_changes $$, 'the notes are nobody''s to read');
select tests.as_service();
select tests.forbids($$ select from private.calendar_changes $$, 'nor the service''s');
select tests.as_owner();
insert into public.orgs (name, slug) values ('Mike', 'mike') returning id as mike \gset
insert into public.booking_settings (org_id) values (:'mike');
insert into public.availability (org_id, day_of_week, start_time, end_time) values (:'mike', 1, '09:00', '10:00');
insert into public.blocked_times (org_id, day_of_week, start_time, end_time) values (:'mike', 1, '09:00', '10:00');
set local coach.erase = 'on';
select lives_ok(format($$ delete from public.orgs where id = %L $$, :'mike'), 'an organisation goes with its notes');

select * from finish();
rollback;
