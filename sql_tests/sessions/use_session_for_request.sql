-- use_session with a request id: that click takes one, ever, and the id stays bound to what it was used for.
begin;
select plan(23);

select tests.make_package('pack', 2), tests.make_package('other', 2);
select tests.make_booking('lesson', 'pack', now() - interval '2 hours');
select gen_random_uuid() as click, gen_random_uuid() as click_two, gen_random_uuid() as click_three,
  gen_random_uuid() as late \gset
select tests.remember('click', :'click'), tests.remember('late', :'late'), tests.remember('click_two', :'click_two');

select tests.sign_in('coach@kilo.example');
select ok(use_session(tests.id('pack'), null, :'click'), 'a click takes one session');
select ok(use_session(tests.id('pack'), null, :'click'), 'the same click answers the same');
select is(sessions_used, 1, 'and takes nothing more') from public.client_purchases where id = tests.id('pack');
select tests.sign_in('desk@kilo.example');
select ok(use_session(tests.id('pack'), null, :'click'), 'whoever repeats it');
select tests.sign_in('coach@kilo.example');
select ok(use_session(tests.id('pack'), null, :'click_two'),
          'another click at once takes another: a request id needs no window');
select is(sessions_used, 2, 'two are used') from public.client_purchases where id = tests.id('pack');

-- The first answer stands.
select ok(not use_session(tests.id('pack'), null, :'late'), 'a click on an empty package answers false');
select is(release_session(tests.id('pack')), 1, 'then a session comes back');
select ok(not use_session(tests.id('pack'), null, :'late'), 'and the same click still answers false');
select ok(use_session(tests.id('pack'), null, :'click'), 'as the first still answers true');
select is(sessions_used, 1, 'neither moved anything') from public.client_purchases where id = tests.id('pack');
select results_eq($$ select used_delta, answer, reason from public.session_entries
                     where request_id = tests.id('late') $$,
                  $$ values (0, 0, 'package_exhausted') $$, 'the ledger keeps why nothing was taken');

-- The id binds to its arguments.
select tests.refuses($$ select use_session(tests.id('other'), null, tests.id('click')) $$,
                     409, 'request_reused', 'an id is not used for another package');
select tests.refuses($$ select use_session(tests.id('pack'), tests.id('lesson'), tests.id('click')) $$,
                     409, 'request_reused', 'nor for a booking');
select tests.refuses($$ select release_session(tests.id('pack'), null, tests.id('click')) $$,
                     409, 'request_reused', 'nor for giving back');
select tests.refuses($$ select correct_package(tests.id('pack'), 0, null, tests.id('click')) $$,
                     409, 'request_reused', 'nor for a correction');

-- With a booking.
select ok(use_session(tests.id('pack'), tests.id('lesson'), :'click_three'), 'a click on a booking takes its session');
select ok(use_session(tests.id('pack'), tests.id('lesson'), :'click_three'), 'the same click answers the same');
select ok(use_session(tests.id('pack'), tests.id('lesson'), gen_random_uuid()), 'another click on it is true as well');
select is(sessions_used, 2, 'and the booking is charged once') from public.client_purchases where id = tests.id('pack');
select is(count(*), 1::bigint, 'by one entry that moved the counter') from public.session_entries
  where booking_id = tests.id('lesson') and used_delta = 1;

-- Another organisation may use the same id.
select tests.sign_in('coach@lima.example');
select ok(use_session(:'lima_package', null, :'click'), 'an id means nothing in another organisation');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
