-- is_slot_available: the contract's question: is somebody's time neither booked, held nor blocked; false for whoever may not know.
begin;
select plan(28);
select tests.open_studio();
select tests.make_booking('busy', null, tests.at(8, '10:00'));
create function pg_temp.is_free(p_days integer, p_from time, p_until time, p_except text default null, p_org text default 'kilo') returns boolean language sql as $$
  select is_slot_available(tests.id(p_org), tests.at(p_days, p_from), tests.at(p_days, p_until), case when p_except is not null then tests.id(p_except) end) $$;
grant execute on function pg_temp.is_free(integer, time, time, text, text) to public;

select tests.sign_in('coach@kilo.example');
select ok(pg_temp.is_free(8, '10:00', '11:00'), 'while somebody is free it is true');
select tests.as_owner();
update public.staff set is_active = false, deactivated_at = now() where id = tests.id('second');
select tests.sign_in('coach@kilo.example');
select ok(not pg_temp.is_free(8, '10:00', '11:00'), 'who has left is not');
select ok(not pg_temp.is_free(8, '10:59', '11:30'), 'a minute is enough') union all
select ok(not pg_temp.is_free(8, '09:00', '12:00'), 'all around it too') union all
select ok(pg_temp.is_free(8, '11:00', '12:00'), 'what touches is free') union all
select ok(pg_temp.is_free(8, '09:00', '10:00'), 'on either side') union all
select ok(pg_temp.is_free(8, '03:00', '04:00'), 'hours are not asked about');
select ok(pg_temp.is_free(8, '10:00', '11:00', 'busy'), 'a booking that is about to move is not in its own way') union all
select ok(not pg_temp.is_free(8, '10:00', '11:00', 'kilo_booking'), 'another is');
update public.bookings set status = 'cancelled' where id = tests.id('busy');
select ok(pg_temp.is_free(8, '10:00', '11:00'), 'a cancelled booking is in nobody''s way');
select tests.as_owner();
select private.hold_slot(:'kilo', tests.id('ann'), tests.id('pt'), tests.at(8, '09:00'), null, tests.id('staff'), null, 'coach', 10) ->> 'hold_id' as hold \gset
insert into public.blocked_times (org_id, date, start_time, end_time) values (:'kilo', tests.day(9), '09:00', '10:00');
insert into public.blocked_times (org_id, staff_id, day_of_week, start_time, end_time) values (:'kilo', tests.id('staff'), extract(dow from tests.day(10)), '22:00', '24:00');
select tests.sign_in('coach@kilo.example');
select ok(not pg_temp.is_free(8, '09:00', '10:00'), 'what is held is not free');
select tests.as_owner();
update private.occupancies set expires_at = now() where id = (select occupancy_id from private.holds where id = :'hold');
select tests.sign_in('coach@kilo.example');
select ok(pg_temp.is_free(8, '09:00', '10:00'), 'until the hold has run out');
select ok(not pg_temp.is_free(9, '09:30', '10:30'), 'what is blocked is not') union all
select ok(pg_temp.is_free(9, '10:00', '11:00'), 'beside the block it is') union all
select ok(not pg_temp.is_free(10, '23:00', '23:30'), 'a weekly block blocks') union all
select ok(not is_slot_available(:'kilo', tests.at(10, '23:30'), tests.at(11, '00:30')), 'over midnight as well');
select is(is_slot_available(:'kilo', null, tests.at(8, '11:00')), false, 'a time without a beginning is not free') union all
select is(is_slot_available(:'kilo', tests.at(8, '11:00'), null), false, 'nor one without an end') union all
select is(is_slot_available(null, tests.at(8, '11:00'), tests.at(8, '12:00')), false, 'nor anybody''s') union all
select ok(not pg_temp.is_free(8, '11:00', '11:00'), 'no time at all is not free') union all
select ok(not pg_temp.is_free(8, '12:00', '11:00'), 'nor is time that runs backward');

select tests.as_service();
select ok(pg_temp.is_free(8, '11:00', '12:00'), 'the portal''s server may ask');
select tests.sign_in('coach@lima.example');
select ok(not pg_temp.is_free(8, '11:00', '12:00'), 'for a coach of another organisation nothing is free');
select ok(pg_temp.is_free(8, '11:00', '12:00', null, 'lima'), 'but in their own');
select tests.sign_in('client@kilo.example');
select ok(not pg_temp.is_free(8, '11:00', '12:00'), 'nor for a client');
select tests.sign_in('nobody@nowhere.example');
select ok(not pg_temp.is_free(8, '11:00', '12:00'), 'nor for somebody without a membership');
select tests.sign_out();
select tests.forbids($$ select is_slot_available(tests.id('kilo'), now(), now() + interval '1 hour') $$, 'a visitor may not call it');
select tests.as_service();
select ok(is_slot_available(gen_random_uuid(), now(), now() + interval '1 hour') is not true, 'an organisation that is not there has nobody');

select * from finish();
rollback;
