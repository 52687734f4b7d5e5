-- scheduling: an operator finds, books, moves and cancels, sees to the staff, sweeps and reads calendars; unknown ids are refused by name.
begin;
select plan(104);
select tests.open_studio();
select tests.make_package('pack', 3, tests.at(20, '00:00'));
create function pg_temp.booked(p_name text, p_days integer, p_time time, p_package text default 'pack') returns text language sql as $$
  select case when a.answer ? 'booking_id' then (select a.answer ->> 'outcome' from tests.remember(p_name, (a.answer ->> 'booking_id')::uuid)) else a.answer ->> 'outcome' end
    from (select service.book(tests.id('kilo'), tests.id('kilo_client'), tests.at(p_days, p_time), tests.id('pt'), tests.id('second'), null,
                              case when p_package is not null then tests.id(p_package) end)) as a (answer) $$;
grant execute on function pg_temp.booked(text, integer, time, text) to public;

-- Types and slots.
select tests.as_service();
select is(service.find_session_type(:'kilo', 'pt'), tests.id('pt'), 'a session type is found by its slug') union all
select is(service.find_session_type(:'kilo', tests.id('pt')::text), tests.id('pt'), 'or by its id');
select results_eq($$ select starts_local, staff_name, rank, seats_left from service.find_slots(tests.id('kilo'), tests.day(8), null, tests.id('class'), tests.id('second')) order by 1 limit 1 $$,
                  $$ values (tests.day(8) || ' 09:00', 'Second Coach', 1440, 3) $$, 'starts are listed in the organisation''s time, with who gives them');
select is(count(*), 18::bigint, 'of all staff') from service.find_slots(:'kilo', tests.day(8), null, tests.id('pt')) union all
select is(count(*), 36::bigint, 'of several days') from service.find_slots(:'kilo', tests.day(8), tests.day(9), tests.id('pt')) union all
select is(count(*), 5::bigint, 'at most as many as asked for') from service.find_slots(:'kilo', tests.day(8), p_limit => 5) union all
select is(count(*), 100::bigint, 'a hundred when nothing is said') from service.find_slots(:'kilo', tests.day(8), tests.day(30), p_limit => null);

-- Booking, moving, cancelling.
select is(pg_temp.booked('lesson', 8, '09:00'), 'booked', 'a start is booked');
select results_eq($$ select client_id, status, purchase_id, booking_source, booked_by from public.bookings where id = tests.id('lesson') $$,
                  $$ values (tests.id('kilo_client'), 'confirmed', tests.id('pack'), 'system', null::uuid) $$, 'for the client, by nobody who is signed in');
select is(pg_temp.booked('x', 8, '09:30'), 'taken', 'what is taken is not') union all
select is(pg_temp.booked('x', 8, '08:00'), 'unavailable', 'nor what is not on offer') union all
select is(pg_temp.booked('x', 21, '09:00'), 'package_exhausted', 'nor on a package that ends before');
select is(count(*), 2::bigint, 'all bookings are listed when no limit is said') from service.list_bookings(:'kilo', p_limit => null);
select is(service.reschedule_booking(tests.id('lesson'), tests.at(8, '10:00')) ->> 'outcome', 'rescheduled', 'a booking is moved');
select is(service.reschedule_booking(tests.id('lesson'), tests.at(8, '10:00'), tests.id('staff')) ->> 'staff_id', tests.id('staff')::text, 'to somebody else');
select is(service.reschedule_booking(tests.id('lesson'), tests.at(8, '08:00')) ->> 'outcome', 'taken', 'not outside hours');
select is(service.reschedule_booking(tests.id('lesson'), tests.at(21, '09:00')) ->> 'outcome', 'package_expired', 'nor past the end of its package');
select is(service.cancel_booking(tests.id('lesson'), 'Ill'), null, 'a booking is cancelled, and its session free');
select is((status, cancellation_reason)::text, '(cancelled,Ill)', 'with the reason') from public.bookings where id = tests.id('lesson');
select is(pg_temp.booked('charged', 9, '09:00'), 'booked', 'another');
select is(service.cancel_booking(tests.id('charged'), p_is_charged => true), 'charged', 'is charged for');
select is(pg_temp.booked('early', 9, '10:00'), 'booked', 'and one that was checked in');
select is(service.use_session(tests.id('pack'), tests.id('early')), true, 'takes its session early');
select is(service.cancel_booking(tests.id('early'), p_is_charged => true), 'charged', 'and stays charged when it is cancelled so');
select is(sessions_used, 2, 'each took one') from public.client_purchases where id = tests.id('pack');

