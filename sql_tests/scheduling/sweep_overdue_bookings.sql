-- sweep_overdue_bookings: completes what is over and settles what stayed due; nothing twice, nothing too early.
begin;
select plan(39);

-- The world's own bookings are to come; what is swept here is made here, in the past of p_now.
select tests.make_package('pack', 3), tests.make_package('empty', 0), tests.make_package('rich', 20),
  tests.make_package('expired', 5, now() - interval '2 days');
select tests.make_booking('over', 'pack', now() - interval '3 hours'),
  tests.make_booking('running', 'pack', now() - interval '30 minutes'),
       tests.make_booking('bare', null, now() - interval '3 hours'),
       tests.make_booking('asked', 'pack', now() - interval '4 hours'),
       tests.make_booking('off', 'pack', now() + interval '4 days'),
       tests.make_booking('gave_up', 'empty', now() - interval '5 hours'),
       tests.make_booking('checked_in', 'rich', now() - interval '6 hours'),
       tests.make_booking('given_back', 'rich', now() - interval '7 hours'),
       tests.make_booking('before_expiry', 'expired', now() - interval '3 days'),
       tests.make_booking('after_expiry', 'expired', now() - interval '1 day');
update public.bookings set status = 'pending' where id = tests.id('asked');
update public.bookings set status = 'cancelled' where id = tests.id('off');
select private.take_session(:'kilo', tests.id('rich'), tests.id('checked_in'), null, null),
  private.take_session(:'kilo', tests.id('rich'), tests.id('given_back'), null, null),
       private.give_session_back(:'kilo', tests.id('rich'), tests.id('given_back'), null, null);
create function pg_temp.stands(p_booking text) returns text language sql as $$
  select format('%s %s', status, coalesce(settlement, '-')) from public.bookings where id = tests.id(p_booking);
$$;
create function pg_temp.sweep(p_at interval, p_limit integer default 5000,
                              p_dry_run boolean default false) returns text language plpgsql as $$
declare
  v_counts text;
begin
  perform tests.as_service();
  select format('%s completed, %s charged, %s uncovered, %s skipped', completed, charged, uncovered,
                skipped) into v_counts
    from service.sweep_overdue_bookings(p_limit, now() + p_at, p_dry_run);
  perform tests.as_owner();
  return v_counts;
end;
$$;
create function pg_temp.everything() returns text language sql as $$
  select md5(concat((select string_agg(b::text, '|' order by b.id) from public.bookings as b),
                    (select string_agg(p::text, '|' order by p.id) from public.client_purchases as p),
                    (select string_agg(e::text, '|' order by e.id) from public.session_entries as e),
                    (select string_agg(a::text, '|' order by a.id) from public.alerts as a),
                    (select count(*) from public.audit_log)));
$$;

-- A dry run.
select pg_temp.everything() as before \gset
select is(pg_temp.sweep('0', p_dry_run => true), '7 completed, 2 charged, 2 uncovered, 0 skipped',
          'a dry run foretells what a sweep will do');
select is(pg_temp.everything(), :'before'::text, 'and changes nothing');
select is(pg_temp.sweep('0'), '7 completed, 2 charged, 2 uncovered, 0 skipped', 'the sweep does what was foretold');

select is(pg_temp.stands('over'), 'completed charged', 'what is over is completed and charged');
select results_eq($$ select used_delta, reason, charge_no, actor_id from public.session_entries
                     where booking_id = tests.id('over') $$,
                  $$ values (1, 'sweep', 1, null::uuid) $$, 'by the sweep, the ledger says');
select is((completed_at is not null, due_since)::text, '(t,)', 'it is due no longer') from public.bookings
  where id = tests.id('over');
select is(pg_temp.stands('running'), 'confirmed -', 'what is not over is left alone');
select is(pg_temp.stands('bare'), 'completed none', 'without a package nothing is owed');
select is(pg_temp.stands('asked'), 'pending -', 'what nobody confirmed is not completed');
select is(pg_temp.stands('off'), 'cancelled -', 'nor what was cancelled');
select is(pg_temp.stands('gave_up'), 'completed uncovered', 'an empty package leaves its booking uncovered');
select is(count(*), 1::bigint, 'and the coach is told') from public.alerts
  where booking_id = tests.id('gave_up') and resolved_at is null;
