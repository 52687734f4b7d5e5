-- What binds a client and not a coach: notice, cutoffs, horizon, online booking; a change of settings acts on the next call.
begin;
select plan(38);
select tests.open_studio();
update public.availability set start_time = '06:00' where org_id = :'kilo';
create function pg_temp.closes(p_local timestamp) returns text language sql as $$
  select to_char(private.booking_closes_at(private.settings_of(tests.id('kilo')), p_local at time zone 'Australia/Brisbane') at time zone 'Australia/Brisbane', 'DD HH24:MI') $$;
create function pg_temp.listed(p_local timestamp, p_days integer default 8) returns text language sql as $$
  select tests.starts(tests.day(p_days), p_audience => 'client', p_now => p_local at time zone 'Australia/Brisbane') $$;

select is(tests.starts(8, 'staff', 'pt', 'client'), '06:00-11:00', 'with nothing set a client is offered what a coach is');
update public.booking_settings set min_notice_hours = 3 where org_id = :'kilo';
select is(pg_temp.closes('2026-11-20 10:00'), '20 07:00', 'min_notice_hours before the start booking closes');
select is(pg_temp.listed(tests.day(8) + time '07:00'), '10:00-11:00', 'to the minute');
select is(pg_temp.listed(tests.day(8) + time '07:01'), '10:15-11:00', 'and no later');
select is(tests.starts(tests.day(8), p_now => tests.at(8, '07:01')), '07:15-11:00', 'the coach is not bound by it');

update public.booking_settings set min_notice_hours = 0, late_notice_hours = 2, early_cutoff_before_hour = 9, early_cutoff_time = '20:00' where org_id = :'kilo';
select is(pg_temp.closes('2026-11-20 08:59'), '19 20:00', 'early starts close the evening before');
select is(pg_temp.closes('2026-11-20 09:00'), '20 07:00', 'later ones late_notice_hours before');
select is(pg_temp.listed(tests.day(7) + time '20:00'), '06:00-11:00', 'until the cutoff the early ones are on offer');
select is(pg_temp.listed(tests.day(7) + time '20:01'), '09:00-11:00', 'after it the others are');
select is(pg_temp.listed(tests.day(8) + time '08:00'), '10:00-11:00', 'until their own notice');
update public.booking_settings set min_notice_hours = 24 where org_id = :'kilo';
select is(pg_temp.closes('2026-11-20 08:00'), '19 08:00', 'of notice and cutoff the earlier counts');
select is(pg_temp.listed(tests.day(7) + time '10:30'), '10:30-11:00', 'for each start');
update public.booking_settings set min_notice_hours = 0, early_cutoff_before_hour = 0, late_notice_hours = 0 where org_id = :'kilo';
select is(pg_temp.closes('2026-11-20 00:00'), '20 00:00', 'a cutoff before hour 0 is none');
update public.booking_settings set early_cutoff_before_hour = 24 where org_id = :'kilo';
select is(pg_temp.closes('2026-11-20 23:45'), '19 20:00', 'and before hour 24 is the whole day''s');
update public.booking_settings set early_cutoff_before_hour = 9, timezone = 'America/New_York' where org_id = :'kilo';
select is(to_char(private.booking_closes_at(private.settings_of(:'kilo'), '2026-11-01 08:00 America/New_York') at time zone 'UTC', 'DD HH24:MI'), '01 00:00',
          'the evening before a DST change is the local evening');
update public.booking_settings set early_cutoff_before_hour = 0, timezone = 'Australia/Brisbane' where org_id = :'kilo';

update public.booking_settings set max_advance_days = 7 where org_id = :'kilo';
select is(tests.starts(7, 'staff', 'pt', 'client'), '06:00-11:00', 'the last day of the horizon is on offer');
select is(tests.starts(8, 'staff', 'pt', 'client'), '', 'the next is not');
select is(tests.starts(8), '06:00-11:00', 'but to the coach');
update public.booking_settings set max_advance_days = 0 where org_id = :'kilo';
select is(tests.starts(1, 'staff', 'pt', 'client'), '', 'a horizon of 0 days is today');
update public.booking_settings set max_advance_days = null where org_id = :'kilo';
select is(tests.starts(30, 'staff', 'pt', 'client'), '06:00-11:00', 'a value that is not set is the default: 30 days');
select is(tests.starts(31, 'staff', 'pt', 'client'), '', 'and no more');
update public.booking_settings set max_advance_days = 60 where org_id = :'kilo';

update public.session_types set allow_online_booking = false where id = tests.id('pt');
select is(tests.starts(8, 'staff', 'pt', 'client'), '', 'a type that is not booked online is not on offer to clients');
select is(tests.starts(8), '06:00-11:00', 'the coach books it');
select is(tests.starts(8, 'staff', 'class', 'client'), '06:00-11:00', 'other types are');
update public.session_types set allow_online_booking = true where id = tests.id('pt');
update public.booking_settings set allow_client_booking = false where org_id = :'kilo';
select is(tests.starts(8, 'staff', 'class', 'client'), '', 'where clients do not book nothing is on offer to them');
select is(tests.starts(8), '06:00-11:00', 'the coach books');
update public.booking_settings set allow_client_booking = true where org_id = :'kilo';

-- Bound at commit as at listing.
update public.booking_settings set min_notice_hours = 48, max_advance_days = 10 where org_id = :'kilo';
select is(private.book(:'kilo', tests.id('ann'), tests.id('pt'), tests.at(t.days, '09:00'), null, null, null, null, t.audience, 'client', null, null, null) ->> 'outcome',
          t.wanted, t.title)
  from (values (1, 'client', 'unavailable', 'a client does not book inside the notice'), (11, 'client', 'unavailable', 'nor beyond the horizon'),
               (10, 'client', 'booked', 'in between they do'), (1, 'coach', 'booked', 'a coach books both'), (11, 'coach', 'booked', 'likewise'))
    as t (days, audience, wanted, title);

-- Settings act on the next call, whoever wrote them.
select tests.sign_in('coach@kilo.example');
update public.booking_settings set slot_duration_mins = 90, min_notice_hours = 0, max_advance_days = 60 where org_id = :'kilo';
select is(count(*), 19::bigint, 'the length of a slot changes with the settings') from find_slots(:'kilo', tests.day(14), null, null, tests.id('staff'));
insert into public.availability (org_id, staff_id, day_of_week, start_time, end_time)
select :'kilo', tests.id('staff'), d, '10:00', '12:00' from generate_series(0, 6) as d;
select is(count(*), 3::bigint, 'hours with the row that says so') from find_slots(:'kilo', tests.day(14), null, null, tests.id('staff'));
update public.booking_settings set timezone = 'Asia/Kathmandu' where org_id = :'kilo';
select is(min(start_time), ((tests.day(14) + time '10:00') at time zone 'Asia/Kathmandu'), 'the timezone moves what is on offer')
  from find_slots(:'kilo', tests.day(14), null, null, tests.id('staff'));
select tests.refuses($$ update public.booking_settings set timezone = 'Mars/Olympus' $$, 422, 'timezone_unknown', 'to one that exists');
select tests.refuses(format('update public.booking_settings set %s', t.change), 422, 'value_not_allowed', t.change)
  from (values ('min_notice_hours = -1'), ('max_advance_days = 3651'), ('slot_duration_mins = 0')) as t (change);

select * from finish();
rollback;
