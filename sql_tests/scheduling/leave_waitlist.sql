-- leave_waitlist: who waits no more is offered nothing, and what they were offered is anybody's from then on.
begin;
select plan(35);
select tests.open_studio();
select tests.remember('ann_token', gen_random_uuid());
update public.clients set portal_token = tests.id('ann_token') where id = tests.id('ann');
create function pg_temp.waits(p_name text, p_client text, p_days integer, p_time time default null, p_type text default 'pt') returns uuid language sql as $$
  select tests.remember(p_name, join_waitlist(tests.id('kilo'), tests.id(p_client), case when p_time is null then tests.day(p_days) end,
    tests.id(p_type), null, tests.at(p_days, p_time))) $$;
grant execute on function pg_temp.waits(text, text, integer, time, text) to public;
create function pg_temp.add(p_name text, p_days integer, p_time time, p_type text default 'pt') returns uuid language sql as $$
  select tests.remember(p_name, (private.book(tests.id('kilo'), tests.id('kilo_client'), tests.id(p_type), tests.at(p_days, p_time), null, tests.id('staff'), null, null,
    'coach', 'trainer', null, null, null) ->> 'booking_id')::uuid) $$;
create function pg_temp.status(p_entry text) returns text language sql security definer as $$
  select w.status from public.waitlist_entries as w where w.id = tests.id(p_entry) $$;
grant execute on function pg_temp.status(text) to public;
create function pg_temp.leave(p_entry text, p_token text default 'token') returns text language sql as $$
  select x ->> 'outcome' from portal_leave_waitlist(tests.id(p_token)::text, tests.id(p_entry)) as x $$;
grant execute on function pg_temp.leave(text, text) to public;
select pg_temp.add('nine', 8, '09:00'), pg_temp.add('ten', 8, '10:00'), pg_temp.add('eleven', 8, '11:00');

-- Who waits.
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('anns', 'ann', 8), pg_temp.waits('bens', 'ben', 8);
select ok(leave_waitlist(tests.id('anns')), 'whoever may book takes a client off the waitlist');
select is(pg_temp.status('anns'), 'cancelled', 'they wait no more');
select ok(not leave_waitlist(tests.id('anns')), 'once');
select cancel_booking(tests.id('ten'));
select is(pg_temp.status('anns') || ' ' || pg_temp.status('bens'), 'cancelled offered', 'what is freed is offered to the next');
select ok(pg_temp.waits('anns', 'ann', 9) is not null, 'they may wait again');

-- Who was offered it.
select ok(leave_waitlist(tests.id('bens')), 'an offer may be declined');
select is(pg_temp.status('bens'), 'cancelled', 'then it is none');
select ok(not leave_waitlist(tests.id('bens')), 'once');
select tests.as_owner();
select tests.remember('offer', hold_id) from public.waitlist_entries where id = tests.id('bens');
select tests.sign_in('desk@kilo.example');
select is(confirm_hold(:'kilo', tests.id('offer')) ->> 'outcome', 'hold_expired', 'who declined it has it no more');
select is(book(:'kilo', tests.id('ann'), tests.at(8, '10:00'), tests.id('pt'), tests.id('staff')) ->> 'outcome', 'booked', 'and anybody books it at once');
select tests.calendar_holds('nothing overlaps');

-- The sweep passes it on.
select pg_temp.add('twelve', 12, '09:00');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('first', 'ann', 12, '09:00');
select tests.as_owner();
update public.waitlist_entries set created_at = now() - interval '1 minute' where id = tests.id('first');
update public.staff set is_active = false, deactivated_at = now() where id = tests.id('second');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('next', 'ben', 12, '09:00');
select cancel_booking(tests.id('twelve'));
select is(pg_temp.status('first') || ' ' || pg_temp.status('next'), 'offered waiting', 'of two who wait the first is offered it');
select tests.sign_out();
select is(pg_temp.leave('first', 'ann_token'), 'left', 'with their link a client declines');
select tests.as_service();
select is(offered, 1, 'the sweep offers it on') from service.sweep_expired_holds();
select is(pg_temp.status('first') || ' ' || pg_temp.status('next'), 'cancelled offered', 'to the next');

-- Who has it.
select tests.as_owner();
select tests.remember('offer', hold_id) from public.waitlist_entries where id = tests.id('next');
select tests.sign_in('desk@kilo.example');
select is(confirm_hold(:'kilo', tests.id('offer')) ->> 'outcome', 'booked', 'who takes it is booked');
select ok(not leave_waitlist(tests.id('next')), 'and waits no more');
select is(pg_temp.status('next'), 'booked', 'which leaving does not undo');
select tests.calendar_holds('nothing overlaps');

-- A seat of a group: the session goes on.
select pg_temp.add('one', 16, '09:00', 'class'), pg_temp.add('two', 16, '09:00', 'class'), pg_temp.add('three', 16, '09:00', 'class');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('seat', 'ann', 16, '09:00', 'class');
select cancel_booking(tests.id('one'));
select is(pg_temp.status('seat'), 'offered', 'a seat is offered');
select ok(leave_waitlist(tests.id('seat')), 'and declined');
select is(book(:'kilo', tests.id('ben'), tests.at(16, '09:00'), tests.id('class'), tests.id('staff')) ->> 'outcome', 'booked', 'then anybody has it');
select is(book(:'kilo', tests.id('ann'), tests.at(16, '09:00'), tests.id('class'), tests.id('staff')) ->> 'outcome', 'taken', 'once');
select tests.calendar_holds('seats and bookings agree');

-- The portal.
select tests.sign_out();
select is(jsonb_path_query_array(portal_overview(tests.id('ann_token')::text), '$.waitlist[*].entry_id'), jsonb_build_array(tests.id('anns')), 'a client sees what they wait for');
select is(pg_temp.leave('anns', 'ann_token') || ' ' || pg_temp.leave('anns', 'ann_token'), 'left not_waiting', 'and leaves it, once');
select is(portal_overview(tests.id('ann_token')::text) -> 'waitlist', '[]', 'then it is not there any more');
select tests.sign_in('desk@kilo.example');
select pg_temp.waits('bens_day', 'ben', 20);
select tests.sign_out();
select tests.refuses($$ select pg_temp.leave('bens_day', 'ann_token') $$, 404, 'waitlist_entry_not_found', 'another client''s entry does not exist');
select is(portal_leave_waitlist(gen_random_uuid()::text, tests.id('bens_day')) ->> 'details', 'link_not_found', 'without a link nobody leaves');

-- Refusals.
select tests.only_for_members($$ select leave_waitlist(tests.id('bens_day')) $$, 'waitlist_entry_not_found', 'accountant@kilo.example', 'leave_waitlist');

select * from finish();
rollback;
