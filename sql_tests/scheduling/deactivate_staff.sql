-- deactivate_staff, reactivate_staff: who leaves takes no new bookings and loses the email; their history stays.
begin;
select plan(37);
select tests.open_studio();
update public.staff set email = 'second@kilo.example' where id = tests.id('second');

select tests.sign_in('coach@kilo.example');
select tests.remember('done', (book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('second')) ->> 'booking_id')::uuid),
       tests.remember('ahead', (book(:'kilo', tests.id('ann'), tests.at(9, '09:00'), tests.id('pt'), tests.id('second')) ->> 'booking_id')::uuid);
select is(deactivate_staff(tests.id('second')), 2, 'a staff member is deactivated, and says how many bookings lie ahead');
select is((full_name, email, is_active, deactivated_at is not null)::text, '("Second Coach",,f,t)', 'the name stays, the email goes')
  from public.staff where id = tests.id('second');
select is((status, staff_id = tests.id('second'))::text, '(confirmed,t)', 'what is booked stays where it is') from public.bookings where id = tests.id('ahead');
select is(deactivate_staff(tests.id('second')), 2, 'once more answers the same');
select tests.as_owner();
select is(tests.starts(8, 'second'), '', 'nothing of theirs is on offer');
select is(tests.starts(8), '09:00-11:00', 'the others'' is');
select tests.sign_in('coach@kilo.example');
select is(book(:'kilo', tests.id('ann'), tests.at(8, '11:00'), tests.id('pt'), tests.id('second')) ->> 'outcome', 'unavailable', 'nobody books them');
select is(book(:'kilo', tests.id('ann'), tests.at(8, '11:00'), tests.id('pt')) ->> 'staff_id', tests.id('staff')::text, 'anyone is somebody else');
select is(hold_slot(:'kilo', tests.id('ann'), tests.at(8, '10:00'), tests.id('pt'), tests.id('second')) ->> 'outcome', 'taken', 'nobody holds their time');
select is(reschedule_booking(tests.id('ahead'), tests.at(9, '10:00')) ->> 'outcome', 'taken', 'a booking is not moved to another time of theirs');
select is(reschedule_booking(tests.id('ahead'), tests.at(9, '09:00'), tests.id('staff')) ->> 'outcome', 'rescheduled', 'somebody takes it over');
select is(deactivate_staff(tests.id('second')), 1, 'then one is left');
select is(cancel_booking(tests.id('done')), null, 'it can be cancelled');
select is(deactivate_staff(tests.id('second')), 0, 'then none');
select tests.as_owner();
select tests.refuses($$ insert into public.bookings (org_id, client_id, staff_id, start_time, end_time)
                        values (tests.id('kilo'), tests.id('ann'), tests.id('second'), tests.at(10, '09:00'), tests.at(10, '10:00')) $$,
                     409, 'staff_inactive', 'a direct write does not book them either');
select tests.refuses($$ update public.bookings set status = 'confirmed' where id = tests.id('done') $$, 409, 'staff_inactive',
                     'nor does the return of a cancelled one');
select is((calendar ->> 'bookings')::jsonb -> 0 ->> 'staff_id', tests.id('second')::text, 'their history is still in the calendar')
  from private.calendar(:'kilo', 'day', tests.day(8), tests.id('second'), null);
select tests.sign_in('manager@kilo.example');
select lives_ok($$ select reactivate_staff(tests.id('second')) $$, 'they may come back');
select is((email, is_active, deactivated_at)::text, '(,t,)', 'without the email') from public.staff where id = tests.id('second');
select is(book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('second')) ->> 'outcome', 'booked', 'and are booked again');
select lives_ok($$ select reactivate_staff(tests.id('second')) $$, 'twice is the same');

select tests.refuses($$ select deactivate_staff(gen_random_uuid()) $$, 404, 'staff_not_found', 'an unknown staff member does not exist');
select tests.refuses($$ select reactivate_staff(null) $$, 404, 'staff_not_found', 'nor does none');
select tests.only_for_members($$ select deactivate_staff(tests.id('staff')) $$, 'staff_not_found', 'desk@kilo.example', 'deactivate_staff');
select tests.only_for_members($$ select reactivate_staff(tests.id('staff')) $$, 'staff_not_found', 'desk@kilo.example', 'reactivate_staff');
select ok(is_active, 'none of which changed anything') from public.staff where id = tests.id('staff');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
