-- no_show: who does not come is charged by the organisation's policy, and free by default.
begin;
select plan(15);

select tests.make_package('pack', 10);
select tests.make_booking('free', 'pack', now() - interval '5 hours'),
  tests.make_booking('charged', 'pack', now() - interval '4 hours'),
       tests.make_booking('bare', null, now() - interval '4 hours'),
       tests.make_booking('asked_again', 'pack', now() - interval '3 hours');
create function pg_temp.stands(p_booking text) returns text language sql as $$
  select format('%s %s', status, coalesce(settlement, '-')) from public.bookings where id = tests.id(p_booking);
$$;
grant execute on function pg_temp.stands(text) to public;

select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'no_show' where id = tests.id('free');
select is(pg_temp.stands('free'), 'no_show -', 'by default a no-show owes nothing');
select tests.sign_in('desk@kilo.example');
select ok(use_session(tests.id('pack'), tests.id('free')), 'but may be charged by naming it');
select is(reason, 'no_show', 'the ledger says why') from public.session_entries where booking_id = tests.id('free');

select tests.sign_in('coach@kilo.example');
update public.booking_settings set no_show_policy = 'charge' where org_id = :'kilo';
update public.bookings set status = 'no_show'
  where id in (tests.id('charged'), tests.id('bare'), tests.id('asked_again'));
select is(pg_temp.stands('charged'), 'no_show due', 'with the policy charge it is due');
select is(pg_temp.stands('bare'), 'no_show -', 'without a package nothing is');
select is(bookable_sessions_remaining(tests.id('pack')), 7, 'what is due is held');

select tests.as_service();
select service.sweep_overdue_bookings(p_now => now() + interval '119 seconds');
select tests.as_owner();
select is(pg_temp.stands('charged'), 'no_show due', 'for two minutes a person may still think better of it');
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'confirmed' where id = tests.id('asked_again');
select is(pg_temp.stands('asked_again'), 'confirmed -', 'by taking it back by hand');
select tests.as_service();
select service.sweep_overdue_bookings(p_now => now() + interval '121 seconds');
select tests.as_owner();
select is(pg_temp.stands('charged'), 'no_show charged', 'then the sweep charges it, and it stays a no-show');
select is((reason, actor_id)::text, '(no_show,)', 'the ledger says why') from public.session_entries
  where booking_id = tests.id('charged');
select is(pg_temp.stands('asked_again'), 'confirmed -', 'what was taken back is left alone');
select is(pg_temp.stands('bare'), 'no_show -', 'what owes nothing too');
select is(sessions_used, 2, 'two were charged') from public.client_purchases where id = tests.id('pack');

select tests.sign_in('client@kilo.example');
select tests.refuses($$ update public.bookings set status = 'no_show' where id = tests.id('kilo_booking') $$,
                     403, 'column_protected', 'a client is not their own no-show');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
