-- book: what is on offer is booked, once; whatever is not is answered with an outcome and up to five other starts.
begin;
select plan(55);
select tests.open_studio();
select gen_random_uuid() as click, gen_random_uuid() as other_click \gset
select tests.remember('click', :'click');

select tests.sign_in('coach@kilo.example');
select book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff'), p_notes => 'Knee', p_request_id => :'click') as booked \gset
select is(:'booked'::jsonb - 'booking_id', jsonb_build_object('outcome', 'booked', 'staff_id', tests.id('staff'), 'start_time', tests.at(8, '09:00'), 'end_time', tests.at(8, '10:00')),
          'a start on offer is booked');
select is((client_id, session_type_id, session_type, status, booked_by, booking_source, notes, duration_mins)::text,
          (tests.id('ann'), tests.id('pt'), 'pt', 'confirmed', tests.id('kilo_owner'), 'trainer', 'Knee', 60)::text, 'with all that was said')
  from public.bookings where id = (:'booked'::jsonb ->> 'booking_id')::uuid;
select is(book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff'), p_request_id => :'click'), :'booked'::jsonb, 'the same request books once and answers the same');
select is(count(*), 1::bigint, 'there is one') from public.bookings where client_id = tests.id('ann');
select tests.refuses($$ select book(tests.id('kilo'), tests.id('ben'), tests.at(9, '09:00'), tests.id('pt'), p_request_id => tests.id('click')) $$, 409, 'request_reused',
                     'a request id is not used for another client');
select is(book(:'kilo', tests.id('ann'), tests.at(8, '10:00'), tests.id('pt'), tests.id('staff')) ->> 'outcome', 'booked', 'without one each call books');

-- Taken and unavailable.
select book(:'kilo', tests.id('ben'), tests.at(8, '09:30'), tests.id('pt'), tests.id('staff')) as taken \gset
select is(:'taken'::jsonb ->> 'outcome', 'taken', 'what somebody has is taken');
select is((select array_agg((a ->> 'staff_id')::uuid = tests.id('staff') order by n) from jsonb_array_elements(:'taken'::jsonb -> 'alternatives') with ordinality as x (a, n)),
          '{t,t,t,t,t}'::boolean[], 'five others are named, of the same staff member first');
select results_eq(format($$ select (a ->> 'start_time')::timestamptz from jsonb_array_elements(%L::jsonb -> 'alternatives') with ordinality as x (a, n) order by n limit 1 $$, :'taken'),
                  $$ select tests.at(8, '11:00') $$, 'nearest first');
select ok((a ->> 'end_time')::timestamptz = (a ->> 'start_time')::timestamptz + interval '1 hour' and a ? 'rank', 'with end and rank')
  from jsonb_array_elements(:'taken'::jsonb -> 'alternatives') as a limit 1;
select is(book(:'kilo', tests.id('ben'), (:'taken'::jsonb #>> '{alternatives,0,start_time}')::timestamptz, tests.id('pt'), (:'taken'::jsonb #>> '{alternatives,0,staff_id}')::uuid) ->> 'outcome',
          'booked', 'an alternative can be booked');
select is(book(:'kilo', tests.id('ben'), t.at, tests.id('pt'), tests.id('staff'), p_duration_mins => t.minutes) ->> 'outcome', 'unavailable', t.title)
  from (values (tests.at(9, '11:15'), 60, 'what runs past the hours was never on offer'), (tests.at(9, '08:45'), 60, 'nor what begins before them'),
               (tests.at(9, '09:07'), 60, 'nor what is off the grid'), (tests.at(9, '09:00') + interval '1 second', 60, 'by a second'),
               (tests.at(-1, '09:00'), 60, 'nor what is past'), (tests.at(9, '09:00'), 200, 'nor what is longer than the day'),
               (tests.at(900, '09:00') + interval '13 hours', 60, 'nor what is far away at night')) as t (at, minutes, title);
select is(jsonb_array_length(book(:'kilo', tests.id('ben'), tests.at(9, '08:45'), tests.id('pt'), tests.id('staff')) -> 'alternatives'), 5, 'which comes with alternatives too');
select is(book(:'kilo', tests.id('ben'), tests.at(-40, '09:00'), tests.id('pt')) -> 'alternatives', '[]', 'unless there are none near');
select is(book(:'kilo', tests.id('ben'), tests.at(9, '09:00'), tests.id('pt'), tests.id('staff'), p_duration_mins => 180) ->> 'outcome', 'booked', 'a length of one''s own is booked');
select is(duration_mins, 180, 'as long as it is') from public.bookings where start_time = tests.at(9, '09:00') and staff_id = tests.id('staff');
select is((a ->> 'start_time')::timestamptz, tests.at(10, '09:00'), 'when a day is full the nearest of other days is named')
  from (select book(:'kilo', tests.id('ben'), tests.at(9, '10:00'), tests.id('pt'), tests.id('staff')) #> '{alternatives,0}') as x (a);
select is(book(:'kilo', tests.id('ben'), tests.at(9, '10:00'), null, tests.id('staff')) ->> 'outcome', 'taken', 'without a type the same time is taken');

-- Anyone.
select is(book(:'kilo', tests.id('ann'), tests.at(10, '09:00'), tests.id('pt')) ->> 'outcome', 'booked', 'anyone is somebody') union all
select is(book(:'kilo', tests.id('ben'), tests.at(10, '09:00'), tests.id('pt')) ->> 'outcome', 'booked', 'and then somebody else') union all
select is(book(:'kilo', tests.id('ben'), tests.at(10, '09:00'), tests.id('pt')) ->> 'outcome', 'taken', 'until everybody is taken');
select is(count(distinct staff_id), 2::bigint, 'nobody twice') from public.bookings where start_time = tests.at(10, '09:00');
select is(book(:'kilo', tests.id('ann'), tests.at(11, '09:00'), tests.id('pt'), tests.id('second')) ->> 'outcome', 'booked', 'one has a session at nine');
select is(book(:'kilo', tests.id('ben'), tests.at(11, '10:00'), tests.id('pt')) ->> 'staff_id', tests.id('second')::text, 'anyone is whose day stays compact');

-- A place.
insert into public.locations (org_id, name) values (:'kilo', 'The gym') returning id as gym \gset
select tests.remember('gym', :'gym');
insert into public.staff_locations (org_id, staff_id, location_id) values (:'kilo', tests.id('second'), :'gym');
insert into public.locations (org_id, name) values (:'kilo', 'The park') returning id as park \gset
select is(book(:'kilo', tests.id('ann'), tests.at(12, '09:00'), tests.id('pt'), tests.id('second'), :'park') ->> 'outcome', 'unavailable', 'who does not work there is not booked there');
select is(book(:'kilo', tests.id('ann'), tests.at(12, '09:00'), tests.id('pt'), tests.id('second'), :'gym') ->> 'outcome', 'booked', 'who does is');
select is(location_id, :'gym', 'and the place is kept') from public.bookings where start_time = tests.at(12, '09:00');

-- Refusals.
insert into public.session_types (org_id, name, slug) values (:'kilo', 'Nobody gives this', 'nobody') returning id as nobodys \gset
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select book(tests.id('lima'), tests.id('lima_client'), tests.at(9, '09:00')) $$, 404, 'org_not_found', 'another organisation does not exist'),
  ($$ select book(null, tests.id('ann'), tests.at(9, '09:00')) $$, 404, 'org_not_found', 'nor does none'),
  ($$ select book(tests.id('kilo'), tests.id('lima_client'), tests.at(9, '09:00')) $$, 404, 'client_not_found', 'nor another''s client'),
  ($$ select book(tests.id('kilo'), null, tests.at(9, '09:00')) $$, 404, 'client_not_found', 'nor none'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), tests.at(9, '09:00'), gen_random_uuid()) $$, 404, 'session_type_not_found', 'nor an unknown type'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), tests.at(9, '09:00'), null, gen_random_uuid()) $$, 404, 'staff_not_found', 'nor unknown staff'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), tests.at(9, '09:00'), null, null, gen_random_uuid()) $$, 404, 'location_not_found', 'nor an unknown place'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), null) $$, 422, 'value_not_allowed', 'a start is needed'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), 'infinity') $$, 422, 'value_not_allowed', 'one that comes'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), tests.at(9, '09:00'), p_duration_mins => 0) $$, 422, 'value_not_allowed', 'a session has a length'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), tests.at(9, '09:00'), p_duration_mins => -60) $$, 422, 'value_not_allowed', 'a positive one'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), tests.at(9, '09:00'), p_duration_mins => 1441) $$, 422, 'value_not_allowed', 'of a day at most'),
  ($$ select book(tests.id('kilo'), tests.id('ann'), tests.at(9, '09:00'), p_notes => repeat('x', 20001)) $$, 422, 'value_not_allowed', 'and notes that can be read'))
    as t (call, status, slug, title);
