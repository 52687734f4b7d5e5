-- open_time: hours less blocked times. A date's own hours replace the week's, one's own replace everyone's, what is taken away is away.
begin;
select plan(34);
select tests.open_studio();
delete from public.availability where org_id = :'kilo';

create function pg_temp.hours(p_on date, p_from time, p_until time, p_staff text default null, p_is_dated boolean default false, p_is_available boolean default true)
returns void language sql as $$
  insert into public.availability (org_id, staff_id, day_of_week, specific_date, start_time, end_time, is_available)
  values (tests.id('kilo'), case when p_staff is not null then tests.id(p_staff) end, extract(dow from p_on), case when p_is_dated then p_on end,
          p_from, p_until, p_is_available) $$;
select is(tests.starts(8), '', 'without hours nothing is on offer');
select pg_temp.hours(tests.day(8), '09:00', '12:00'), pg_temp.hours(tests.day(8), '15:00', '17:00');
select is(tests.starts(8), '09:00-11:00 15:00-16:00', 'two rows are two spans');
select is(tests.starts(9), '', 'of that weekday alone');
select is(tests.starts(15), '09:00-11:00 15:00-16:00', 'week after week');
select pg_temp.hours(tests.day(8), '11:00', '15:30');
select is(tests.starts(8), '09:00-16:00', 'rows that overlap or touch are one');
select pg_temp.hours(tests.day(8), '16:00', '24:00'), pg_temp.hours(tests.day(9), '00:00', '01:00');
select is(tests.starts(8), '09:00-23:45', 'a session may run past midnight where the hours do');
select is(tests.starts(9), '00:00', 'and the night belongs to the day on which it begins');

-- A date.
select pg_temp.hours(tests.day(15), '10:00', '12:00', p_is_dated => true);
select is(tests.starts(15), '10:00-11:00', 'a date''s own hours replace the week''s');
select is(tests.starts(22), '09:00-23:45', 'on that date alone');
select pg_temp.hours(tests.day(15), '13:00', '14:00', p_is_dated => true);
select is(tests.starts(15), '10:00-11:00 13:00', 'a date may have several');
select pg_temp.hours(tests.day(22), '12:00', '24:00', p_is_dated => true, p_is_available => false);
select is(tests.starts(22), '09:00-11:00', 'a date that takes time away leaves the rest of the week''s');
select pg_temp.hours(tests.day(29), '00:00', '24:00', p_is_dated => true, p_is_available => false);
select is(tests.starts(29), '', 'a day off is off');
select pg_temp.hours(tests.day(8), '13:00', '24:00', p_is_available => false);
select is(tests.starts(8), '09:00-12:00', 'so does a weekly row that takes time away');
select is(tests.starts(15), '10:00-11:00 13:00', 'but not from a date''s own hours, which replace the whole week');
select pg_temp.hours(tests.day(15), '13:30', '14:00', p_is_dated => true, p_is_available => false);
select is(tests.starts(15), '10:00-11:00', 'from those a row of the date takes away');
update public.availability set is_available = null where is_available;
select is(tests.starts(8), '09:00-12:00', 'a row that does not say is available');

-- One's own.
select pg_temp.hours(tests.day(8), '06:00', '08:00', 'second');
select is(tests.starts(8, 'second'), '06:00-07:00', 'who has hours of their own keeps to them');
select is(tests.starts(9, 'second'), '', 'on every day');
select is(tests.starts(15, 'second'), '06:00-07:00', 'everyone''s dates do not bind them');
select is(tests.starts(8), '09:00-12:00', 'and theirs bind nobody else');
select pg_temp.hours(tests.day(9), '09:00', '10:00', 'staff', true);
select is(tests.starts(9), '09:00', 'a date of one''s own replaces everyone''s of that day');
select is(tests.starts(8), '09:00-12:00', 'and leaves everyone''s other days');

-- Blocks, in the organisation's time.
insert into public.blocked_times (org_id, staff_id, date, day_of_week, start_time, end_time) values
  (:'kilo', null, tests.day(8), null, '06:00', '06:15'), (:'kilo', tests.id('staff'), tests.day(8), null, '10:00', '10:30'),
  (:'kilo', tests.id('second'), null, extract(dow from tests.day(8)), '07:30', '08:00');
select is(tests.starts(8), '09:00 10:30-12:00', 'a dated block takes its own staff member''s time');
select is(tests.starts(8, 'second'), '06:15-06:30', 'a weekly one theirs, everyone''s everyone''s');
select is(tests.starts(15, 'second'), '06:00-06:30', 'a dated one on its date alone');
insert into public.blocked_times (org_id, day_of_week, start_time, end_time) values (:'kilo', extract(dow from tests.day(8)), '00:00', '24:00');
select is(tests.starts(8, null), '', 'a blocked day has nothing');

-- Opening hours of a place.
delete from public.blocked_times where org_id = :'kilo';
insert into public.locations (org_id, name) values (:'kilo', 'The gym') returning id as gym \gset
select is(tests.starts(tests.day(8), p_location => :'gym'), '09:00-12:00', 'a place without opening hours is always open');
insert into public.location_hours (org_id, location_id, day_of_week, opens_time, closes_time) values
  (:'kilo', :'gym', extract(dow from tests.day(8)), '07:00', '10:15'), (:'kilo', :'gym', extract(dow from tests.day(8)), '11:00', '12:30');
select is(tests.starts(tests.day(8), p_location => :'gym'), '09:00-09:15 11:00-11:30', 'one with hours bounds the session');
select is(tests.starts(tests.day(9), p_location => :'gym'), '', 'and is closed on days without');
select is(tests.starts(8), '09:00-12:00', 'elsewhere nothing is bounded');
insert into public.staff_locations (org_id, staff_id, location_id) values (:'kilo', tests.id('second'), :'gym');
select is(tests.starts(tests.day(8), null, p_location => :'gym'), '07:00 09:00-09:15 11:00-11:30', 'who works there, and who works everywhere');
insert into public.locations (org_id, name) values (:'kilo', 'The park') returning id as park \gset
select is(tests.starts(tests.day(8), 'second', p_location => :'park'), '', 'who works in one place is not on offer in another');
select is(tests.starts(tests.day(8), 'second'), '06:00-07:00', 'where nobody asks for a place they are');
update public.locations set is_active = false where id = :'park';
select is(tests.starts(tests.day(8), p_location => :'park'), '', 'a place that is inactive has nothing');

select * from finish();
rollback;