-- Calendars.
select is(service.booking_event(tests.id('charged')) - 'created_at' - 'updated_at',
          jsonb_build_object('uid', tests.id('charged') || '@coach-os', 'sequence', 1, 'start_time', tests.at(9, '09:00'), 'end_time', tests.at(9, '10:00'), 'status', 'CANCELLED',
                             'summary', 'Personal training with Second Coach', 'location', null, 'organizer', 'Kilo'), 'one booking is a calendar event');
select is(service.calendar_feed('nothing') ->> 'details', 'feed_not_found', 'a token that opens nothing is refused, not raised');

-- Staff.
select tests.remember('noah', service.create_staff(:'kilo', ' Noah Kelly ', 'noah@kilo.example'));
select tests.remember('desks', service.create_staff(:'kilo', 'Desk', null, 'desk@kilo.example'));
select results_eq($$ select full_name, email, is_member, is_active from service.list_staff(tests.id('kilo')) where staff_id in (tests.id('noah'), tests.id('desks')) $$,
                  $$ values ('Desk', null, true, true), ('Noah Kelly', 'noah@kilo.example', false, true) $$, 'staff are added and listed');
select is(service.deactivate_staff(tests.id('noah')), 0, 'and deactivated');
select is((email, is_active, deactivated_at is not null)::text, '(,f,t)', 'without their email') from service.list_staff(:'kilo') where staff_id = tests.id('noah');
select lives_ok($$ select service.reactivate_staff(tests.id('noah')) $$, 'and reactivated');
select is((is_active, deactivated_at)::text, '(t,)', 'as they were') from service.list_staff(:'kilo') where staff_id = tests.id('noah');
select lives_ok($$ select service.link_staff(tests.id('noah'), 'manager@kilo.example') $$, 'and linked');
select is(is_member, true, 'to the member they are') from service.list_staff(:'kilo') where staff_id = tests.id('noah');

-- Sweeps.
select tests.as_owner();
select tests.make_booking('over', 'kilo_package', now() - interval '3 hours');
select private.hold_slot(:'kilo', tests.id('ann'), tests.id('pt'), tests.at(10, '09:00'), null, tests.id('second'), null, 'coach');
select tests.as_service();
select results_eq($$ select completed, charged from service.sweep_overdue_bookings(p_dry_run => true) $$, $$ values (1, 1) $$, 'what is over would be swept');
select is(status, 'confirmed', 'a dry run sweeps nothing') from public.bookings where id = tests.id('over');
select results_eq($$ select completed, charged from service.sweep_overdue_bookings() $$, $$ values (1, 1) $$, 'it is swept');
select results_eq($$ select completed, charged from service.sweep_overdue_bookings(p_now => null, p_dry_run => null) $$, $$ values (0, 0) $$, 'once');
select results_eq($$ select * from service.sweep_expired_holds(p_now => now() + interval '1 hour', p_dry_run => true) $$, $$ values (1, 0) $$, 'a hold that has run out would be freed');
select results_eq($$ select * from service.sweep_expired_holds(p_now => now() + interval '1 hour') $$, $$ values (1, 0) $$, 'it is freed');
select results_eq($$ select * from service.sweep_expired_holds(p_now => now() + interval '1 hour') $$, $$ values (0, 0) $$, 'once');

