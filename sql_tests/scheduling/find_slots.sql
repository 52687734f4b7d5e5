-- find_slots, available_dates: local days of an organisation, for those who may read its bookings.
begin;
select plan(35);
select tests.open_studio();
select tests.make_booking('busy', null, tests.at(8, '10:00'));

select tests.sign_in('coach@kilo.example');
select results_eq($$ select start_time, end_time, staff_id, rank, seats_left from find_slots(tests.id('kilo'), tests.day(8), null, tests.id('pt'), tests.id('staff')) $$,
                  $$ values (tests.at(8, '09:00'), tests.at(8, '10:00'), tests.id('staff'), 0, 1), (tests.at(8, '11:00'), tests.at(8, '12:00'), tests.id('staff'), 0, 1) $$,
                  'a day''s starts with staff, rank and seats');
select is(count(*), 18::bigint, 'several days up to the last, both included') from find_slots(:'kilo', tests.day(9), tests.day(10), tests.id('pt'), tests.id('staff'));
select is((count(*), count(distinct staff_id))::text, '(11,2)', 'of everybody when nobody is named') from find_slots(:'kilo', tests.day(8), null, tests.id('pt'));
select is(min(start_time) filter (where end_time - start_time = interval '30 minutes'), tests.at(8, '09:00'), 'a length may be asked for') from find_slots(:'kilo', tests.day(8), null, null, null, null, 30);
select is(array_agg(start_time)::text, array_agg(start_time order by start_time, rank, staff_id)::text, 'in the order of time') from find_slots(:'kilo', tests.day(8), tests.day(12));
select results_eq($$ select on_date, slots from available_dates(tests.id('kilo'), tests.day(7), tests.day(9), tests.id('pt'), tests.id('staff')) $$,
                  $$ values (tests.day(7), 9::bigint), (tests.day(8), 2), (tests.day(9), 9) $$, 'available_dates names the days, with how many');
insert into public.blocked_times (org_id, date, start_time, end_time) values (:'kilo', tests.day(8), '00:00', '24:00');
select is(array_agg(on_date), array[tests.day(7), tests.day(9)], 'a day without a start is not one of them') from available_dates(:'kilo', tests.day(7), tests.day(9));
select is_empty($$ select from available_dates(tests.id('kilo'), tests.day(-9), tests.day(-2)) $$, 'nor one that is past');

select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select * from find_slots(tests.id('kilo'), tests.day(8), tests.day(71)) $$, 422, 'value_not_allowed', 'a listing looks at two months'),
  ($$ select * from find_slots(tests.id('kilo'), tests.day(8), tests.day(7)) $$, 422, 'value_not_allowed', 'forward'),
  ($$ select * from find_slots(tests.id('kilo'), null) $$, 422, 'value_not_allowed', 'from a day'),
  ($$ select * from find_slots(tests.id('kilo'), 'infinity') $$, 422, 'value_not_allowed', 'that comes'),
  ($$ select * from find_slots(tests.id('kilo'), tests.day(8), null, null, null, null, 4) $$, 422, 'value_not_allowed', 'for five minutes at least'),
  ($$ select * from find_slots(tests.id('kilo'), tests.day(8), null, gen_random_uuid()) $$, 404, 'session_type_not_found', 'of a type that is there'),
  ($$ select * from find_slots(tests.id('kilo'), tests.day(8), null, null, (select s.id from public.staff as s where s.org_id <> tests.id('kilo') union select gen_random_uuid() limit 1)) $$, 404, 'staff_not_found', 'of staff that are'),
  ($$ select * from find_slots(tests.id('kilo'), tests.day(8), null, null, null, gen_random_uuid()) $$, 404, 'location_not_found', 'at a place that is'),
  ($$ select * from available_dates(tests.id('kilo'), tests.day(8), tests.day(71)) $$, 422, 'value_not_allowed', 'available_dates likewise'),
  ($$ select * from available_dates(tests.id('lima'), tests.day(8), tests.day(9)) $$, 404, 'org_not_found', 'and not of another organisation')) as t (call, status, slug, title);
select is(count(*), 63::bigint, 'sixty-three days are two months') from available_dates(:'kilo', tests.day(9), tests.day(71));

select tests.sign_in('accountant@kilo.example');
select lives_ok($$ select * from find_slots(tests.id('kilo'), tests.day(8)) $$, 'whoever may read bookings may list');
select tests.as_owner();
delete from public.role_permissions where role = 'accountant_readonly' and permission = 'bookings.read';
select tests.only_for_members($$ select * from find_slots(tests.id('kilo'), tests.day(8)) $$, 'org_not_found', 'accountant@kilo.example', 'find_slots');
select tests.only_for_members($$ select * from available_dates(tests.id('kilo'), tests.day(8), tests.day(9)) $$, 'org_not_found', 'accountant@kilo.example', 'available_dates');
select tests.sign_in('coach@kilo.example');
insert into public.session_type_staff (org_id, session_type_id, staff_id) values (:'kilo', tests.id('pt'), tests.id('second'));
select is(array_agg(distinct staff_id), array[tests.id('second')], 'a type''s own staff alone are listed') from find_slots(:'kilo', tests.day(9), null, tests.id('pt'));
select lives_ok($$ delete from public.session_type_staff where org_id = tests.id('kilo') $$, 'and everybody again');
select is(count(distinct staff_id), 2::bigint, 'when nobody is named') from find_slots(:'kilo', tests.day(9), null, tests.id('pt'));

select * from finish();
rollback;
