-- uncovered: a session was held that no package can pay for; the coach is told once, and the alert ends with its cause.
begin;
select plan(25);

update public.booking_settings set session_click_window_secs = 0 where org_id = :'kilo';
select tests.make_package('empty', 0), tests.make_package('hollow', 0);
select tests.make_booking('held', 'empty', now() - interval '5 hours'),
  tests.make_booking('swept', 'empty', now() - interval '6 hours'),
       tests.make_booking('undone', 'empty', now() - interval '7 hours'),
       tests.make_booking('ticked', 'hollow', now() - interval '8 hours');
create function pg_temp.open_alerts(p_booking text) returns bigint language sql as $$
  select count(*) from public.alerts
  where booking_id = tests.id(p_booking) and kind = 'booking_uncovered' and resolved_at is null;
$$;
grant execute on function pg_temp.open_alerts(text) to public;

select tests.sign_in('coach@kilo.example');
select is(complete_booking(tests.id('held')), 'uncovered', 'a completed booking that nothing covers says so');
select is(pg_temp.open_alerts('held'), 1::bigint, 'the coach is told');
select is((client_id, purchase_id)::text, format('(%s,%s)', :'kilo_client', tests.id('empty')),
          'of whom and which package')
  from public.alerts where booking_id = tests.id('held');
select is(complete_booking(tests.id('held')), 'uncovered', 'asked again it says the same');
select ok(not use_session(tests.id('empty'), tests.id('held')), 'naming it answers false');
select is(pg_temp.open_alerts('held'), 1::bigint, 'and nobody is told twice');

-- The sweep tells as well, and never comes back to it.
select tests.as_service();
select uncovered from service.sweep_overdue_bookings() \gset first_
select cmp_ok(:first_uncovered, '>=', 1, 'the sweep finds those nobody completed');
select tests.as_owner();
select is(pg_temp.open_alerts('swept'), 1::bigint, 'and tells the coach');
select tests.as_service();
select results_eq($$ select completed, charged, uncovered, skipped
                     from service.sweep_overdue_bookings(p_now => now() + interval '10 minutes') $$,
                  $$ values (0, 0, 0, 0) $$, 'the next sweep finds nothing');

-- The coach sells a session afterwards.
select tests.sign_in('coach@kilo.example');
select correct_package(tests.id('empty'), null, 1);
select ok(use_session(tests.id('empty'), tests.id('held')), 'named after a sale it is charged');
select is(settlement, 'charged', 'and is uncovered no longer') from public.bookings where id = tests.id('held');
select is(pg_temp.open_alerts('held'), 0::bigint, 'its alert is resolved');
select is(pg_temp.open_alerts('swept'), 1::bigint, 'the other''s is open');
select is(settlement, 'uncovered', 'for the sweep and the clicks leave it') from public.bookings
  where id = tests.id('swept');

-- Taken back.
select undo_completion(tests.id('undone')) as used \gset
select is(pg_temp.open_alerts('undone'), 0::bigint, 'the alert about a completion that is taken back is resolved');
select is(complete_booking(tests.id('undone')), 'uncovered', 'completed again it is uncovered again');
select is(pg_temp.open_alerts('undone'), 1::bigint, 'and told again');

-- A coach ticks it off.
select is(pg_temp.open_alerts('ticked'), 1::bigint, 'an alert is open');
select tests.sign_in('coach@lima.example');
select is_empty($$ select from public.alerts where booking_id = tests.id('ticked') $$,
                'another organisation does not see it');
select tests.changes_nothing($$ update public.alerts set resolved_at = now() where booking_id = tests.id('ticked') $$,
                             'nor ticks it off');
select tests.sign_in('client@kilo.example');
select is_empty($$ select from public.alerts $$, 'nor does a client see any');
select tests.sign_in('desk@kilo.example');
update public.alerts set resolved_at = now() where booking_id = tests.id('ticked');
select is(pg_temp.open_alerts('ticked'), 0::bigint, 'the front desk ticks it off');
select tests.forbids($$ update public.alerts set kind = 'other' where booking_id = tests.id('ticked') $$,
                     'and changes nothing else of it');
select tests.forbids($$ insert into public.alerts (org_id, kind) values (tests.id('kilo'), 'made_up') $$,
                     'nobody makes one up');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
