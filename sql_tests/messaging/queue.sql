-- Queueing: one intent is one message; our functions tell what they do, the existing app tells by itself.
begin;
select plan(27);
select tests.open_messaging();
select ok(tests.queue('once') is not null, 'an intent becomes a message');
select is(private.queue_message(:'kilo', 'sms', 'direct', tests.id('ann'), 'once'), null, 'the same intent is no second one');
select isnt(private.queue_message(:'lima', 'sms', 'direct', :'lima_client', 'once'), null, 'another organisation''s is its own');
select is((status, priority)::text, '(queued,0)', 'wanted now it is queued') from public.outbox_messages where id = tests.id('once');
select tests.queue('later', p_at => now() + interval '1 hour');
select is(status, 'pending', 'wanted later it is pending') from public.outbox_messages where id = tests.id('later');
delete from public.outbox_messages;

-- What is told of a booking: (channel kind) of what was queued since.
create function pg_temp.told() returns text language plpgsql security definer as $$
declare v_told text;
begin
  select string_agg(m.channel || ' ' || m.kind || case when m.status = 'cancelled' then ' ' || m.error_code else '' end, ', ' order by m.kind, m.channel desc) into v_told from public.outbox_messages as m;
  delete from public.outbox_messages where status = 'cancelled';
  return coalesce(v_told, '');
end $$;
create function pg_temp.clear() returns void language sql security definer as $$ delete from public.outbox_messages $$;
grant execute on function pg_temp.told(), pg_temp.clear() to public;
create function pg_temp.noticed() returns text language sql security definer as $$
  select coalesce(string_agg((private.compose(m)).body, ', '), '') from public.outbox_messages as m where m.kind = 'coach_notice' $$;
