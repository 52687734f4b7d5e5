-- follow_up: the unnamed call that follows a direct completion is that booking's, whoever settles the booking first.
begin;
select plan(22);

select tests.make_package('pack', 10), tests.make_package('empty', 0);
select tests.make_booking(b, 'pack', now() - make_interval(hours => n::integer))
  from unnest(array['raced', 'named', 'late', 'alone', 'undone', 'reopened']) with ordinality as t (b, n);
select tests.make_booking('hollow', 'empty', now() - interval '3 hours');
update public.booking_settings set session_click_window_secs = 0 where org_id = :'kilo';
create function pg_temp.used() returns integer language sql as $$
  select sessions_used from public.client_purchases where id = tests.id('pack');
$$;
create function pg_temp.calendar_completes(p_booking text) returns void language sql as $$
  update public.bookings set status = 'completed' where id = tests.id(p_booking);
$$;
grant execute on function pg_temp.used(), pg_temp.calendar_completes(text) to public;

-- Somebody else settles it in between.
select tests.sign_in('coach@kilo.example');
select pg_temp.calendar_completes('raced');
select tests.sign_in('desk@kilo.example');
select is(complete_booking(tests.id('raced')), 'charged', 'another person settles what the calendar completed');
select tests.sign_in('coach@kilo.example');
select ok(use_session(tests.id('pack')), 'the calendar''s own call is true');
select is(pg_temp.used(), 1, 'and takes nothing more');
select ok(use_session(tests.id('pack')), 'the call is waited for once');
select is(pg_temp.used(), 2, 'the next is a click');

select pg_temp.calendar_completes('named');
select ok(use_session(tests.id('pack'), tests.id('named')), 'the same person names it in between');
select ok(use_session(tests.id('pack')), 'the calendar''s call is true');
select is(pg_temp.used(), 3, 'and takes nothing more');

-- It is that person's call.
select pg_temp.calendar_completes('alone');
select complete_booking(tests.id('alone'));
select tests.sign_in('desk@kilo.example');
select ok(use_session(tests.id('pack')), 'another person''s click is a click');
select is(pg_temp.used(), 5, 'and takes one');
select tests.sign_in('coach@kilo.example');
select ok(use_session(tests.id('pack'), null, gen_random_uuid()), 'a click with an id is one as well');
select is(pg_temp.used(), 6, 'and takes one');
select ok(use_session(tests.id('pack')), 'the calendar''s call is still waited for');
select is(pg_temp.used(), 6, 'and takes nothing');

-- What is taken back is not waited for.
select pg_temp.calendar_completes('undone'), complete_booking(tests.id('undone')), undo_completion(tests.id('undone'));
select ok(use_session(tests.id('pack')), 'after a completion is taken back a click is a click');
select is(pg_temp.used(), 7, 'and takes one');
select pg_temp.calendar_completes('reopened');
update public.bookings set status = 'confirmed' where id = tests.id('reopened');
select ok(use_session(tests.id('pack')), 'also when it is taken back by hand');
select is(pg_temp.used(), 8, 'and takes one');

-- The sweep leaves the booking to the call, and ends the wait when it settles it.
select pg_temp.calendar_completes('late'), pg_temp.calendar_completes('hollow');
select ok(not use_session(tests.id('empty')), 'a call for a booking that nothing covers is false');
select tests.as_service();
select service.sweep_overdue_bookings(p_now => now() + interval '3 minutes');
select tests.sign_in('coach@kilo.example');
select ok(use_session(tests.id('pack')), 'once the sweep has settled it, a click is a click');
select is(pg_temp.used(), 10, 'and takes one beside the sweep''s');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