select tests.only_for_members($$ select book(tests.id('kilo'), tests.id('kilo_client'), tests.at(9, '09:00')) $$, 'org_not_found', 'accountant@kilo.example', 'book');
select tests.sign_in('desk@kilo.example');
select is(book(:'kilo', tests.id('ann'), tests.at(20, '09:00'), tests.id('pt'), tests.id('staff')) ->> 'outcome', 'booked', 'a front desk books for others');

-- Whatever is listed can be booked.
select tests.as_owner();
create function pg_temp.refused(p_days integer) returns bigint language plpgsql as $$
declare
  v_slot record;
  v_refused bigint := 0;
begin
  for v_slot in select s.* from private.offered_slots(tests.id('kilo'), tests.id('pt'), null, null, null, private.org_day_bounds(tests.id('kilo'), tests.day(p_days)), 'coach') as s loop
    begin
      if private.book(tests.id('kilo'), tests.id('ann'), tests.id('pt'), v_slot.start_time, null, v_slot.staff_id, null, null, 'coach', 'trainer', null, null, null)
           ->> 'outcome' <> 'booked' then
        v_refused := v_refused + 1;
      end if;
      raise exception using errcode = 'XX999';
    exception when sqlstate 'XX999' then
      null;
    end;
  end loop;
  return v_refused;
end;
$$;
update public.session_types set buffer_before_mins = 10, buffer_after_mins = 25 where id = tests.id('pt');
select is(sum(pg_temp.refused(d)), 0::numeric, 'every start that is listed can be booked, buffers and all') from generate_series(8, 14) as d;
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
