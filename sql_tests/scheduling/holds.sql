-- hold_slot, confirm_hold: a slot is kept for some minutes; in time it is booked, too late one is told so, and run out it is in nobody's way.
begin;
select plan(61);
select tests.open_studio();
select tests.make_package('single', 1);
create function pg_temp.held(p_name text, p_days integer, p_time time, p_client text default 'ann', p_minutes integer default null, p_type text default 'pt') returns text language sql as $$
  select case when h.answer ? 'hold_id' then (select h.answer ->> 'outcome' from (select tests.remember(p_name, (h.answer ->> 'hold_id')::uuid)) as r) else h.answer ->> 'outcome' end
    from (select hold_slot(tests.id('kilo'), tests.id(p_client), tests.at(p_days, p_time), tests.id(p_type), tests.id('staff'), p_minutes => p_minutes)) as h (answer) $$;
grant execute on function pg_temp.held(text, integer, time, text, integer, text) to public;
create function pg_temp.confirmed(p_hold text, p_package uuid default null) returns text language sql as $$
  select confirm_hold(tests.id('kilo'), tests.id(p_hold), p_package) ->> 'outcome' $$;
grant execute on function pg_temp.confirmed(text, uuid) to public;

select tests.sign_in('coach@kilo.example');
select hold_slot(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff')) as held \gset
select is(:'held'::jsonb - 'hold_id', jsonb_build_object('outcome', 'held', 'staff_id', tests.id('staff'), 'start_time', tests.at(8, '09:00'), 'end_time', tests.at(8, '10:00'),
                                                         'expires_at', now() + interval '10 minutes'), 'a start on offer is held, for hold_mins');
select tests.remember('hold', (:'held'::jsonb ->> 'hold_id')::uuid);
select is(pg_temp.held('x', 8, '09:30', 'ben'), 'taken', 'nobody else holds it');
select tests.refuses(t.call, 422, 'value_not_allowed', t.title) from (values
  ($$ select hold_slot(tests.id('kilo'), tests.id('ann'), null, tests.id('pt')) $$, 'a hold has a start'),
  ($$ select hold_slot(tests.id('kilo'), tests.id('ann'), 'infinity', tests.id('pt')) $$, 'one that comes'),
  ($$ select confirm_hold(tests.id('kilo'), tests.id('hold'), null, repeat('x', 20001)) $$, 'notes have an end')) as t (call, title);
select is(book(:'kilo', tests.id('ben'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff')) ->> 'outcome', 'taken', 'nor books it');
select tests.refuses($$ select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(8, '09:30')) $$, 409, 'slot_taken', 'nor writes over it');
select is((hold_slot(:'kilo', tests.id('ann'), tests.at(8, '08:00'), tests.id('pt'), tests.id('staff')) ->> 'outcome'), 'taken', 'what is not on offer is not held');
select is(jsonb_array_length(hold_slot(:'kilo', tests.id('ben'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff')) -> 'alternatives'), 5, 'alternatives are named');

select confirm_hold(:'kilo', tests.id('hold'), null, 'Knee') as booked \gset
select is(:'booked'::jsonb - 'booking_id', jsonb_build_object('outcome', 'booked', 'staff_id', tests.id('staff'), 'start_time', tests.at(8, '09:00'), 'end_time', tests.at(8, '10:00')),
          'confirmed, it is booked');
select is((client_id, session_type_id, session_type, status, notes, booked_by)::text, (tests.id('ann'), tests.id('pt'), 'pt', 'confirmed', 'Knee', tests.id('kilo_owner'))::text, 'for whom it was held')
  from public.bookings where id = (:'booked'::jsonb ->> 'booking_id')::uuid;
select is(confirm_hold(:'kilo', tests.id('hold')), :'booked'::jsonb, 'confirmed again it answers the same');
select is(count(*), 1::bigint, 'there is one booking') from public.bookings where client_id = tests.id('ann');
select tests.calendar_holds('the time is taken once');

-- Packages.
select tests.sign_in('coach@kilo.example');
select is(pg_temp.held('first', 9, '09:00', 'kilo_client'), 'held', 'two are held') union all select is(pg_temp.held('other', 9, '10:00', 'kilo_client'), 'held', 'for one client');
select is(pg_temp.confirmed('first', tests.id('single')), 'booked', 'a package pays');
select is(pg_temp.confirmed('other', tests.id('single')), 'package_exhausted', 'until it is exhausted');
select is(pg_temp.confirmed('other', :'kilo_package'), 'booked', 'the hold stands, and another pays');
select is(pg_temp.held('anns', 9, '11:00'), 'held', 'one for another client');
select tests.refuses($$ select confirm_hold(tests.id('kilo'), tests.id('anns'), tests.id('kilo_package')) $$, 404, 'purchase_not_found', 'is not paid by this one''s package');

-- Run out.
select is(pg_temp.held('late', 10, '09:00', 'ann', 5), 'held', 'a hold of five minutes');
select tests.as_owner();
select is(expires_at, now() + interval '5 minutes', 'lasts five minutes') from private.holds where id = tests.id('late');
select private.confirm_hold(:'kilo', tests.id('late'), tests.id('ann'), null, 'coach', 'trainer', null, null, now() + interval '5 minutes') as late \gset
select is(:'late'::jsonb ->> 'outcome', 'hold_expired', 'confirmed too late one is told so');
select ok(jsonb_array_length(:'late'::jsonb -> 'alternatives') > 0, 'with alternatives');
select is_empty($$ select from public.bookings where start_time = tests.at(10, '09:00') $$, 'and nothing is booked');
select is(private.book(:'kilo', tests.id('ben'), tests.id('pt'), tests.at(10, '09:00'), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null,
                       p_now => now() + interval '4 minutes') ->> 'outcome', 'taken', 'before that nobody books it');
select is(private.book(:'kilo', tests.id('ben'), tests.id('pt'), tests.at(10, '09:00'), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null,
                       p_now => now() + interval '6 minutes') ->> 'outcome', 'booked', 'afterwards anybody, swept or not');
select is(private.confirm_hold(:'kilo', tests.id('late'), tests.id('ann'), null, 'coach', 'trainer', null, null, now() + interval '6 minutes') ->> 'outcome', 'hold_expired', 'the hold has lost it');
select is(private.confirm_hold(:'kilo', tests.id('late'), tests.id('ann'), null, 'coach', 'trainer', null, null, now()) ->> 'outcome', 'hold_expired',
          'also on a clock that thinks it is in time');
update private.occupancies set expires_at = now() - interval '1 minute' where id = (select occupancy_id from private.holds where id = tests.id('anns'));
update private.holds set expires_at = now() - interval '1 minute' where id = tests.id('anns');
select tests.sign_in('coach@kilo.example');
select is(tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(9, '11:00')) is not null, true, 'a direct write passes a hold that has run out');
select is(pg_temp.confirmed('anns'), 'hold_expired', 'which is then gone');

-- Asked again, a hold is the client's own.
select tests.sign_in('coach@kilo.example');
select hold_slot(:'kilo', tests.id('ann'), tests.at(13, '09:00'), tests.id('pt'), tests.id('staff')) as mine \gset
select is(hold_slot(:'kilo', tests.id('ann'), tests.at(13, '09:00'), tests.id('pt'), tests.id('staff'), p_minutes => 30), :'mine'::jsonb, 'a second click is answered with the first one''s hold, no longer than it was');
select is(hold_slot(:'kilo', tests.id('ann'), tests.at(13, '09:00'), tests.id('pt')), :'mine'::jsonb, 'also when anyone would do');
select is(hold_slot(:'kilo', tests.id('ann'), tests.at(13, '09:00'), tests.id('pt'), tests.id('second')) ->> 'staff_id', tests.id('second')::text, 'with somebody else it is another');
select is(hold_slot(:'kilo', tests.id('ann'), tests.at(13, '09:00'), tests.id('pt'), tests.id('staff'), p_duration_mins => 30) ->> 'outcome', 'taken', 'of another length too');
select is(hold_slot(:'kilo', tests.id('ben'), tests.at(13, '09:00'), tests.id('pt'), tests.id('staff')) ->> 'outcome', 'taken', 'and for another client');
select tests.as_owner();
select is(count(*), 2::bigint, 'so there are two') from private.holds where start_time = tests.at(13, '09:00');

-- The sweep.
select tests.sign_in('coach@kilo.example');
select is(pg_temp.held('sweepable', 11, '09:00'), 'held', 'another');
select tests.as_service();
select is((expired, offered)::text, '(1,0)', 'a dry run counts') from service.sweep_expired_holds(p_now => now(), p_dry_run => true);
select is((expired, offered)::text, '(1,0)', 'and changes nothing: the sweep finds as many') from service.sweep_expired_holds(p_now => now() + interval '4 minutes');
select is((expired, offered)::text, '(0,0)', 'once') from service.sweep_expired_holds(p_now => now() + interval '4 minutes');
select is((expired, offered)::text, '(1,0)', 'what runs out later is later''s') from service.sweep_expired_holds(p_limit => 1, p_now => now() + interval '1 hour');
select tests.refuses($$ select * from service.sweep_expired_holds(p_limit => 0) $$, 422, 'value_not_allowed', 'a sweep of none is none');
select tests.calendar_holds('what is left agrees');

-- Refusals.
select tests.sign_in('coach@kilo.example');
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select confirm_hold(tests.id('kilo'), gen_random_uuid()) $$, 404, 'hold_not_found', 'an unknown hold does not exist'),
  ($$ select confirm_hold(tests.id('kilo'), null) $$, 404, 'hold_not_found', 'nor does none'),
  ($$ select hold_slot(tests.id('kilo'), tests.id('lima_client'), tests.at(12, '09:00')) $$, 404, 'client_not_found', 'nor another''s client')) as t (call, status, slug, title);
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select confirm_hold(tests.id('lima'), tests.id('hold')) $$, 404, 'hold_not_found', 'nor, for lima, kilo''s hold');
select tests.only_for_members($$ select hold_slot(tests.id('kilo'), tests.id('ann'), tests.at(12, '09:00')) $$, 'org_not_found', 'accountant@kilo.example', 'hold_slot');
select tests.only_for_members($$ select confirm_hold(tests.id('kilo'), tests.id('hold')) $$, 'org_not_found', 'accountant@kilo.example', 'confirm_hold');

select * from finish();
rollback;
