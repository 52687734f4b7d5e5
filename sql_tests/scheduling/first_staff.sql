-- Staff by default: the first member gets a calendar, and a booking that names nobody takes the one who made it.
begin;
select plan(26);

select results_eq($$ select user_id, full_name, is_active from public.staff where org_id = tests.id('kilo') $$,
                  $$ values (tests.id('kilo_owner'), 'Kilo', true) $$, 'the first member has a calendar, in the organisation''s name');
select is(count(*), 1::bigint, 'members who join later have none until they need one') from public.staff where org_id = :'kilo';

select tests.sign_in('coach@kilo.example');
select tests.remember('own', tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(8, '09:00')));
select is(s.user_id, tests.id('kilo_owner'), 'a coach''s own insert lands on their own calendar')
  from public.bookings as b join public.staff as s on s.org_id = b.org_id and s.id = b.staff_id where b.id = tests.id('own');
select tests.sign_in('manager@kilo.example');
select tests.remember('managers', tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(8, '09:00')));
select is(s.user_id, tests.id('kilo_manager'), 'another member''s on theirs, which is made for it')
  from public.bookings as b join public.staff as s on s.org_id = b.org_id and s.id = b.staff_id where b.id = tests.id('managers');
select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(8, '11:00'));
select is(count(*), 1::bigint, 'once') from public.staff where user_id = tests.id('kilo_manager');
select tests.as_owner();
insert into public.bookings (org_id, client_id, start_time, end_time)
values (:'kilo', :'kilo_client', tests.at(9, '09:00'), tests.at(9, '10:00')) returning staff_id as nobodys \gset
select is(user_id, tests.id('kilo_owner'), 'one that nobody signed in for takes the organisation''s first') from public.staff where id = :'nobodys';

-- Members write staff; the link is to members alone.
select tests.sign_in('manager@kilo.example');
insert into public.staff (org_id, full_name, email) values (:'kilo', 'Never Signs In', 'never@kilo.example') returning id as unlinked \gset
select ok(user_id is null and is_active, 'staff need not be members') from public.staff where id = :'unlinked';
select lives_ok($$ insert into public.staff (org_id, full_name, user_id) values (tests.id('kilo'), 'Desk', tests.id('kilo_desk')) $$,
                'a member is linked to a calendar');
select tests.refuses($$ insert into public.staff (org_id, full_name, user_id) values (tests.id('kilo'), 'Nobody', tests.id('nobody')) $$,
                     422, 'staff_not_member', 'somebody who is no member is not');
select tests.refuses($$ insert into public.staff (org_id, full_name, user_id) values (tests.id('kilo'), 'Lima', tests.id('lima_owner')) $$,
                     422, 'staff_not_member', 'nor is another organisation''s');
select tests.refuses($$ insert into public.staff (org_id, full_name, user_id) values (tests.id('kilo'), 'Desk', tests.id('kilo_desk')) $$,
                     409, 'value_taken', 'nobody has two calendars in one organisation');
select tests.refuses($$ insert into public.staff (org_id, full_name) values (tests.id('kilo'), ' ') $$, 422, 'value_not_allowed', 'a name is needed');
select tests.refuses($$ insert into public.staff (org_id, full_name, email) values (tests.id('kilo'), 'x', 'none') $$, 422, 'value_not_allowed',
                     'an email looks like one');
select lives_ok($$ update public.staff set full_name = 'Signs In Now', email = 'signs@kilo.example' where full_name = 'Never Signs In' $$, 'both are edited');
select tests.forbids($$ update public.staff set is_active = false $$, 'only deactivate_staff deactivates');
select tests.forbids($$ delete from public.staff $$, 'nobody deletes staff: history names them');
select is(action, 'update', 'changes are audited')
  from public.audit_log where subject_type = 'staff' and subject_id = :'unlinked' order by happened_at desc limit 1;

-- A member of two organisations has a calendar in each.
select tests.as_owner();
insert into public.org_members (org_id, user_id, role) values (:'lima', tests.id('kilo_manager'), 'coach');
select tests.sign_in('manager@kilo.example');
select tests.remember('abroad', tests.book('lima', 'lima_client', 'lima_package', tests.at(8, '09:00')));
select is(s.org_id, tests.id('lima'), 'a member of two organisations has a calendar in each')
  from public.bookings as b join public.staff as s on s.org_id = b.org_id and s.id = b.staff_id where b.id = tests.id('abroad');
select tests.sign_in('desk@kilo.example');
select tests.forbids($$ insert into public.staff (org_id, full_name) values (tests.id('kilo'), 'x') $$, 'a front desk adds no staff');
select tests.changes_nothing($$ update public.staff set full_name = 'x' $$, 'nor edits one');

-- Whoever takes no sessions themselves books for those who do.
select tests.as_owner();
select count(private.deactivate_staff(s.org_id, s.id)) from public.staff as s where s.user_id in (tests.id('kilo_owner'), tests.id('kilo_desk'));
update public.staff set created_at = now() - interval '1 hour' where org_id = :'kilo' and user_id = tests.id('kilo_manager');
select tests.sign_in('coach@kilo.example');
select tests.remember('for_others', tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(12, '09:00')));
select is(s.user_id, tests.id('kilo_manager'), 'an owner whose calendar is closed books into the first that is open')
  from public.bookings as b join public.staff as s on s.org_id = b.org_id and s.id = b.staff_id where b.id = tests.id('for_others');
select tests.sign_in('desk@kilo.example');
select tests.refuses($$ select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(12, '09:00')) $$, 409, 'slot_taken', 'as does a desk that had one');
select tests.as_owner();
select is(count(*), 1::bigint, 'no second calendar is made for them') from public.staff where user_id = tests.id('kilo_owner') and org_id = :'kilo';
select count(private.deactivate_staff(s.org_id, s.id)) from public.staff as s where s.org_id = :'kilo' and s.is_active;
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(12, '11:00')) $$, 409, 'staff_inactive', 'where nobody is left, nothing is booked');
select tests.sign_in('manager@kilo.example');
select tests.refuses($$ select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(12, '11:00')) $$, 409, 'staff_inactive', 'by nobody');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
