-- bookable_sessions_remaining: what may still be booked; every booking that is not settled is held, also one that has ended.
begin;
select plan(22);

select tests.make_package('pack', 5), tests.make_package('expired', 5, now() - interval '1 hour'),
  tests.make_package('unpaid', 5, null, 'pending'),
       tests.make_package('frozen', 5), tests.make_package('sessionless', null);
select private.freeze_package(:'kilo', tests.id('frozen'), now() - interval '1 hour');
create function pg_temp.bookable() returns integer language sql as $$
  select bookable_sessions_remaining(tests.id('pack'));
$$;
grant execute on function pg_temp.bookable() to public;

select tests.sign_in('coach@kilo.example');
select is(pg_temp.bookable(), 5, 'a new package can be booked out');
select tests.as_owner();
select tests.make_booking('coming', 'pack', now() + interval '4 days'), tests.make_booking('asked', 'pack', now() + interval '2 days'),
       tests.make_booking('ended', 'pack', now() - interval '1 day');
update public.bookings set status = 'pending' where id = tests.id('asked');
select tests.sign_in('coach@kilo.example');
select is(pg_temp.bookable(), 2, 'a booking to come, one asked for and one that has ended are held');
update public.bookings set status = 'cancelled' where id = tests.id('coming');
select is(pg_temp.bookable(), 3, 'one that is cancelled is not');
update public.bookings set status = 'completed' where id = tests.id('ended');
select is(pg_temp.bookable(), 3, 'one that is completed and due still is');
select use_session(tests.id('pack'));
select is(pg_temp.bookable(), 3, 'charged, it is used instead');
select release_session(tests.id('pack'), tests.id('ended'));
select is(pg_temp.bookable(), 4, 'waived, it holds nothing');
select tests.as_owner();
update public.booking_settings set no_show_policy = 'charge' where org_id = :'kilo';
select tests.make_booking('missed', 'pack', now() - interval '2 days', 'no_show');
select is(pg_temp.bookable(), 3, 'a no-show that will be charged is held');
select tests.make_booking('checked_in', 'pack', now() + interval '1 hour');
select tests.sign_in('coach@kilo.example');
select use_session(tests.id('pack'), tests.id('checked_in'));
select is(pg_temp.bookable(), 2, 'a check-in is used, and not held besides');
select correct_package(tests.id('pack'), 5);
select is(pg_temp.bookable(), 0, 'it is never below zero');

select is(bookable_sessions_remaining(tests.id(p)), 0, format('a package that is %s has none', p))
  from unnest(array['expired', 'unpaid', 'frozen', 'sessionless']) as p;
select is(bookable_sessions_remaining(gen_random_uuid()), null, 'an unknown package has no answer');
select is(bookable_sessions_remaining(null), null, 'nor has none');

select tests.sign_in('accountant@kilo.example');
select is(bookable_sessions_remaining(:'kilo_package'), 9,
          'whoever may see a package may ask: its booking of tomorrow is held');
select tests.sign_in('client@kilo.example');
select is(bookable_sessions_remaining(:'kilo_package'), 9, 'the client is told the same of theirs');
select tests.as_service();
select is(bookable_sessions_remaining(:'kilo_package'), 9, 'so is the service');
select tests.sign_in('coach@lima.example');
select is(bookable_sessions_remaining(:'kilo_package'), null,
          'for a coach of another organisation there is no such package');
select tests.sign_in('nobody@nowhere.example');
select is(bookable_sessions_remaining(:'kilo_package'), null, 'nor for somebody without a membership');
select tests.sign_in('client@lima.example');
select is(bookable_sessions_remaining(:'kilo_package'), null, 'nor for another client');
select tests.sign_out();
select tests.forbids($$ select bookable_sessions_remaining(tests.id('kilo_package')) $$, 'a visitor may not call it');

select * from finish();
rollback;
