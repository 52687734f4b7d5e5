-- The waitlist: a freed time is offered to the first whom it fits, as a hold with a limit; who lets it pass loses it to the next.
begin;
select plan(55);
select tests.open_studio();
update public.booking_settings set waitlist_offer_mins = 30 where org_id = :'kilo';
create function pg_temp.waits(p_name text, p_client text, p_days integer, p_time time default null, p_type text default 'pt', p_staff text default null) returns uuid language sql as $$
  select tests.remember(p_name, join_waitlist(tests.id('kilo'), tests.id(p_client), case when p_time is null then tests.day(p_days) end,
    case when p_type is not null then tests.id(p_type) end, case when p_staff is not null then tests.id(p_staff) end, tests.at(p_days, p_time))) $$;
grant execute on function pg_temp.waits(text, text, integer, time, text, text) to public;
create function pg_temp.add(p_name text, p_days integer, p_time time, p_type text default 'pt', p_staff text default 'staff') returns uuid language sql as $$
  select tests.remember(p_name, (private.book(tests.id('kilo'), tests.id('kilo_client'), tests.id(p_type), tests.at(p_days, p_time), null, tests.id(p_staff), null, null,
    'coach', 'trainer', null, null, null) ->> 'booking_id')::uuid) $$;
select pg_temp.add('nine', 8, '09:00'), pg_temp.add('ten', 8, '10:00'), pg_temp.add('eleven', 8, '11:00'), pg_temp.add('elsewhere', 9, '09:00');

select tests.sign_in('desk@kilo.example');
select ok(pg_temp.waits('anns', 'ann', 8) is not null, 'a client waits for a day');
select is(join_waitlist(:'kilo', tests.id('ann'), tests.day(8), tests.id('pt')), tests.id('anns'), 'asking again changes nothing');
select is(count(*), 1::bigint, 'they wait once') from public.waitlist_entries where client_id = tests.id('ann');
select ok(pg_temp.waits('bens', 'ben', 8, '10:00') is not null, 'another for one start');
select is((on_date, start_time)::text, (tests.day(8), tests.at(8, '10:00'))::text, 'of which the day follows') from public.waitlist_entries where id = tests.id('bens');
select ok(pg_temp.waits('bens_day', 'ben', 8) <> tests.id('bens'), 'a day and a start are two wishes');

-- A cancellation is offered to the first who fits. They came one after the other, which one transaction cannot show.
select tests.as_owner();
update public.waitlist_entries as w set created_at = now() - interval '1 hour' + n.minute * interval '1 minute'
  from (values ('anns', 1), ('bens', 2), ('bens_day', 3)) as n (name, minute) where w.id = tests.id(n.name);
select tests.sign_in('desk@kilo.example');
select cancel_booking(tests.id('elsewhere'));
select is((select array_agg(distinct status) from public.waitlist_entries), '{waiting}', 'another day''s cancellation is not for them');
select cancel_booking(tests.id('ten'));
select is((status, offered_at)::text, ('offered', now())::text, 'the first who waits is offered it') from public.waitlist_entries where id = tests.id('anns');
select is((array_agg(status order by id))::text, '{waiting,waiting}', 'the others wait') from public.waitlist_entries where client_id = tests.id('ben');
select tests.as_owner();
select tests.remember('offer', hold_id) from public.waitlist_entries where id = tests.id('anns');
select is((client_id, start_time, expires_at)::text, (tests.id('ann'), tests.at(8, '10:00'), now() + interval '30 minutes')::text, 'it is held for them, with a limit')
  from private.holds where id = tests.id('offer');
select is(count(*), 1::bigint, 'the coach is told') from public.alerts where kind = 'waitlist_offered' and client_id = tests.id('ann');
select is(tests.starts(8), '', 'nobody else is offered it');
select is(private.book(:'kilo', tests.id('ben'), tests.id('pt'), tests.at(8, '10:00'), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null) ->> 'outcome', 'taken', 'nor books it');

