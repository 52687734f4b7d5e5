-- Taking a cancellation back by a direct update: the time must be free. Like a direct insert it may ask more of a package than there
-- is; what no package can pay ends uncovered, and the coach is told.
begin;
select plan(15);
select tests.open_studio();
select tests.make_package('single', 1), tests.make_package('short', 5, tests.at(10, '00:00'));
create function pg_temp.add(p_name text, p_days integer, p_time time, p_package text) returns uuid language sql as $$
  with added as (
    insert into public.bookings (org_id, client_id, start_time, end_time, purchase_id)
    values (tests.id('kilo'), tests.id('kilo_client'), tests.at(p_days, p_time), tests.at(p_days, p_time) + interval '1 hour',
            case when p_package is not null then tests.id(p_package) end) returning id)
  select tests.remember(p_name, a.id) from added as a $$;
create function pg_temp.revive(p_name text, p_status text default 'confirmed') returns text language sql as $$
  select format('update public.bookings set status = %L where id = %L', p_status, tests.id(p_name)) $$;
grant execute on function pg_temp.add(text, integer, time, text), pg_temp.revive(text, text) to public;

select tests.sign_in('coach@kilo.example');
select pg_temp.add('first', 8, '09:00', 'single');
update public.bookings set status = 'cancelled' where id = tests.id('first');
select lives_ok(pg_temp.revive('first'), 'a cancellation is taken back while its session is free');
select is(bookable_sessions_remaining(tests.id('single')), 0, 'and holds it again');
update public.bookings set status = 'cancelled' where id = tests.id('first');
select pg_temp.add('second', 8, '10:00', 'single');
select lives_ok(pg_temp.revive('first'), 'it comes back all the same when another booking holds it');
select is(bookable_sessions_remaining(tests.id('single')), 0, 'and none is left to book');
select is(use_session(tests.id('single'), tests.id('first')), true, 'whoever is first uses it');
select is(complete_booking(tests.id('second')), 'uncovered', 'the other one is uncovered');
select tests.as_owner();
select is(count(*), 1::bigint, 'which the coach is told') from public.alerts where kind = 'booking_uncovered' and booking_id = tests.id('second');
select tests.sign_in('coach@kilo.example');
select pg_temp.add('third', 9, '09:00', null);
update public.bookings set status = 'cancelled' where id = tests.id('third');
select pg_temp.add('taker', 9, '09:00', null);
select tests.refuses(pg_temp.revive('third'), 409, 'slot_taken', 'when its time is taken it does not come back');

-- Without a package there is nothing to ask for; with another client the package stays behind.
select pg_temp.add('free', 11, '09:00', null);
update public.bookings set status = 'cancelled' where id = tests.id('free');
select pg_temp.add('changed', 11, '10:00', 'short');
update public.bookings set status = 'cancelled' where id = tests.id('changed');
select lives_ok(pg_temp.revive('free'), 'a booking without a package comes back');
select lives_ok(format('update public.bookings set status = ''confirmed'', client_id = %L where id = %L', tests.id('ann'), tests.id('changed')), 'as does one that goes to another client');
select is(purchase_id, null, 'who pays otherwise') from public.bookings where id = tests.id('changed');

-- Cancelled late, and not charged yet: the session it owes is the one it asks for.
select tests.as_owner();
update public.booking_settings set late_cancellation_policy = 'charge', cancel_notice_hours = 8000 where org_id = :'kilo';
select tests.make_package('one', 1);
select pg_temp.add('late', 12, '09:00', 'one');
select tests.sign_in('client@kilo.example');
update public.bookings set status = 'cancelled' where id = tests.id('late');
select tests.as_owner();
select is(settlement, 'due', 'a late cancellation owes its session') from public.bookings where id = tests.id('late');
select lives_ok(pg_temp.revive('late'), 'taken back it holds that very session');
select tests.ledger_holds('the counters equal the ledger');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