-- What is not there, and what makes no sense.
select tests.refuses(t.call, t.status, t.slug, t.call) from (values
  ($$ select service.find_session_type(gen_random_uuid(), 'pt') $$, 404, 'org_not_found'),
  ($$ select service.find_session_type(tests.id('lima'), 'pt') $$, 404, 'session_type_not_found'),
  ($$ select service.find_session_type(tests.id('kilo'), null) $$, 404, 'session_type_not_found'),
  ($$ select service.find_slots(gen_random_uuid(), tests.day(8)) $$, 404, 'org_not_found'),
  ($$ select service.find_slots(tests.id('kilo'), null) $$, 422, 'value_not_allowed'),
  ($$ select service.find_slots(tests.id('lima'), tests.day(8), null, tests.id('pt')) $$, 404, 'session_type_not_found'),
  ($$ select service.find_slots(tests.id('lima'), tests.day(8), null, null, tests.id('staff')) $$, 404, 'staff_not_found'),
  ($$ select service.find_slots(tests.id('kilo'), tests.day(8), p_location_id => gen_random_uuid()) $$, 404, 'location_not_found'),
  ($$ select service.book(gen_random_uuid(), tests.id('ann'), tests.at(8, '09:00')) $$, 404, 'org_not_found'),
  ($$ select service.book(tests.id('lima'), tests.id('ann'), tests.at(8, '09:00')) $$, 404, 'client_not_found'),
  ($$ select service.book(tests.id('kilo'), tests.id('ann'), null) $$, 422, 'value_not_allowed'),
  ($$ select service.book(tests.id('kilo'), tests.id('ann'), tests.at(8, '09:00'), p_purchase_id => tests.id('lima_package')) $$, 404, 'purchase_not_found'),
  ($$ select service.reschedule_booking(gen_random_uuid(), tests.at(8, '09:00')) $$, 404, 'booking_not_found'),
  ($$ select service.reschedule_booking(tests.id('kilo_booking'), null) $$, 422, 'value_not_allowed'),
  ($$ select service.reschedule_booking(tests.id('lima_booking'), tests.at(8, '09:00'), tests.id('staff')) $$, 404, 'staff_not_found'),
  ($$ select service.cancel_booking(null) $$, 404, 'booking_not_found'),
  ($$ select service.booking_event(null) $$, 404, 'booking_not_found'),
  ($$ select service.list_staff(null) $$, 404, 'org_not_found'),
  ($$ select service.create_staff(gen_random_uuid(), 'x') $$, 404, 'org_not_found'),
  ($$ select service.create_staff(tests.id('kilo'), null) $$, 422, 'value_not_allowed'),
  ($$ select service.create_staff(tests.id('kilo'), 'x', null, 'stranger@nowhere.example') $$, 404, 'user_not_found'),
  ($$ select service.create_staff(tests.id('kilo'), 'x', null, 'nobody@nowhere.example') $$, 422, 'staff_not_member'),
  ($$ select service.create_staff(tests.id('kilo'), 'x', null, 'coach@kilo.example') $$, 409, 'value_taken'),
  ($$ select service.deactivate_staff(null) $$, 404, 'staff_not_found'),
  ($$ select service.reactivate_staff(gen_random_uuid()) $$, 404, 'staff_not_found'),
  ($$ select service.link_staff(null, 'coach@kilo.example') $$, 404, 'staff_not_found'),
  ($$ select service.sweep_overdue_bookings(0) $$, 422, 'value_not_allowed'),
  ($$ select service.sweep_expired_holds(null) $$, 422, 'value_not_allowed')) as t (call, status, slug);

-- Not for apps.
create function pg_temp.closed(p_role text) returns setof text language sql as $$
  select tests.forbids(c, format('%s may not: %s', p_role, c)) from unnest(array[
    'select service.find_session_type(null, null)', 'select service.find_slots(null, null)', 'select service.book(null, null, null)', 'select service.reschedule_booking(null, null)',
    'select service.cancel_booking(null)', 'select service.complete_booking(null)', 'select service.undo_completion(null)', 'select service.list_bookings(null)',
    'select service.booking_event(null)', 'select service.calendar_feed(null)', 'select service.list_staff(null)', 'select service.create_staff(null, null)',
    'select service.link_staff(null)', 'select service.deactivate_staff(null)', 'select service.reactivate_staff(null)',
    'select service.sweep_overdue_bookings()', 'select service.sweep_expired_holds()']) as c $$;
grant execute on function pg_temp.closed(text) to public;
select tests.sign_in('coach@kilo.example');
select pg_temp.closed('an owner');
select tests.sign_out();
select pg_temp.closed('a visitor');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
