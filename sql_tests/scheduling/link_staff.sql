-- A staff row and the member who they are: linked later, unlinked, linked anew; hours and blocks say the same person.
begin;
select plan(29);
select tests.open_studio();
create function pg_temp.link(p_user text, p_staff text default 'second') returns text language sql as $$
  select format('update public.staff set user_id = %s where id = tests.id(%L)', case when p_user is null then 'null' else format('tests.id(%L)', p_user) end, p_staff) $$;
create function pg_temp.whose() returns text language sql as $$
  select string_agg(distinct coalesce((select n.name from tests.names as n where n.id = x.user_id), 'nobody'), ' ')
    from (select user_id from public.availability where staff_id = tests.id('second')
          union all select user_id from public.blocked_times where staff_id = tests.id('second')) as x $$;
grant execute on function pg_temp.link(text, text), pg_temp.whose() to public;

select tests.sign_in('manager@kilo.example');
insert into public.availability (org_id, staff_id, day_of_week, start_time, end_time) values (:'kilo', tests.id('second'), 1, '09:00', '10:00');
insert into public.blocked_times (org_id, staff_id, user_id, day_of_week, start_time, end_time) values (:'kilo', tests.id('second'), tests.id('kilo_owner'), 1, '09:00', '10:00');
select is(pg_temp.whose(), 'nobody', 'who does not sign in has hours and blocks of no user');
select lives_ok(pg_temp.link('kilo_desk'), 'a staff member is linked to a member');
select is(user_id, tests.id('kilo_desk'), 'and is them') from public.staff where id = tests.id('second');
select is(pg_temp.whose(), 'kilo_desk', 'their hours and blocks follow');
insert into public.availability (org_id, staff_id, day_of_week, start_time, end_time) values (:'kilo', tests.id('second'), 2, '09:00', '10:00');
select is(pg_temp.whose(), 'kilo_desk', 'new ones say so too');
select is(count(*), 7::bigint, 'nobody else''s do') from public.availability where org_id = :'kilo' and staff_id is null and user_id is null;
select tests.sign_in('desk@kilo.example');
insert into public.blocked_times (org_id, user_id, date, start_time, end_time) values (:'kilo', tests.id('kilo_desk'), tests.day(8), '09:00', '10:00') returning staff_id as blocked \gset
select is(:'blocked', tests.id('second'), 'what the app says of the member is their calendar''s');
select tests.changes_nothing(pg_temp.link(null), 'a role without staff.write links nobody');

select tests.sign_in('manager@kilo.example');
select tests.refuses(pg_temp.link('kilo_owner'), 409, 'value_taken', 'nobody is two staff members');
select tests.refuses(pg_temp.link('nobody'), 422, 'staff_not_member', 'who is no member is not linked');
select tests.refuses(pg_temp.link('lima_owner'), 422, 'staff_not_member', 'nor another organisation''s');
select is(user_id, tests.id('kilo_desk'), 'none of which changed anything') from public.staff where id = tests.id('second');
select lives_ok(pg_temp.link(null), 'a link is taken away');
select is(pg_temp.whose(), 'nobody', 'also from hours and blocks');
select lives_ok(pg_temp.link(null, 'staff'), 'a first one too') union all select lives_ok(pg_temp.link('kilo_owner'), 'and given to another');
select is(actor_id, tests.id('kilo_manager'), 'all of it is audited') from public.audit_log
 where subject_id = tests.id('second') and changed_columns @> '{user_id}' limit 1;

-- Whether somebody is a member is told to nobody outside.
select tests.sign_in('coach@lima.example');
select tests.changes_nothing(pg_temp.link('lima_owner'), 'for another organisation there is nobody to link');
select is(tests.refusal_of($$ insert into public.staff (org_id, full_name, user_id) values (tests.id('kilo'), 'x', tests.id('nobody')) $$),
          tests.refusal_of($$ insert into public.staff (org_id, full_name, user_id) values (tests.id('kilo'), 'x', tests.id('kilo_desk')) $$), 'members and others are refused alike, as staff');
select is(tests.refusal_of($$ insert into public.blocked_times (org_id, user_id, day_of_week, start_time, end_time) values (tests.id('kilo'), tests.id('nobody'), 1, '09:00', '10:00') $$),
          tests.refusal_of($$ insert into public.blocked_times (org_id, user_id, day_of_week, start_time, end_time) values (tests.id('kilo'), tests.id('kilo_desk'), 1, '09:00', '10:00') $$), 'and in a block');

-- An account that is deleted.
select tests.as_owner();
select tests.sign_up('brief@kilo.example', 'brief');
insert into public.org_members (org_id, user_id, role) values (:'kilo', tests.id('brief'), 'coach');
insert into public.staff (org_id, full_name, user_id) values (:'kilo', 'Brief', tests.id('brief')) returning id as brief_staff \gset
insert into public.availability (org_id, user_id, day_of_week, start_time, end_time) values (:'kilo', tests.id('brief'), 3, '05:00', '06:00');
select lives_ok($$ delete from auth.users where id = tests.id('brief') $$, 'an account is deleted');
select is(user_id, null, 'the staff member stays, and signs in no more') from public.staff where id = :'brief_staff';
select is(user_id, null, 'with their hours') from public.availability where org_id = :'kilo' and staff_id = :'brief_staff' and start_time = '05:00';

-- The operator's door.
select tests.as_service();
select service.link_staff(tests.id('staff'), ' Desk@Kilo.example ');
select is(is_member, true, 'an operator links by email') from service.list_staff(:'kilo') where staff_id = tests.id('staff');
select service.link_staff(tests.id('staff'));
select is(is_member, false, 'and unlinks') from service.list_staff(:'kilo') where staff_id = tests.id('staff');
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select service.link_staff(gen_random_uuid()) $$, 404, 'staff_not_found', 'unknown staff do not exist'),
  ($$ select service.link_staff(tests.id('staff'), 'stranger@nowhere.example') $$, 404, 'user_not_found', 'who has not signed up is nobody'),
  ($$ select service.link_staff(tests.id('staff'), 'nobody@nowhere.example') $$, 422, 'staff_not_member', 'who is no member is not linked'),
  ($$ select service.link_staff(tests.id('staff'), 'coach@kilo.example') $$, 409, 'value_taken', 'nor who has a calendar')) as t (call, status, slug, title);

select * from finish();
rollback;
