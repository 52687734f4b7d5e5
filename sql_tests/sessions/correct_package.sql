-- correct_package: sets used and total sessions on purpose, by a ledgered correction.
begin;
select plan(29);

select tests.make_package('pack', 10), tests.make_package('sessionless', null);
select tests.remember('click', gen_random_uuid()) as click \gset

select tests.sign_in('coach@kilo.example');
select is(correct_package(tests.id('pack'), 4), 4, 'the number used is set');
select is(correct_package(tests.id('pack'), null, 12), 4, 'the total alone');
select is((sessions_used, sessions_total, sessions_remaining)::text, '(4,12,8)', 'both are kept')
  from public.client_purchases where id = tests.id('pack');
select is(correct_package(tests.id('pack'), 2, 6), 2, 'or both at once');
select results_eq($$ select kind, used_delta, total_delta, reason, actor_id from public.session_entries
                     where purchase_id = tests.id('pack') order by created_at $$,
  $$ values ('correction', 4, 0, 'correction', tests.id('kilo_owner')),
     ('correction', 0, 2, 'correction', tests.id('kilo_owner')),
            ('correction', -2, -6, 'correction', tests.id('kilo_owner')) $$, 'the ledger says by how much');
select is(correct_package(tests.id('pack'), 2, 6), 2, 'what is so already is answered');
select is(correct_package(tests.id('pack')), 2, 'so is nothing to correct');
select is(count(*), 3::bigint, 'and not written') from public.session_entries where purchase_id = tests.id('pack');
select is(correct_package(tests.id('pack'), 4), 4, 'a number the counter held a moment ago is meant');

select is(correct_package(tests.id('pack'), 5, null, :'click'), 5, 'a click corrects');
select is(correct_package(tests.id('pack'), 5, null, :'click'), 5, 'the same click answers the same');
select tests.refuses($$ select correct_package(tests.id('pack'), 1, null, tests.id('click')) $$,
                     409, 'request_reused', 'its id is bound to the number it corrected to');
select is(sessions_used, 5, 'and corrects nothing more') from public.client_purchases where id = tests.id('pack');
select tests.refuses($$ select use_session(tests.id('pack'), null, tests.id('click')) $$,
                     409, 'request_reused', 'its id is not used for taking');

select tests.refuses(format('select correct_package(tests.id(''pack''), %s)', a), 422, 'sessions_out_of_range',
                     format('not to %s', a))
  from unnest(array['-1', '7', 'null, 4', 'null, -1', '0, 20001', '2147483647, 2147483647']) as a;
select tests.refuses($$ select correct_package(tests.id('sessionless'), 0, 5) $$,
                     422, 'sessions_out_of_range', 'a purchase without sessions gets none');
select tests.refuses($$ select correct_package(gen_random_uuid(), 1) $$,
                     404, 'purchase_not_found', 'an unknown package does not exist');
select tests.only_for_members($$ select correct_package(tests.id('kilo_package'), 1) $$,
                              'purchase_not_found', 'desk@kilo.example', 'correct_package');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