create function pg_temp.when(p_days integer, p_time time) returns text language sql security definer as $$ select private.org_datetime_text(tests.id('kilo'), tests.at(p_days, p_time)) $$;
grant execute on function pg_temp.noticed(), pg_temp.when(integer, time) to public;
select tests.sign_in('coach@kilo.example');
select tests.remember('made', (book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff')) ->> 'booking_id')::uuid);
select is(pg_temp.told(), 'sms booking_confirmation, email booking_confirmation', 'a coach books: the client is told by SMS and email');
select reschedule_booking(tests.id('made'), tests.at(8, '10:00'));
select is(pg_temp.told(), 'sms booking_confirmation booking_moved, email booking_confirmation booking_moved, sms booking_rescheduled, email booking_rescheduled',
          'moves it: what waits goes, and the client is told of the move');
select cancel_booking(tests.id('made'));
select is(pg_temp.told(), 'sms booking_cancelled, email booking_cancelled, sms booking_rescheduled booking_cancelled, email booking_rescheduled booking_cancelled', 'cancels it: the same');
select cancel_booking(tests.id('made'));
select is(pg_temp.told(), 'sms booking_cancelled, email booking_cancelled', 'once more tells nothing more');
select pg_temp.clear();
select is(book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff'), p_request_id => :'kilo') ->> 'outcome', 'booked', 'a request books');
select book(:'kilo', tests.id('ann'), tests.at(8, '09:00'), tests.id('pt'), tests.id('staff'), p_request_id => :'kilo');
select is(pg_temp.told(), 'sms booking_confirmation, email booking_confirmation', 'repeated it tells once');
select pg_temp.clear();

-- The existing app, by its own writes.
select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(15, '09:00')) as app \gset
select is(pg_temp.told(), '', 'the app''s own insert tells nothing: it sends its own text');
select tests.as_owner();
select tests.remember('app', :'app');
select tests.queue('waits', 'booking_reminder', p_booking => 'app', p_at => now() + interval '1 day', p_metadata => jsonb_build_object('start_time', tests.at(15, '09:00')));
select tests.sign_in('coach@kilo.example');
update bookings set notes = 'bring shoes' where id = :'app';
select is(pg_temp.told(), 'sms booking_reminder', 'another change leaves what waits');
update bookings set start_time = start_time + interval '1 hour', end_time = end_time + interval '1 hour' where id = :'app';
select is(pg_temp.told(), 'sms booking_reminder booking_moved', 'its own move tells nothing, and what waited for the old time goes');
select tests.as_owner();
select ok(private.queue_message(:'kilo', 'sms', 'booking_reminder', tests.id('ann'), 'waits', :'app') is not null, 'whose intent is free again: it may be moved back');
select tests.sign_in('coach@kilo.example');
update bookings set status = 'cancelled', cancelled_at = now() where id = :'app';
select is(pg_temp.told(), 'sms booking_reminder booking_cancelled', 'its own cancellation the same');
select tests.as_owner();
select tests.book('kilo', 'kilo_client', 'kilo_package', tests.at(16, '09:00')) as owners \gset
select is(pg_temp.told(), '', 'nor does the owner''s import tell anybody');

-- Where the organisation does not want it.
select tests.as_owner();
update public.booking_settings set send_confirmation_email = false where org_id = :'kilo';
select tests.sign_in('coach@kilo.example');
select book(:'kilo', tests.id('ann'), tests.at(9, '09:00'), tests.id('pt'), tests.id('staff'));
select is(pg_temp.told(), 'sms booking_confirmation', 'no emails: an SMS alone');
select pg_temp.clear();
update sms_settings set enabled = false where org_id = :'kilo';
select book(:'kilo', tests.id('ann'), tests.at(9, '10:00'), tests.id('pt'), tests.id('staff'));
select is(pg_temp.told(), '', 'nor SMS: nothing');
update sms_settings set enabled = true, send_booking_confirmations = false where org_id = :'kilo';
select book(:'kilo', tests.id('ann'), tests.at(9, '11:00'), tests.id('pt'), tests.id('staff'));
select is(pg_temp.told(), '', 'no confirmations: nothing either');
update sms_settings set send_booking_confirmations = true where org_id = :'kilo';
select tests.as_owner();
update public.booking_settings set send_confirmation_email = true, notify_phone = '0400 000 009' where org_id = :'kilo';
update public.clients set email_opt_in = false where id = tests.id('ben');
select tests.sign_in('coach@kilo.example');
select book(:'kilo', tests.id('ben'), tests.at(10, '09:00'), tests.id('pt'), tests.id('staff'));
select is(pg_temp.told(), 'sms booking_confirmation', 'a client who wants no email gets none; the coach is not told of their own doing');
select pg_temp.clear();

-- A client's own doing is told to the coach, too.
select tests.sign_out();
select tests.remember('theirs', (portal_book(tests.id('token')::text, tests.at(11, '09:00'), null, tests.id('pt'), tests.id('staff')) ->> 'booking_id')::uuid);
select is(pg_temp.noticed(), 'Client of Kilo: booked. ' || pg_temp.when(11, '09:00'), 'a client books: the coach is told');
select pg_temp.clear();
select portal_reschedule(tests.id('token')::text, tests.id('theirs'), tests.at(11, '10:00'));
select is(pg_temp.noticed(), 'Client of Kilo: moved. ' || pg_temp.when(11, '10:00'), 'moves it: the same');
select pg_temp.clear();
select portal_cancel(tests.id('token')::text, tests.id('theirs'));
select is(pg_temp.noticed(), 'Client of Kilo: cancelled. ' || pg_temp.when(11, '10:00'), 'cancels it: the same');
select pg_temp.clear();
select tests.sign_in('coach@kilo.example');
select tests.remember('ours', (book(:'kilo', :'kilo_client', tests.at(12, '09:00'), tests.id('pt'), tests.id('staff')) ->> 'booking_id')::uuid);
select is(pg_temp.noticed(), '', 'a coach books it: they know');
select pg_temp.clear();
select tests.sign_out();
select portal_cancel(tests.id('token')::text, tests.id('ours'));
select is(pg_temp.noticed(), 'Client of Kilo: cancelled. ' || pg_temp.when(12, '09:00'), 'and the client cancels it: the coach is told');
select tests.as_owner();
select is(to_address, '+61400000009', 'at their own phone') from public.outbox_messages where kind = 'coach_notice';
select * from finish();
rollback;