-- Let pass, it goes to the next.
select tests.as_service();
select is((expired, offered)::text, '(1,1)', 'when the limit is over it is offered on') from service.sweep_expired_holds(p_now => now() + interval '31 minutes');
select tests.as_owner();
select is(status, 'expired', 'who let it pass has lost it') from public.waitlist_entries where id = tests.id('anns');
select is(string_agg(status, ' ' order by status), 'offered waiting', 'the next has it, once') from public.waitlist_entries where client_id = tests.id('ben');
select tests.remember('offer', hold_id) from public.waitlist_entries where client_id = tests.id('ben') and status = 'offered';
select tests.sign_in('desk@kilo.example');
select is(confirm_hold(:'kilo', tests.id('offer')) ->> 'outcome', 'booked', 'who takes it is booked');
select is(string_agg(status, ' ' order by status), 'booked waiting', 'and waits for it no more') from public.waitlist_entries where client_id = tests.id('ben');
select ok(pg_temp.waits('again', 'ann', 8) <> tests.id('anns'), 'who lost it may wait again');
select tests.calendar_holds('nothing overlaps');

-- Who fits.
select pg_temp.add('first', 12, '09:00'), pg_temp.add('middle', 12, '10:00'), pg_temp.add('third', 12, '11:00'), pg_temp.add('seconds', 12, '09:00', 'pt', 'second');
update public.session_types set duration_mins = 90 where id = tests.id('class');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('too_long', 'ann', 12, null, 'class', 'staff'), pg_temp.waits('other_start', 'ben', 12, '09:00'), pg_temp.waits('other_staff', 'kilo_client', 12, null, 'pt', 'second');
select tests.as_owner();
update public.waitlist_entries set created_at = now() - interval '1 hour' where id = tests.id('too_long');
select tests.sign_in('desk@kilo.example');
select cancel_booking(tests.id('middle'));
select is((select array_agg(distinct status) from public.waitlist_entries where on_date = tests.day(12)), '{waiting}', 'who needs longer, another start or other staff goes on waiting');
select cancel_booking(tests.id('first'));
select is(string_agg(status, ' ' order by created_at, status), 'offered', 'two freed hours fit the long one') from public.waitlist_entries where id = tests.id('too_long');
select is(status, 'waiting', 'and nobody else then') from public.waitlist_entries where id = tests.id('other_start');
select cancel_booking(tests.id('seconds'));
select is(status, 'offered', 'another staff member''s time goes to who waits for them, or for it') from public.waitlist_entries where id in (tests.id('other_start'), tests.id('other_staff')) and status <> 'waiting';
select tests.calendar_holds('nothing overlaps');

-- Moving frees a time as well.
select pg_temp.add('moving', 14, '09:00');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('mover', 'ann', 14, '09:00', 'pt', 'staff');
select is(reschedule_booking(tests.id('moving'), tests.at(14, '11:00')) ->> 'outcome', 'rescheduled', 'a booking that moves away');
select is(status, 'offered', 'leaves its time to who waits') from public.waitlist_entries where id = tests.id('mover');
select tests.as_owner();
select pg_temp.add('gone', 15, '09:00');
update public.staff set is_active = false, deactivated_at = now() where id = tests.id('staff');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('nobodys', 'ann', 15, '09:00');
select cancel_booking(tests.id('gone'));
select is(status, 'waiting', 'the time of who has left is offered to nobody') from public.waitlist_entries where id = tests.id('nobodys');

-- A start that reaches into what is freed.
select tests.as_owner();
update public.staff set is_active = true, deactivated_at = null where id = tests.id('staff');
select pg_temp.add('whole', 17, '09:00');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('half', 'ann', 17, '09:30', 'pt', 'staff');
select cancel_booking(tests.id('whole'));
select is(status, 'offered', 'who waits for a start that was not free for another''s end is offered it') from public.waitlist_entries where id = tests.id('half');

