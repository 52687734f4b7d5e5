-- use_session: a package is spent one session at a time, never beyond its last, and only while it is valid.
begin;
select plan(27);

select tests.make_package('small', 2), tests.make_package('expired', 5, now() - interval '1 minute'),
  tests.make_package('unpaid', 5, null, 'pending'),
       tests.make_package('failed', 5, null, 'failed'), tests.make_package('refunded', 5, null, 'refunded'),
       tests.make_package('empty', 0),
       tests.make_package('frozen', 5), tests.make_package('sessionless', null);
select private.freeze_package(:'kilo', tests.id('frozen'), now() - interval '1 hour');
update public.booking_settings set session_click_window_secs = 0 where org_id = :'kilo';

select tests.sign_in('desk@kilo.example');
select ok(use_session(tests.id('small')), 'a click takes one session');
select is(sessions_used, 1, 'the counter says so') from public.client_purchases where id = tests.id('small');
select results_eq($$ select kind, used_delta, reason, booking_id, actor_id from public.session_entries
                     where purchase_id = tests.id('small') $$,
                  $$ values ('use', 1, 'click', null::uuid, tests.id('kilo_desk')) $$,
                  'and the ledger says so, and who');
select ok(use_session(tests.id('small')), 'another click takes the last one');
select ok(not use_session(tests.id('small')), 'an empty package answers false');
select ok(not use_session(tests.id('small')), 'however often it is asked');
select is(sessions_remaining, 0, 'nothing is left') from public.client_purchases where id = tests.id('small');
select is(count(*), 2::bigint, 'two sessions were taken and no more') from public.session_entries
  where purchase_id = tests.id('small');

select ok(not use_session(tests.id(p)), format('a package that is %s answers false', p))
  from unnest(array['expired', 'unpaid', 'failed', 'refunded', 'empty', 'frozen', 'sessionless']) as p;
select is_empty($$ select from public.session_entries
                   where purchase_id in (tests.id('expired'), tests.id('unpaid'), tests.id('refunded'),
                                         tests.id('frozen')) $$,
                'and nothing is written');

select tests.as_owner();
select private.unfreeze_package(:'kilo', tests.id('frozen'));
update public.client_purchases set payment_status = 'succeeded' where id = tests.id('unpaid');
select tests.sign_in('desk@kilo.example');
select ok(use_session(tests.id('frozen')), 'a package that is unfrozen serves again');
select ok(use_session(tests.id('unpaid')), 'a package that is paid at last serves');

select tests.refuses($$ select use_session(gen_random_uuid()) $$,
                     404, 'purchase_not_found', 'an unknown package does not exist');
select tests.refuses($$ select use_session(null) $$, 404, 'purchase_not_found', 'nor does none');
select tests.only_for_members($$ select use_session(tests.id('kilo_package')) $$,
                              'purchase_not_found', 'accountant@kilo.example', 'use_session');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
