-- package_editor: an absolute number an app writes becomes a ledgered correction, or nothing when the page was stale.
begin;
select plan(38);

select tests.make_package('pack', 10), tests.make_package('aged', 10), tests.make_package('sessionless', null);
update public.booking_settings set session_click_window_secs = 0 where org_id = :'kilo';
create function pg_temp.held(p_package text) returns text language sql as $$
  select format('%s of %s', sessions_used, sessions_total) from public.client_purchases where id = tests.id(p_package);
$$;
grant execute on function pg_temp.held(text) to public;

select tests.sign_in('coach@kilo.example');
update public.client_purchases set sessions_used = 4, sessions_total = 10 where id = tests.id('pack');
select is(pg_temp.held('pack'), '4 of 10', 'a correction sets the number used');
select results_eq($$ select kind, used_delta, total_delta, reason, actor_id from public.session_entries
                     where purchase_id = tests.id('pack') $$,
                  $$ values ('correction', 4, 0, 'editor', tests.id('kilo_owner')) $$,
                  'the ledger says by how much and by whom');
update public.client_purchases set sessions_total = 12, sessions_used = 4 where id = tests.id('pack');
select is(pg_temp.held('pack'), '4 of 12', 'and the total');
update public.client_purchases set sessions_total = 8, sessions_used = 3 where id = tests.id('pack');
select is(pg_temp.held('pack'), '3 of 8', 'or both at once');
select results_eq($$ select used_delta, total_delta from public.session_entries where purchase_id = tests.id('pack')
                     order by created_at desc limit 1 $$,
                  $$ values (-1, -4) $$, 'by one entry');
update public.client_purchases set sessions_total = 8, sessions_used = 3, payment_method = 'card'
  where id = tests.id('pack');
select is(count(*), 3::bigint, 'a form that sends them as they are writes nothing') from public.session_entries
  where purchase_id = tests.id('pack');
select is(payment_method, 'card', 'and saves the rest') from public.client_purchases where id = tests.id('pack');

-- A page that was opened before a session was taken.
select use_session(tests.id('pack'));
update public.client_purchases set sessions_used = 3, payment_method = 'cash' where id = tests.id('pack');
select is(pg_temp.held('pack'), '4 of 8', 'a number that the counter held before a take is stale and changes nothing');
select is(payment_method, 'cash', 'the rest of the form is saved') from public.client_purchases
  where id = tests.id('pack');
select use_session(tests.id('pack')), use_session(tests.id('pack'));
update public.client_purchases set sessions_used = 4 where id = tests.id('pack');
select is(pg_temp.held('pack'), '6 of 8', 'also two takes ago');
update public.client_purchases set sessions_used = 3, sessions_total = 9 where id = tests.id('pack');
select is(pg_temp.held('pack'), '6 of 9', 'a new total beside a stale number is a correction of the total alone');
update public.client_purchases set sessions_total = 8 where id = tests.id('pack');
select is(pg_temp.held('pack'), '6 of 9', 'a total that was corrected a moment ago is stale too');
update public.client_purchases set sessions_used = 7 where id = tests.id('pack');
select is(pg_temp.held('pack'), '7 of 9', 'a number the counter never held is meant');
select release_session(tests.id('pack'));
update public.client_purchases set sessions_used = 7 where id = tests.id('pack');
select is(pg_temp.held('pack'), '6 of 9', 'a page opened before a release does not take the session back again');
select is(correct_package(tests.id('pack'), 3, 8), 3, 'correct_package means what it says, stale or not');
select is(pg_temp.held('pack'), '3 of 8', 'at once');

-- After an hour nothing is stale any more.
select tests.as_owner();
select private.take_session(:'kilo', tests.id('aged'), null, null, tests.id('kilo_owner'),
                            now() - interval '61 minutes');
select private.take_session(:'kilo', tests.id('aged'), null, null, tests.id('kilo_owner'),
                            now() - interval '59 minutes');
select tests.sign_in('coach@kilo.example');
update public.client_purchases set sessions_used = 1 where id = tests.id('aged');
select is(pg_temp.held('aged'), '2 of 10', 'what the counter held within the last hour is stale');
update public.client_purchases set sessions_used = 0 where id = tests.id('aged');
select is(pg_temp.held('aged'), '0 of 10', 'what it held before that is meant');

-- Never below zero or above the total.
select tests.refuses(format('update public.client_purchases set %s where id = tests.id(''aged'')', c), 422,
                     'sessions_out_of_range', format('not with %s', c))
  from unnest(array['sessions_used = -1', 'sessions_used = 11', 'sessions_used = null', 'sessions_total = -1',
                    'sessions_total = 20001, sessions_used = 5',
                    'sessions_total = null', 'sessions_used = 2147483647',
                    'sessions_used = 8, sessions_total = 7']) as c;
select tests.refuses($$ update public.client_purchases set sessions_total = 5 where id = tests.id('sessionless') $$,
                     422, 'sessions_out_of_range',
                     'a purchase without sessions gets none by editing');
select is(pg_temp.held('aged'), '0 of 10', 'nothing of that moved the counter');

-- Who may.
select tests.sign_in('desk@kilo.example');
select tests.refuses($$ update public.client_purchases set sessions_used = 9 where id = tests.id('aged') $$,
                     403, 'permission_missing', 'a front desk corrects nothing');
select tests.refuses($$ update public.client_purchases set expires_at = now() + interval '1 year'
                        where id = tests.id('aged') $$, 403, 'permission_missing',
                     'nor moves an expiry');
select lives_ok($$ update public.client_purchases set payment_method = 'card', sessions_used = 0, expires_at = null
                   where id = tests.id('aged') $$,
                'a front desk says how it was paid');
select tests.forbids($$ update public.client_purchases set entry_count = 99, sessions_used = 9
                        where id = tests.id('aged') $$, 'nobody writes the number of entries');
select tests.forbids($$ update public.client_purchases set frozen_periods = '{}' where id = tests.id('aged') $$,
                     'nobody unfreezes by hand');
select tests.forbids($$ update public.client_purchases set amount_paid_cents = 0 where id = tests.id('aged') $$,
                     'nobody changes what was paid');
select tests.sign_in('client@kilo.example');
select tests.changes_nothing($$ update public.client_purchases set sessions_used = 0 where id = tests.id('aged') $$,
                             'a client changes nothing of their package');
select tests.as_service();
select tests.forbids($$ update public.client_purchases set sessions_used = 0 where id = tests.id('aged') $$,
                     'nor does the service by hand');
select tests.as_owner();
update public.client_purchases set sessions_used = 9 where id = tests.id('aged');
select is(used_delta, 9, 'even the database''s owner leaves an entry') from public.session_entries
  where purchase_id = tests.id('aged') order by created_at desc limit 1;
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
