-- client_cancellation: a client cancels in time, what is theirs, and nothing else; the organisation says what late means.
begin;
select plan(34);

select tests.make_package('pack', 10);
select tests.make_booking('in_time', 'pack', now() + interval '25 hours'),
  tests.make_booking('late', 'pack', now() + interval '23 hours'),
       tests.make_booking('late_bare', null, now() + interval '23 hours'),
       tests.make_booking('begun', 'pack', now() - interval '10 minutes'),
       tests.make_booking('over', 'pack', now() - interval '1 day', 'completed'),
       tests.make_booking('late_two', 'pack', now() + interval '22 hours'),
       tests.make_booking('by_coach', 'pack', now() + interval '2 hours'),
       tests.make_booking('portal', 'pack', now() + interval '3 hours'),
       tests.make_booking('held', 'pack', now() + interval '30 hours');
insert into public.clients (org_id, full_name) values (:'kilo', 'Another') returning id as another \gset
insert into public.bookings (org_id, client_id, start_time, end_time)
  values (:'kilo', :'another', now() + interval '3 days', now() + interval '73 hours') returning id as others \gset
select tests.remember('others', :'others');
create function pg_temp.cancel(p_booking text) returns text language sql as $$
  select format('update public.bookings set status = ''cancelled'', cancelled_at = now() where id = tests.id(%L)',
                p_booking);
$$;
create function pg_temp.stands(p_booking text) returns text language sql as $$
  select format('%s %s', status, coalesce(settlement, '-')) from public.bookings where id = tests.id(p_booking);
$$;
grant execute on function pg_temp.cancel(text), pg_temp.stands(text) to public;
create function pg_temp.policy(p_set text) returns void language plpgsql as $$
begin
  perform tests.as_owner();
  execute format('update public.booking_settings set %s where org_id = tests.id(''kilo'')', p_set);
  perform tests.sign_in('client@kilo.example');
end;
$$;
grant execute on function pg_temp.policy(text) to public;

select tests.sign_in('client@kilo.example');
select lives_ok(pg_temp.cancel('in_time'), 'a client cancels in time');
select is(pg_temp.stands('in_time'), 'cancelled -', 'which is free');
select is(cancelled_by, :'kilo_client_user'::uuid, 'and says who') from public.bookings where id = tests.id('in_time');

-- What is not theirs, and what a client does not do.
select tests.changes_nothing(pg_temp.cancel('others'), 'another client''s booking is not in sight');
select tests.changes_nothing(pg_temp.cancel('lima_booking'), 'nor is another organisation''s');
select tests.refuses(format('update public.bookings set %s where id = tests.id(''held'')', c), 403, 'column_protected',
                     format('a client does not write %s', c))
  from unnest(array['start_time = start_time - interval ''1 hour''', 'status = ''completed''',
                    'status = ''confirmed'', notes = ''mine''', 'notes = ''mine''',
                    'client_confirmed = true', 'status = ''no_show''', 'status = ''cancelled'', duration_mins = 5',
                    'status = ''pending''']) as c;
select tests.refuses($$ update public.bookings set status = 'confirmed' where id = tests.id('in_time') $$,
                     403, 'column_protected', 'nor reinstates what they cancelled');
select tests.refuses(pg_temp.cancel('over'), 409, 'booking_not_confirmed', 'nor cancels what was held');

-- Late, by the organisation's policy.
select tests.refuses(pg_temp.cancel('late'), 403, 'cancellation_too_late',
                     'inside the notice a cancellation is refused, unless the organisation says otherwise');
select tests.refuses(pg_temp.cancel('begun'), 403, 'cancellation_not_allowed', 'what has begun is not cancelled');
select pg_temp.policy('late_cancellation_policy = ''charge''');
select lives_ok(pg_temp.cancel('late'), 'with the policy charge it is taken');
select is(pg_temp.stands('late'), 'cancelled due', 'and owes its session');
select lives_ok(pg_temp.cancel('late_bare'), 'without a package too');
select is(pg_temp.stands('late_bare'), 'cancelled -', 'which owes nothing');
select tests.refuses(pg_temp.cancel('begun'), 403, 'cancellation_not_allowed', 'what has begun is still not cancelled');
select pg_temp.policy('late_cancellation_policy = ''free''');
select lives_ok(pg_temp.cancel('late_two'), 'with the policy free it is taken');
select is(pg_temp.stands('late_two'), 'cancelled -', 'and free');
select pg_temp.policy('cancel_notice_hours = 36, late_cancellation_policy = ''refuse''');
select tests.refuses(pg_temp.cancel('held'), 403, 'cancellation_too_late', 'a longer notice binds at once');
select pg_temp.policy('cancel_notice_hours = 0, allow_client_cancel = false');
select tests.refuses(pg_temp.cancel('held'), 403, 'cancellation_not_allowed',
                     'an organisation may let no client cancel');

-- The portal's server acts for a client, the coach for the business.
select tests.as_service();
select tests.refuses(pg_temp.cancel('portal'), 403, 'cancellation_not_allowed',
                     'the portal''s server is bound as a client is');
select tests.sign_in('coach@kilo.example');
select lives_ok(pg_temp.cancel('by_coach'), 'a coach cancels at any time');
select is(pg_temp.stands('by_coach'), 'cancelled -', 'which is free for the client');

-- What a late cancellation owes is settled by the sweep, after its two minutes.
select tests.as_service();
select service.sweep_overdue_bookings(p_now => now() + interval '1 minute');
select tests.as_owner();
select is(pg_temp.stands('late'), 'cancelled due', 'not at once');
select tests.as_service();
select service.sweep_overdue_bookings(p_now => now() + interval '3 minutes');
select tests.as_owner();
select is(pg_temp.stands('late'), 'cancelled charged', 'then it is charged, and stays cancelled');
select is(reason, 'late_cancellation', 'the ledger says why') from public.session_entries
  where booking_id = tests.id('late');
select is(pg_temp.stands('late_two'), 'cancelled -', 'the free one is never charged');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
