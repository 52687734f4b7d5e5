-- book from a package: a free session at that start is needed; every booking holds one until it is settled or cancelled.
begin;
select plan(24);
select tests.open_studio();
select tests.make_package('two', 2), tests.make_package('short', 5, tests.at(10, '00:00')), tests.make_package('unpaid', 5, null, 'pending'),
       tests.make_package('frozen', 5);
select private.freeze_package(:'kilo', tests.id('frozen'), now() - interval '1 hour');
create function pg_temp.outcome(p_days integer, p_package text, p_time time default '09:00') returns text language sql as $$
  select book(tests.id('kilo'), tests.id('kilo_client'), tests.at(p_days, p_time), tests.id('pt'), tests.id('staff'), p_purchase_id => tests.id(p_package)) ->> 'outcome' $$;
grant execute on function pg_temp.outcome(integer, text, time) to public;

select tests.sign_in('coach@kilo.example');
select is(pg_temp.outcome(8, 'two'), 'booked', 'a package with sessions left pays');
select is(bookable_sessions_remaining(tests.id('two')), 1, 'one is held');
select is(pg_temp.outcome(8, 'two'), 'taken', 'a start that is taken holds none');
select is(pg_temp.outcome(9, 'two'), 'booked', 'the last one');
select is(pg_temp.outcome(10, 'two'), 'package_exhausted', 'then the package is exhausted');
select is_empty($$ select from public.bookings where start_time = tests.at(10, '09:00') $$, 'and nothing is booked');
select is(cancel_booking(id), null, 'a cancellation gives the held session back') from public.bookings where start_time = tests.at(9, '09:00');
select is(bookable_sessions_remaining(tests.id('two')), 1, 'at once');
select is(pg_temp.outcome(10, 'two'), 'booked', 'and it is booked again');

select is(pg_temp.outcome(9, 'short', '10:00'), 'booked', 'a package that expires later pays');
select is(pg_temp.outcome(10, 'short', '10:00'), 'package_exhausted', 'one that has expired by that start does not');
select is(pg_temp.outcome(11, 'unpaid'), 'package_exhausted', 'nor one that is not paid');
select is(pg_temp.outcome(11, 'frozen'), 'package_exhausted', 'nor one that is frozen');
select tests.refuses($$ select book(tests.id('kilo'), tests.id('ann'), tests.at(11, '09:00'), p_purchase_id => tests.id('two')) $$, 404, 'purchase_not_found',
                     'another client''s package does not exist');
select tests.refuses($$ select book(tests.id('kilo'), tests.id('kilo_client'), tests.at(11, '09:00'), p_purchase_id => tests.id('lima_package')) $$, 404, 'purchase_not_found',
                     'nor another organisation''s');
select tests.refuses($$ select book(tests.id('kilo'), tests.id('kilo_client'), tests.at(11, '09:00'), p_purchase_id => gen_random_uuid()) $$, 404, 'purchase_not_found',
                     'nor an unknown one');
select tests.remember('click', gen_random_uuid());
select book(:'kilo', tests.id('kilo_client'), tests.at(12, '09:00'), tests.id('pt'), p_purchase_id => tests.id('short'), p_request_id => tests.id('click')) ->> 'outcome' as before \gset
select is(:'before'::text, 'package_exhausted', 'a refusal binds no request id');
select is(book(:'kilo', tests.id('kilo_client'), tests.at(12, '09:00'), tests.id('pt'), p_purchase_id => :'kilo_package', p_request_id => tests.id('click')) ->> 'outcome', 'booked',
          'the request may be made with another package');
select tests.refuses($$ select book(tests.id('kilo'), tests.id('kilo_client'), tests.at(12, '09:00'), tests.id('pt'), p_purchase_id => tests.id('two'), p_request_id => tests.id('click')) $$,
                     409, 'request_reused', 'once it has booked it may not');
select is(count(*), 1::bigint, 'one was booked') from public.bookings where request_id = tests.id('click');

-- The last one, asked for again by the same request, is no second one.
select tests.as_owner();
select tests.make_package('single', 1), tests.remember('again', gen_random_uuid());
select tests.sign_in('coach@kilo.example');
select book(:'kilo', tests.id('kilo_client'), tests.at(13, '09:00'), tests.id('pt'), p_purchase_id => tests.id('single'), p_request_id => tests.id('again')) as first \gset
select is(book(:'kilo', tests.id('kilo_client'), tests.at(13, '09:00'), tests.id('pt'), p_purchase_id => tests.id('single'), p_request_id => tests.id('again')), :'first'::jsonb,
          'the same request with the last session answers the same');
select is(bookable_sessions_remaining(tests.id('single')), 0, 'and has taken it');
select tests.ledger_holds('the counters equal the ledger');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