select is(pg_temp.stands('checked_in'), 'completed charged', 'a check-in is completed');
select is(pg_temp.stands('given_back'), 'completed waived', 'so is one that was waived');
select is(sessions_used, 1, 'neither is charged again') from public.client_purchases where id = tests.id('rich');
select is(pg_temp.stands('before_expiry'), 'completed charged', 'an expired package pays for what began before');
select is(pg_temp.stands('after_expiry'), 'completed uncovered', 'and for nothing after');

-- Again.
select pg_temp.everything() as before \gset
select is(pg_temp.sweep('1 minute'), '0 completed, 0 charged, 0 uncovered, 0 skipped',
          'the next sweep finds nothing: charged, waived and uncovered are done with');
select is(pg_temp.everything(), :'before'::text, 'and changes nothing');
update public.client_purchases set sessions_total = 5 where id = tests.id('empty');
select is(pg_temp.sweep('1 minute'), '0 completed, 0 charged, 0 uncovered, 0 skipped',
          'also not when the package could pay by now');

-- What a calendar completed and nobody settled.
select tests.make_booking('left', 'rich', now() - interval '8 hours');
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'completed' where id = tests.id('left');
select tests.as_owner();
select is(pg_temp.stands('left'), 'completed due', 'a tab that closed too early leaves a booking due');
select is(pg_temp.sweep('115 seconds'), '0 completed, 0 charged, 0 uncovered, 0 skipped',
          'for two minutes it is the tab''s');
select is(pg_temp.stands('left'), 'completed due', 'untouched');
select is(pg_temp.sweep('125 seconds'), '0 completed, 1 charged, 0 uncovered, 0 skipped', 'then the sweep settles it');
select is(reason, 'completion', 'as the completion it was') from public.session_entries
  where booking_id = tests.id('left');

-- Fewer sessions than bookings: the earliest are paid; and a batch at a time, the exhausted do not starve the others.
select tests.make_package('two', 2);
select tests.make_booking('two_' || i, 'two', now() - make_interval(days => 20 - i)) from generate_series(1, 5) as i;
select tests.make_booking('rich_' || i, 'rich', now() - make_interval(days => 10 - i)) from generate_series(1, 3) as i;
select is(pg_temp.sweep('1 minute', 3), '3 completed, 2 charged, 1 uncovered, 0 skipped', 'a batch takes the oldest');
select is(pg_temp.sweep('1 minute', 3), '3 completed, 1 charged, 2 uncovered, 0 skipped', 'the next goes on');
select is(pg_temp.sweep('1 minute', 3), '2 completed, 2 charged, 0 uncovered, 0 skipped', 'until all are done');
select is(pg_temp.sweep('1 minute', 3), '0 completed, 0 charged, 0 uncovered, 0 skipped', 'and there is nothing more');
select is(string_agg(settlement, ' ' order by start_time), 'charged charged uncovered uncovered uncovered',
          'the earliest were paid')
  from public.bookings where purchase_id = tests.id('two');
select is(string_agg(settlement, ' ' order by start_time), 'charged charged charged', 'the others were not starved')
  from public.bookings where id in (tests.id('rich_1'), tests.id('rich_2'), tests.id('rich_3'));

-- Of one package together, so that a backlog locks and writes it once; the rest of the batch goes on by age.
select tests.make_package('weekly', 5);
select tests.make_booking('weekly_' || i, 'weekly', now() - make_interval(days => 16 - 5 * i)) from generate_series(1, 3) as i;
select tests.make_booking('between', 'rich', now() - interval '9 days');
select is(pg_temp.sweep('1 minute', 2), '2 completed, 2 charged, 0 uncovered, 0 skipped',
          'a package whose turn it is brings what else is over, up to the limit');
select is(string_agg(coalesce(settlement, '-'), ' ' order by start_time), 'charged - charged -', 'the earliest first')
  from public.bookings where id in (tests.id('weekly_1'), tests.id('weekly_2'), tests.id('weekly_3'), tests.id('between'));
select is(pg_temp.sweep('1 minute', 2), '2 completed, 2 charged, 0 uncovered, 0 skipped', 'the next batch takes the others');

-- The door.
select tests.as_service();
select tests.refuses(format('select * from service.sweep_overdue_bookings(%s)', n), 422, 'value_not_allowed',
                     format('not with a limit of %s', n))
  from unnest(array['0', '-1', '100001', 'null']) as n;
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
