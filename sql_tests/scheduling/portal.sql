-- The portal: with the token of their link a client sees, books, moves and cancels what is theirs, and nothing else.
begin;
select plan(79);
select tests.open_studio();
select tests.remember('ann_token', gen_random_uuid());
update public.clients set portal_token = tests.id('ann_token') where id = tests.id('ann');
select tests.make_booking('anns', null, tests.at(9, '11:00'));
update public.bookings set client_id = tests.id('ann') where id = tests.id('anns');
create function pg_temp.t(p_name text default 'token') returns text language sql as $$ select tests.id(p_name)::text $$;
grant execute on function pg_temp.t(text) to public;

select tests.sign_out();
select portal_overview(pg_temp.t()) as page \gset
select is((:'page'::jsonb ->> 'client_id', :'page'::jsonb ->> 'org_name', :'page'::jsonb ->> 'timezone')::text, (:'kilo_client', 'Kilo', 'Australia/Brisbane')::text, 'the link opens the client''s page');
select is((p - 'offer_name' - 'expires_at' - 'session_duration_mins'), jsonb_build_object('id', tests.id('kilo_package'), 'offer_id', tests.id('kilo_offer'), 'sessions_total', 10, 'sessions_used', 0,
          'sessions_remaining', 10, 'bookable_remaining', 9), 'with what they have bought') from jsonb_array_elements(:'page'::jsonb -> 'active_purchases') as p;
select is(jsonb_array_length(:'page'::jsonb -> 'bookings'), 1, 'and what they have booked, nobody else''s');
select is((select array_agg(t ->> 'slug' order by t ->> 'slug') from jsonb_array_elements(:'page'::jsonb -> 'session_types') as t), '{class,pt}', 'and may book');
select ok(:'page' !~ 'ann@kilo.example|Ann', 'nothing of others');

select ok(portal_dates(pg_temp.t(), tests.id('pt')) -> 'dates' ? tests.day(8)::text, 'days that have a start are listed');
select ok(not portal_dates(pg_temp.t(), tests.id('pt')) -> 'dates' ? tests.day(61)::text, 'up to the horizon');
select portal_slots(pg_temp.t(), tests.day(9), tests.id('pt'), tests.id('staff')) as slots \gset
select is((:'slots'::jsonb ->> 'timezone', :'slots'::jsonb ->> 'durationMins', jsonb_array_length(:'slots'::jsonb -> 'slots'))::text, '(Australia/Brisbane,60,5)', 'and the starts of a day');
select is(:'slots'::jsonb #> '{slots,4}', jsonb_build_object('start', tests.at(9, '10:00'), 'end', tests.at(9, '11:00'), 'staff_id', tests.id('staff'), 'score', 1440, 'recommended', true),
          'recommended where they keep the day compact');
select is(count(*), 3::bigint, 'three at the most') from jsonb_array_elements(:'slots'::jsonb -> 'slots') as s where (s ->> 'recommended')::boolean;
select is(portal_slots(pg_temp.t(), tests.day(8), tests.id('pt'), p_duration_mins => 30) ->> 'durationMins', '30', 'of the length asked for');

