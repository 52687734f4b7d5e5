-- Hours and blocks: the existing app writes them with user_id or with nobody; both mean what they always meant.
begin;
select plan(33);
select tests.open_studio();
delete from public.availability where org_id = :'kilo';

-- The existing onboarding names nobody.
select tests.sign_in('coach@kilo.example');
insert into public.availability (org_id, day_of_week, start_time, end_time) select :'kilo', d, '09:00', '11:00' from generate_series(0, 6) as d;
select is(count(*), 7::bigint, 'hours without a person are taken') from public.availability where org_id = :'kilo' and user_id is null and staff_id is null;
select tests.as_owner();
select is(tests.starts(8), '09:00-10:00', 'and are everyone''s') union all select is(tests.starts(8, 'second'), '09:00-10:00', 'likewise');

-- With user_id they are that person's.
select tests.sign_in('coach@kilo.example');
insert into public.availability (org_id, user_id, day_of_week, start_time, end_time)
select :'kilo', tests.id('kilo_owner'), d, '14:00', '16:00' from generate_series(0, 6) as d;
select is(count(distinct staff_id), 1::bigint, 'hours with a user are that person''s') from public.availability where user_id = tests.id('kilo_owner') and staff_id = tests.id('staff');
select tests.as_owner();
select is(tests.starts(8), '14:00-15:00', 'who then keeps to their own') union all select is(tests.starts(8, 'second'), '09:00-10:00', 'the others to everyone''s');
select tests.sign_in('coach@kilo.example');
insert into public.availability (org_id, user_id, day_of_week, start_time, end_time) values (:'kilo', tests.id('kilo_manager'), 1, '09:00', '10:00')
returning staff_id as managers \gset
select is(user_id, tests.id('kilo_manager'), 'a member without a calendar gets one with their hours') from public.staff where id = :'managers';
select lives_ok($$ delete from public.availability where user_id = tests.id('kilo_owner') $$, 'the app deletes before it writes anew');

-- Blocks, dated and weekly, with a person and without.
insert into public.blocked_times (org_id, user_id, date, start_time, end_time, reason)
values (:'kilo', tests.id('kilo_owner'), tests.day(8), '09:00', '09:30', 'Dentist') returning staff_id = tests.id('staff') as is_own \gset
select ok(:'is_own', 'a block with a user is that person''s');
insert into public.blocked_times (org_id, day_of_week, start_time, end_time)
values (:'kilo', extract(dow from tests.day(9)), '10:30', '11:00') returning id as weekly, staff_id is null as is_all \gset
select ok(:'is_all', 'one without is everyone''s');
select tests.as_owner();
select is(tests.starts(8), '09:30-10:00', 'the person''s block takes their time') union all select is(tests.starts(8, 'second'), '09:00-10:00', 'and nobody else''s');
select is(tests.starts(9), '09:00-09:30', 'everyone''s takes the first''s') union all select is(tests.starts(9, 'second'), '09:00-09:30', 'and the second''s');
select tests.sign_in('coach@kilo.example');
select lives_ok(format($$ update public.blocked_times set start_time = '09:00' where id = %L $$, :'weekly'), 'a block is moved');
select tests.as_owner();
select is(tests.starts(9), '', 'and takes the new time at once');
select tests.sign_in('coach@kilo.example');
select lives_ok(format($$ delete from public.blocked_times where id = %L $$, :'weekly'), 'a block is deleted');
select tests.as_owner();
select is(tests.starts(9), '09:00-10:00', 'and gives the time back at once');

-- Bad input.
select tests.sign_in('coach@kilo.example');
select tests.refuses(format('insert into public.%I (org_id, user_id, day_of_week, start_time, end_time) values (tests.id(''kilo''), %s, 1, ''09:00'', ''10:00'')', t, u), 422, 'staff_not_member',
                     format('%s of somebody who is no member (%s) are not everyone''s', t, u))
  from unnest(array['availability', 'blocked_times']) as t cross join unnest(array['tests.id(''nobody'')', 'tests.id(''lima_owner'')', 'gen_random_uuid()']) as u;
select tests.refuses(format('insert into public.%I (org_id, %s) values (tests.id(''kilo''), %s)', t.name, t.columns, t.row), 422, t.slug, t.title)
  from (values
    ('availability', 'day_of_week, start_time, end_time', '7, ''09:00'', ''10:00''', 'value_not_allowed', 'a week has seven days'),
    ('availability', 'day_of_week, start_time, end_time', '1, ''10:00'', ''10:00''', 'value_not_allowed', 'hours end after they start'),
    ('availability', 'day_of_week, start_time, end_time, specific_date', '1, ''09:00'', ''10:00'', ''2026-11-01''', 'value_not_allowed', 'a date is the weekday it says'),
    ('availability', 'day_of_week, start_time', '1, ''09:00''', 'value_missing', 'hours have an end'),
    ('blocked_times', 'start_time, end_time', '''09:00'', ''10:00''', 'value_not_allowed', 'a block has a day'),
    ('blocked_times', 'date, day_of_week, start_time, end_time', '''2026-11-02'', 1, ''09:00'', ''10:00''', 'value_not_allowed', 'or a date, not both'),
    ('blocked_times', 'day_of_week, start_time, end_time', '1, ''10:00'', ''09:00''', 'value_not_allowed', 'a block ends after it starts'),
    ('blocked_times', 'staff_id, day_of_week, start_time', 'tests.id(''staff''), 1, ''10:00''', 'value_missing', 'and has an end')) as t (name, columns, row, slug, title);
select tests.refuses($$ insert into public.availability (org_id, staff_id, day_of_week, start_time, end_time)
                        values (tests.id('kilo'), gen_random_uuid(), 1, '09:00', '10:00') $$, 404, 'reference_not_found', 'unknown staff have no hours');

select * from finish();
rollback;
