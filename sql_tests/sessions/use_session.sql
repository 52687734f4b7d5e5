-- use_session: a package is spent one session at a time, and never beyond its last.
begin;
select plan(7);

select tests.sign_in('coach@kilo.example');
update public.booking_settings set session_click_window_secs = 0 where org_id = :'kilo';

select ok(use_session(tests.id('kilo_package')), 'a click takes one session');
select is(sessions_used, 1, 'the counter says so') from public.client_purchases where id = :'kilo_package';
select is(count(*), 1::bigint, 'and the ledger says so') from public.session_entries where purchase_id = :'kilo_package';

select tests.sign_in('coach@lima.example');
select is_empty($$ select from public.client_purchases where id = tests.id('kilo_package') $$,
                'a coach of another organisation does not see the package');
select tests.refuses($$ select use_session(tests.id('kilo_package')) $$, 404, 'purchase_not_found',
                     'nor take a session from it');

select tests.sign_in('nobody@nowhere.example');
select tests.refuses($$ select use_session(tests.id('kilo_package')) $$, 404, 'purchase_not_found',
                     'nobody without a membership takes a session');

select tests.sign_out();
select tests.forbids($$ select use_session(tests.id('kilo_package')) $$, 'a visitor may not even ask');

select * from finish();
rollback;