-- Booking.
select portal_book(pg_temp.t(), tests.at(8, '09:00'), null, tests.id('pt'), tests.id('staff'), p_notes => 'Knee') as booked \gset
select is((:'booked'::jsonb ->> 'outcome', :'booked'::jsonb ->> 'staff_id')::text, ('booked', tests.id('staff'))::text, 'a start is booked');
select tests.remember('lesson', (:'booked'::jsonb ->> 'booking_id')::uuid);
select is(:'booked'::jsonb #>> '{event,uid}', tests.id('lesson') || '@coach-os', 'with its calendar event');
select tests.as_owner();
select is((client_id, purchase_id, booking_source, client_notes, notes, booked_by)::text, (:'kilo_client'::uuid, :'kilo_package'::uuid, 'client', 'Knee', null::text, null::uuid)::text, 'paid from their package')
  from public.bookings where id = tests.id('lesson');
select tests.sign_out();
select is(portal_book(pg_temp.t(), tests.at(8, '09:30'), null, tests.id('pt'), tests.id('staff')) ->> 'outcome', 'taken', 'what is taken is not');
select is(portal_book(pg_temp.t(), tests.at(8, '08:00'), null, tests.id('pt')) ->> 'outcome', 'unavailable', 'nor what is not on offer');
select is(portal_book(pg_temp.t('ann_token'), tests.at(8, '10:00'), null, tests.id('pt')) ->> 'outcome', 'package_exhausted', 'who has no package books nothing');
select tests.refuses($$ select portal_book(pg_temp.t('ann_token'), tests.at(8, '10:00'), tests.id('kilo_package')) $$, 404, 'purchase_not_found', 'nor on somebody else''s');
select tests.refuses($$ select portal_book(pg_temp.t(), tests.at(8, '10:00'), tests.id('lima_package')) $$, 404, 'purchase_not_found', 'nor another organisation''s');
select tests.remember('click', gen_random_uuid());
select portal_book(pg_temp.t(), tests.at(8, '10:00'), null, tests.id('pt'), p_request_id => tests.id('click')) as first \gset
select is(portal_book(pg_temp.t(), tests.at(8, '10:00'), null, tests.id('pt'), p_request_id => tests.id('click')), :'first'::jsonb, 'the same request books once');
select tests.as_owner();
select tests.make_package('short', 3, tests.at(20, '00:00'));
select tests.sign_out();
select portal_book(pg_temp.t(), tests.at(10, '09:00'), null, tests.id('pt'), tests.id('staff')) ->> 'booking_id' as cheap \gset
select portal_book(pg_temp.t(), tests.at(21, '09:00'), null, tests.id('pt'), tests.id('staff')) ->> 'booking_id' as dear \gset
select tests.as_owner();
select is(purchase_id, tests.id('short'), 'the package that expires first pays') from public.bookings where id = :'cheap';
select is(purchase_id, :'kilo_package', 'of those that are valid then') from public.bookings where id = :'dear';
update public.client_purchases set session_duration_mins = 45 where id = tests.id('short');
select tests.sign_out();
select is(portal_slots(pg_temp.t(), tests.day(11)) ->> 'durationMins', '45', 'the package that pays says how long when no type does');
select is((b ->> 'end_time')::timestamptz - (b ->> 'start_time')::timestamptz, interval '45 minutes', 'also when it is booked') from portal_book(pg_temp.t(), tests.at(11, '09:00')) as b;

-- Moving and cancelling.
select is(portal_reschedule(pg_temp.t(), tests.id('lesson'), tests.at(12, '09:00')) ->> 'outcome', 'rescheduled', 'a booking of theirs moves');
select is(portal_reschedule(pg_temp.t(), tests.id('lesson'), tests.at(12, '08:00')) ->> 'outcome', 'taken', 'to what is on offer');
select is(portal_reschedule(pg_temp.t(), tests.id('lesson'), tests.at(12, '09:15')) #>> '{event,sequence}', '2', 'and its calendar event with it');
select tests.refuses($$ select portal_reschedule(pg_temp.t('ann_token'), tests.id('lesson'), tests.at(12, '10:00')) $$, 404, 'booking_not_found', 'another client''s does not exist');
select tests.refuses($$ select portal_cancel(pg_temp.t('ann_token'), tests.id('lesson')) $$, 404, 'booking_not_found', 'nor to cancel it');
select tests.refuses($$ select portal_cancel(pg_temp.t(), tests.id('lima_booking')) $$, 404, 'booking_not_found', 'nor another organisation''s');
select is(portal_cancel(pg_temp.t(), tests.id('lesson')), '{"outcome": "cancelled", "settlement": null}', 'a booking of theirs is cancelled, free of charge');
select is(portal_cancel(pg_temp.t(), tests.id('lesson')), '{"outcome": "cancelled", "settlement": null}', 'again it answers the same');
select tests.refuses($$ select portal_reschedule(pg_temp.t(), tests.id('lesson'), tests.at(12, '10:00')) $$, 409, 'booking_not_confirmed', 'a cancelled one does not move');
select is(portal_overview(pg_temp.t()) #>> '{active_purchases,1,bookable_remaining}', '7', 'its session is free again');

-- Inside the notice.
select tests.as_owner();
select tests.make_booking('soon', 'kilo_package', now() + interval '3 hours'), tests.make_booking('done', 'kilo_package', now() - interval '5 hours');
select tests.sign_out();
select tests.refuses($$ select portal_cancel(pg_temp.t(), tests.id('soon')) $$, 403, 'cancellation_too_late', 'inside the notice it is too late');
select tests.refuses($$ select portal_reschedule(pg_temp.t(), tests.id('soon'), tests.at(13, '09:00')) $$, 403, 'cancellation_too_late', 'to move as well');
select tests.refuses($$ select portal_cancel(pg_temp.t(), tests.id('done')) $$, 403, 'cancellation_not_allowed', 'what has begun is not cancelled');
select tests.refuses($$ select portal_reschedule(pg_temp.t(), tests.id('done'), tests.at(13, '09:00')) $$, 409, 'booking_not_confirmed', 'nor moved');
select tests.as_owner();
update public.booking_settings set late_cancellation_policy = 'charge' where org_id = :'kilo';
select tests.sign_out();
select is(portal_cancel(pg_temp.t(), tests.id('soon')) ->> 'settlement', 'charged', 'where the organisation charges, the session is taken');
select tests.as_owner();
select tests.make_booking('early', 'kilo_package', tests.at(14, '09:00'));
select private.take_session(:'kilo', :'kilo_package', tests.id('early'), null, null);
update public.booking_settings set late_cancellation_policy = 'charge', cancel_notice_hours = 24 * 30 where org_id = :'kilo';
select tests.make_booking('early_late', 'kilo_package', tests.at(16, '09:00'));
select private.take_session(:'kilo', :'kilo_package', tests.id('early_late'), null, null);
select count(*) as entries from public.session_entries \gset
select tests.sign_out();
select is(portal_cancel(pg_temp.t(), tests.id('early_late')) ->> 'settlement', 'charged', 'inside the notice one taken early is charged as any other');
select tests.as_owner();
select is((status, settlement)::text, '(cancelled,charged)', 'it stays taken') from public.bookings where id = tests.id('early_late');
select is(count(*), :'entries'::bigint, 'and is taken once') from public.session_entries;
select tests.make_booking('early_free', 'kilo_package', tests.at(16, '10:00')), tests.make_booking('early_refused', 'kilo_package', tests.at(16, '11:00')),
       tests.make_booking('given_back', 'kilo_package', tests.at(17, '09:00'));
select private.take_session(:'kilo', :'kilo_package', tests.id(n), null, null) from unnest(array['early_free', 'early_refused', 'given_back']) as n;
select private.give_session_back(:'kilo', :'kilo_package', tests.id('given_back'), null, null);
select tests.sign_out();
select is(portal_cancel(pg_temp.t(), tests.id('given_back')) ->> 'settlement', 'waived', 'a session that was given back is not charged for');
select tests.as_owner();
update public.booking_settings set late_cancellation_policy = 'free' where org_id = :'kilo';
select tests.sign_out();
select is(portal_cancel(pg_temp.t(), tests.id('early_free')) ->> 'settlement', 'waived', 'where late is free it returns');
select tests.as_owner();
update public.booking_settings set late_cancellation_policy = 'refuse' where org_id = :'kilo';
select tests.sign_out();
select tests.refuses($$ select portal_cancel(pg_temp.t(), tests.id('early_refused')) $$, 403, 'cancellation_too_late', 'where late is refused it is refused');
select tests.as_owner();
select is((status, settlement)::text, '(confirmed,charged)', 'and stays as it was') from public.bookings where id = tests.id('early_refused');
update public.booking_settings set cancel_notice_hours = 24 where org_id = :'kilo';
select tests.sign_out();
select is(portal_cancel(pg_temp.t(), tests.id('early')) ->> 'settlement', 'waived', 'a session taken early returns when it is in time');
select tests.as_owner();
update public.booking_settings set allow_client_cancel = false where org_id = :'kilo';
select tests.make_booking('kept', 'kilo_package', tests.at(14, '09:00'));
select tests.sign_out();
select tests.refuses($$ select portal_cancel(pg_temp.t(), tests.id('kept')) $$, 403, 'cancellation_not_allowed', 'where clients do not cancel, they do not');
select tests.refuses($$ select portal_reschedule(pg_temp.t(), tests.id('kept'), tests.at(15, '09:00')) $$, 403, 'cancellation_not_allowed', 'nor move');

-- Waiting.
select is(portal_join_waitlist(pg_temp.t(), tests.day(14), tests.id('pt')) ->> 'outcome', 'waiting', 'a client waits for a day');
select is(portal_join_waitlist(pg_temp.t(), tests.day(14), tests.id('pt')), portal_join_waitlist(pg_temp.t(), tests.day(14), tests.id('pt')), 'once');
select tests.refuses($$ select portal_join_waitlist(pg_temp.t(), tests.day(-1)) $$, 422, 'value_not_allowed', 'that comes');
select tests.as_owner();
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'cancelled' where id = tests.id('kept');
select tests.sign_out();
select portal_overview(pg_temp.t()) #>> '{waitlist_offers,0,hold_id}' as offer \gset
select tests.remember('offer', :'offer');
select tests.refuses($$ select portal_book(pg_temp.t('ann_token'), p_hold_id => tests.id('offer'), p_purchase_id => tests.id('kilo_package')) $$, 404, 'purchase_not_found', 'an offer is for who waited');
select is(portal_book(pg_temp.t(), p_hold_id => tests.id('offer')) ->> 'outcome', 'booked', 'who takes it');
select is(portal_overview(pg_temp.t()) -> 'waitlist_offers', '[]', 'and then has it');
-- Two packages: one that ends before the day that is offered, and one with a single session.
select tests.as_owner();
insert into public.clients (org_id, full_name, portal_token) values (:'kilo', 'Cleo', gen_random_uuid())
returning tests.remember('cleo', id), tests.remember('cleo_token', portal_token);
insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents, sessions_total, payment_status, expires_at, source, session_duration_mins)
values (:'kilo', tests.id('cleo'), :'kilo_offer', 0, 5, 'succeeded', tests.at(3, '00:00'), 'import', 30),
       (:'kilo', tests.id('cleo'), :'kilo_offer', 0, 1, 'succeeded', null, 'import', 45);
insert into private.occupancies (org_id, staff_id, starts_at, ends_at, blocked, capacity, seats, expires_at)
values (:'kilo', tests.id('second'), tests.at(24, '09:00'), tests.at(24, '10:00'), tstzrange(tests.at(24, '09:00'), tests.at(24, '10:00')), 1, 1, now() + interval '1 hour')
returning id as occupied \gset
insert into private.holds (org_id, occupancy_id, client_id, staff_id, start_time, end_time, expires_at)
values (:'kilo', :'occupied', tests.id('cleo'), tests.id('second'), tests.at(24, '09:00'), tests.at(24, '10:00'), now() + interval '1 hour')
returning tests.remember('cleos', id);
select tests.sign_out();
select is(portal_slots(pg_temp.t('cleo_token'), tests.day(2)) ->> 'durationMins', '30', 'the package that pays on a day says how long')
union all select is(portal_slots(pg_temp.t('cleo_token'), tests.day(9)) ->> 'durationMins', '45', 'after its end the next');
select portal_book(pg_temp.t('cleo_token'), p_hold_id => tests.id('cleos')) as kept \gset
select is(:'kept'::jsonb ->> 'outcome', 'booked', 'a hold is paid by the package that is valid then');
select is(portal_book(pg_temp.t('cleo_token'), p_hold_id => tests.id('cleos')), :'kept'::jsonb, 'the second click answers the same, though the package is spent');

-- The answer that was lost is asked for again, also when that booking was the package's last; what pays is valid at the offer's start.
select tests.as_owner();
select tests.make_package('ends', 5, tests.at(30, '00:00')), tests.make_package('last', 1);
update public.bookings set purchase_id = null where status in ('pending', 'confirmed') and client_id = :'kilo_client' and settlement is null;
select private.freeze_package(:'kilo', p.id) from public.client_purchases as p
 where p.org_id = :'kilo' and p.client_id = :'kilo_client' and p.id not in (tests.id('ends'), tests.id('last')) and p.valid_during @> now();
select private.hold_slot(:'kilo', :'kilo_client', tests.id('pt'), tests.at(35, '09:00'), null, tests.id('staff'), null, 'coach') ->> 'hold_id' as far \gset
select tests.remember('far', :'far');
select tests.sign_out();
select portal_book(pg_temp.t(), p_hold_id => tests.id('far')) as far \gset
select is(:'far'::jsonb ->> 'outcome', 'booked', 'a hold is paid by a package that is valid at its start');
select is(portal_book(pg_temp.t(), p_hold_id => tests.id('far')), :'far'::jsonb, 'asked again it answers the same, though no session is left for another');
select is(portal_book(pg_temp.t(), tests.at(36, '09:00'), null, tests.id('pt')) ->> 'outcome', 'package_exhausted', 'which is so');

-- Closed.
select tests.as_owner();
update public.booking_settings set allow_client_booking = false where org_id = :'kilo';
select tests.sign_out();
select is(portal_dates(pg_temp.t()) ->> 'details', 'online_booking_off', 'where clients do not book, the days say so');
select is(current_setting('response.status'), '403', 'with the status');
select is(portal_slots(pg_temp.t(), tests.day(9)) -> 'slots', '[]', 'no start is on offer');
select is(portal_book(pg_temp.t(), tests.at(16, '09:00')) ->> 'details', 'online_booking_off', 'and none booked');

-- The link.
create function pg_temp.slugs(p_token text) returns text language sql as $$
  select concat_ws(' ', portal_overview(p_token) ->> 'details', portal_dates(p_token) ->> 'details', portal_slots(p_token, current_date) ->> 'details', portal_book(p_token, now()) ->> 'details',
                   portal_reschedule(p_token, tests.id('lesson'), now()) ->> 'details', portal_cancel(p_token, tests.id('lesson')) ->> 'details', portal_join_waitlist(p_token, current_date) ->> 'details', portal_leave_waitlist(p_token, gen_random_uuid()) ->> 'details') $$;
grant execute on function pg_temp.slugs(text) to public;
select is(pg_temp.slugs(gen_random_uuid()::text), repeat('link_not_found ', 7) || 'link_not_found', 'a link that nobody was given opens nothing');
select is(current_setting('response.status'), '404', 'and is not found');
select is(portal_overview(t.token) ->> 'details', 'link_not_found', t.title)
  from (values (null, 'nor does none'), ('', 'nor an empty one'), ('x''; drop table clients; --', 'nor nonsense'), (repeat('-', 36), 'nor what only looks like one'),
               (replace(tests.id('token')::text, '-', ''), 'nor one written otherwise')) as t (token, title);
select is(portal_overview(upper(pg_temp.t())) ->> 'client_id', :'kilo_client', 'upper case is the same link');
select tests.sign_in('coach@kilo.example');
update public.clients set portal_token = gen_random_uuid() where id = :'kilo_client';
select tests.sign_out();
select is(portal_overview(pg_temp.t()) ->> 'details', 'link_not_found', 'a link that was replaced between two calls opens nothing any more');
select is(portal_cancel(pg_temp.t(), :'cheap') ->> 'details', 'link_not_found', 'and cancels nothing');
select tests.as_owner();
update public.clients set portal_token = null where id = tests.id('ann');
select tests.sign_out();
select is(portal_overview(pg_temp.t('ann_token')) ->> 'details', 'link_not_found', 'nor one that was taken back');
select tests.ledger_holds('the counters equal the ledger');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
