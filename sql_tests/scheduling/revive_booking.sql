-- Taking a cancellation back by a direct update: the time must be free, and the package must have a session free for that start.
begin;
select plan(18);
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
select tests.refuses(pg_temp.revive('first'), 409, 'package_exhausted', 'when another booking holds it, it is not');
select tests.refuses(pg_temp.revive('first', 'pending'), 409, 'package_exhausted', 'nor to wait for a confirmation');
select is((status, occupancy_id)::text, ('cancelled', null::uuid)::text, 'it stays cancelled and takes no time') from public.bookings where id = tests.id('first');
select is(bookable_sessions_remaining(tests.id('single')), 0, 'and no session');
update public.bookings set status = 'cancelled' where id = tests.id('second');
select lives_ok(pg_temp.revive('first'), 'when it is free again, it is');
select is(use_session(tests.id('single'), tests.id('first')), true, 'its session is used');
select tests.refuses(pg_temp.revive('second'), 409, 'package_exhausted', 'and is nobody else''s');

-- Judged at its start.
select pg_temp.add('before', 9, '11:00', 'short'), pg_temp.add('after', 10, '11:00', 'short');
update public.bookings set status = 'cancelled' where id in (tests.id('before'), tests.id('after'));
select lives_ok(pg_temp.revive('before'), 'before the package expires it pays');
select tests.refuses(pg_temp.revive('after'), 409, 'package_exhausted', 'later it does not');

-- Without a package there is nothing to ask for; with another client the package stays behind.
select pg_temp.add('free', 11, '09:00', null);
update public.bookings set status = 'cancelled' where id = tests.id('free');
select lives_ok(pg_temp.revive('free'), 'a booking without a package comes back');
select lives_ok(format('update public.bookings set status = ''confirmed'', client_id = %L where id = %L', tests.id('ann'), tests.id('second')), 'as does one that goes to another client');
select is(purchase_id, null, 'who pays otherwise') from public.bookings where id = tests.id('second');

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