-- A full group: the seat that is freed is offered, and is nobody's when it is let pass.
select tests.as_owner();
update public.session_types set duration_mins = 60 where id = tests.id('class');
select pg_temp.add('seat_one', 16, '09:00', 'class'), pg_temp.add('seat_two', 16, '09:00', 'class'), pg_temp.add('seat_three', 16, '09:00', 'class');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('seat_anns', 'ann', 16, '09:00', 'class', 'staff');
select cancel_booking(tests.id('seat_one'));
select is(status, 'offered', 'a seat of a full group is offered to who waits') from public.waitlist_entries where id = tests.id('seat_anns');
select is(book(:'kilo', tests.id('ben'), tests.at(16, '09:00'), tests.id('class'), tests.id('staff')) ->> 'outcome', 'taken', 'and held for them');
select tests.calendar_holds('the seat is counted');
select is(seats_left, null, 'nobody is offered it') from (select 1) as one
  left join private.offered_slots(:'kilo', tests.id('class'), null, tests.id('staff'), null, tstzrange(tests.at(16, '09:00'), tests.at(16, '09:00'), '[]'), 'coach') on true;
select is(seats_left, 1, 'until the limit is over') from private.offered_slots(:'kilo', tests.id('class'), null, tests.id('staff'), null,
  tstzrange(tests.at(16, '09:00'), tests.at(16, '09:00'), '[]'), 'coach', now() + interval '31 minutes');
select is(private.book(:'kilo', tests.id('ben'), tests.id('class'), tests.at(16, '09:00'), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null,
                       p_now => now() + interval '31 minutes') ->> 'outcome', 'booked', 'then anybody books it, swept or not');
select is(status, 'expired', 'and the offer is over') from public.waitlist_entries where id = tests.id('seat_anns');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('seat_again', 'ann', 16, '09:00', 'class', 'staff');
select cancel_booking(tests.id('seat_two'));
select tests.as_owner();
select is(confirm_hold ->> 'outcome', 'booked', 'who takes the seat has it')
  from private.confirm_hold(:'kilo', (select hold_id from public.waitlist_entries where id = tests.id('seat_again')), tests.id('ann'), null, 'coach', 'trainer', null, null);
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('seat_bens', 'ben', 16, '09:00', 'class', 'staff');
select cancel_booking(tests.id('seat_three'));
select tests.as_service();
select is((expired > 0)::text, 'true', 'a seat that is let pass is swept') from service.sweep_expired_holds(p_now => now() + interval '31 minutes');
select tests.as_owner();
select is((o.seats, count(b.id))::text, '(2,2)', 'and the session goes on with those who are in it')
  from private.occupancies as o left join public.bookings as b on b.occupancy_id = o.id where o.starts_at = tests.at(16, '09:00') and o.staff_id = tests.id('staff') group by o.id, o.seats;
select tests.calendar_holds('seats and bookings agree');
select tests.sign_in('desk@kilo.example');

-- Refusals.
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select join_waitlist(tests.id('kilo'), tests.id('ann'), tests.day(-1)) $$, 422, 'value_not_allowed', 'nobody waits for yesterday'),
  ($$ select join_waitlist(tests.id('kilo'), tests.id('ann'), tests.day(367)) $$, 422, 'value_not_allowed', 'nor for more than a year'),
  ($$ select join_waitlist(tests.id('kilo'), tests.id('ann')) $$, 422, 'value_not_allowed', 'nor for no day'),
  ($$ select join_waitlist(tests.id('kilo'), tests.id('ann'), tests.day(9), null, null, tests.at(10, '09:00')) $$, 422, 'value_not_allowed', 'nor for a start of another day'),
  ($$ select join_waitlist(tests.id('kilo'), tests.id('ann'), tests.day(9), gen_random_uuid()) $$, 404, 'session_type_not_found', 'nor for an unknown type'),
  ($$ select join_waitlist(tests.id('kilo'), tests.id('lima_client'), tests.day(9)) $$, 404, 'client_not_found', 'another''s client does not exist')) as t (call, status, slug, title);
select tests.only_for_members($$ select join_waitlist(tests.id('kilo'), tests.id('ann'), tests.day(9)) $$, 'org_not_found', 'accountant@kilo.example', 'join_waitlist');
select tests.sign_in('client@kilo.example');
select is(count(*), 1::bigint, 'a client sees their own entries alone') from public.waitlist_entries;
select tests.forbids($$ insert into public.waitlist_entries (org_id, client_id, on_date) values (tests.id('kilo'), tests.id('kilo_client'), tests.day(9)) $$, 'and writes none directly');
select tests.forbids($$ update public.waitlist_entries set status = 'offered' $$, 'nor moves up');

select * from finish();
rollback;
