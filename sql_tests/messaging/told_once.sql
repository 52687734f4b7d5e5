-- Told once: few sessions left, a time that is free, a series that changed; each is one message, however many rows it touched.
begin;
select plan(28);
select tests.open_messaging();
update public.booking_settings set waitlist_offer_mins = 30, send_confirmation_email = false where org_id = :'kilo';
create function pg_temp.told() returns text language plpgsql security definer as $$
declare v_told text := (select string_agg(m.kind, ' ' order by m.kind) from public.outbox_messages as m where m.status in ('pending', 'queued'));
begin
  return coalesce(v_told, '');
end $$;
create function pg_temp.text(p_kind text) returns text language sql security definer set search_path = '' as $$
  select (private.compose(m)).body from public.outbox_messages as m where m.kind = p_kind and m.status in ('pending', 'queued') $$;
create function pg_temp.time(p_at timestamptz) returns text language sql security definer set search_path = '' as $$ select private.org_datetime_text(tests.id('kilo'), p_at) $$;
create function pg_temp.clear() returns void language sql security definer as $$ delete from public.outbox_messages $$;
grant execute on function pg_temp.told(), pg_temp.text(text), pg_temp.time(timestamptz), pg_temp.clear() to public;

-- Few sessions left.
select tests.make_package('pack', 4);
select tests.sign_in('coach@kilo.example');
select use_session(tests.id('pack'), null, gen_random_uuid()), use_session(tests.id('pack'), null, gen_random_uuid());
select is(pg_temp.told(), '', 'by default nobody is told');
update sms_settings set low_package_sessions = 1 where org_id = :'kilo';
select use_session(tests.id('pack'), null, gen_random_uuid());
select is(pg_temp.told(), 'low_package', 'one left: the client is told');
select matches(pg_temp.text('low_package'), '^Hi Client, 11 sessions left', 'of all they have');
select use_session(tests.id('pack'), null, gen_random_uuid()), release_session(tests.id('pack'), p_request_id => gen_random_uuid()), use_session(tests.id('pack'), null, gen_random_uuid());
select is(pg_temp.told(), 'low_package', 'once for a package, whatever follows');
select tests.as_owner();
select pg_temp.clear();
select tests.make_package('pack2', 2);
update public.sms_settings set enabled = false where org_id = :'kilo';
select tests.sign_in('coach@kilo.example');
select use_session(tests.id('pack2'), null, gen_random_uuid());
select is(pg_temp.told(), '', 'where messages are off nobody is');
update sms_settings set enabled = true where org_id = :'kilo';

-- A time that is free.
select tests.remember('taken', (book(:'kilo', :'kilo_client', tests.at(8, '10:00'), tests.id('pt'), tests.id('staff')) ->> 'booking_id')::uuid);
select book(:'kilo', :'kilo_client', tests.at(8, '09:00'), tests.id('pt'), tests.id('staff')), book(:'kilo', :'kilo_client', tests.at(8, '11:00'), tests.id('pt'), tests.id('staff'));
select join_waitlist(:'kilo', tests.id('ann'), tests.day(8), tests.id('pt'), p_start_time => tests.at(8, '10:00'));
select pg_temp.clear();
select cancel_booking(tests.id('taken'));
select is(pg_temp.told(), 'booking_cancelled waitlist_offer', 'a cancellation: who waits is told');
select is(pg_temp.text('waitlist_offer'), format('Hi Ann, a time you waited for is free: %s. It is held for you until %s.', pg_temp.time(tests.at(8, '10:00')), pg_temp.time(now() + interval '30 minutes')),
          'of which time, and until when it is theirs');
select tests.as_owner();
select is((client_id, expires_at)::text, (tests.id('ann'), now() + interval '30 minutes')::text, 'for as long as it is held') from public.outbox_messages where kind = 'waitlist_offer';
update public.session_types set name = 'Reformer' where id = tests.id('pt');
insert into public.sms_templates (org_id, template_key, name, body) values (:'kilo', 'waitlist_offer', 'Ours', '{session_type} is free');
select is(pg_temp.text('waitlist_offer'), 'Reformer is free', 'of which type');
select pg_temp.clear();

-- A series.
select tests.sign_in('coach@kilo.example');
select book_series(:'kilo', tests.id('ann'), tests.day(15), '09:00', 1, 3, tests.id('pt'), tests.id('staff')) ->> 'series_id' as id \gset
select tests.remember('series', :'id');
select is(pg_temp.told(), 'series_booked', 'three dates are booked: one message');
select is(pg_temp.text('series_booked'), format('Hi Ann, 3 sessions with Kilo are booked, the first for %s. Kilo', pg_temp.time(tests.at(15, '09:00'))), 'how many, and the first');
select pg_temp.clear();
select is(move_series(tests.id('series'), tests.day(15), 1, '10:00') ->> 'outcome', 'moved', 'the series moves a day on');
select is(pg_temp.told(), 'series_moved', 'one message');
select is(pg_temp.text('series_moved'), format('Hi Ann, your sessions with Kilo have moved; the next is on %s. Kilo', pg_temp.time(tests.at(16, '10:00'))), 'of its next date, not the last');
select is(current_setting('coach.changes_series'), '', 'then it is over');
select pg_temp.clear();
select tests.as_owner();
select tests.remember('one', id) from public.bookings where series_id = tests.id('series') and start_time = tests.at(23, '10:00');
select tests.sign_in('coach@kilo.example');
select reschedule_booking(tests.id('one'), tests.at(23, '11:00'));
select is(pg_temp.told(), 'booking_rescheduled', 'one of its dates moves: that is told as one');
select cancel_booking(tests.id('one'));
select is(pg_temp.told(), 'booking_cancelled', 'or is cancelled');
select pg_temp.clear();
-- A clash undoes the whole move.
select book(:'kilo', tests.id('ben'), tests.at(17, '09:00'), tests.id('pt'), tests.id('staff'));
select pg_temp.clear();
select is(move_series(tests.id('series'), tests.day(15), 1, '09:00') ->> 'outcome', 'clashes', 'a move that clashes');
select is(pg_temp.told(), '', 'tells nobody');
select is(current_setting('coach.changes_series'), '', 'and is over, too');
select cancel_booking(id) from bookings where client_id = tests.id('ben') and start_time = tests.at(17, '09:00');
select is(pg_temp.told(), 'booking_cancelled', 'what follows is told as what it is');
select pg_temp.clear();
select is(end_series(tests.id('series'), tests.day(15)), 2, 'the series ends');
select is(pg_temp.told(), 'series_ended', 'one message');
select is(pg_temp.text('series_ended'), format('Hi Ann, your sessions with Kilo from %s on are cancelled. Kilo', pg_temp.time(tests.at(16, '10:00'))), 'from which date on');
select is(current_setting('coach.changes_series'), '', 'then it is over');

-- What waits when the series ends is not sent.
select tests.as_owner();
select pg_temp.clear();
select tests.sign_in('coach@kilo.example');
select book_series(:'kilo', tests.id('ann'), tests.day(30), '09:00', 1, 2, tests.id('pt'), tests.id('staff')) ->> 'series_id' as id \gset
select tests.remember('short', :'id');
select end_series(tests.id('short'), tests.day(15));
select is(pg_temp.told(), 'series_booked series_ended', 'booked and ended before anything left');
select tests.as_owner();
select is((select string_agg(kind, ' ') from service.claim_messages('w', p_now => now())), 'series_ended', 'the client is told of its end alone');
select is((status, error_code)::text, '(cancelled,booking_cancelled)', 'the rest is cancelled') from public.outbox_messages where kind = 'series_booked';
select * from finish();
rollback;
