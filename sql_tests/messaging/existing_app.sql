-- What the existing edge functions call with the secret key queues into the same outbox, under the same intents, once.
begin;
select plan(31);
select tests.open_studio();
insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end) values (:'kilo', 0, 0);
insert into public.sms_schedules (org_id, type, label, mins_offset, body) values (:'kilo', 'pre_session', 'A day before', 1440, 'See you {session_datetime}') returning id as before \gset
insert into public.sms_schedules (org_id, type, label, mins_offset, body) values (:'kilo', 'post_session', 'After', 60, 'How was it?') returning id as after \gset
update public.clients set phone = '0400 111 222', sms_opt_in = false where org_id = :'kilo' and id = tests.id('ann');
select tests.make_booking('soon', null, tests.at(1, '10:00'));
update public.bookings set timed_at = now() - interval '7 days' where id = tests.id('soon');
delete from public.bookings where id = :'kilo_booking';

select tests.as_service();
select insert_sms_direct(:'kilo', :'kilo_client', ' See you tomorrow ', tests.at(0, '10:00'), 'booking', tests.id('soon'), 'sched-' || :'before' || '-' || tests.id('soon')) as first \gset
select isnt(nullif(:'first', '')::uuid, null, 'the reminder is queued');
select is(insert_sms_direct(:'kilo', :'kilo_client', 'See you tomorrow', now(), 'booking', tests.id('soon'), 'sched-' || :'before' || '-' || tests.id('soon')), null, 'the same key is answered with null');
select tests.as_owner();
select is((kind, booking_id, schedule_id, body, related_entity_type, related_entity_id, expires_at)::text,
          ('booking_reminder', tests.id('soon'), :'before'::uuid, 'See you tomorrow', 'booking', tests.id('soon'), tests.at(1, '10:00'))::text, 'as the reminder that it is') from public.outbox_messages where id = :'first';
select is((select queued from service.sweep_reminders(100, tests.at(0, '11:00'))), 0, 'the sweep does not queue it again');
update public.bookings set start_time = start_time + interval '2 days', end_time = end_time + interval '2 days' where id = tests.id('soon');
select is((select status || ' ' || error_code from public.outbox_messages where id = :'first'), 'cancelled booking_moved', 'a booking that moves takes it away');
select tests.as_service();
select isnt(insert_sms_direct(:'kilo', :'kilo_client', 'See you', tests.at(2, '10:00'), 'booking', tests.id('soon'), 'sched-' || :'before' || '-' || tests.id('soon')), null, 'the new time is another intent');
select isnt(insert_sms_direct(:'kilo', :'kilo_client', 'Please confirm', now(), 'booking', tests.id('soon'), 'unconfirmed-24h-' || tests.id('soon')), null, 'so is the nudge');
select isnt(insert_sms_direct(:'kilo', :'kilo_client', 'How was it?', tests.at(3, '12:00'), 'booking', tests.id('soon'), 'sched-' || :'after' || '-' || tests.id('soon')), null, 'and the follow-up');
select is((select string_agg(m.kind || ' ' || m.status, ', ' order by m.kind) from public.outbox_messages as m where m.status <> 'cancelled'), 'booking_follow_up pending, booking_reminder pending, confirmation_nudge queued', 'each by its kind');
select isnt(insert_sms_direct(p_org_id => :'kilo', p_client_id => :'kilo_client', p_body => 'Just so', p_scheduled_for => now(), p_related_entity_type => null, p_related_entity_id => null, p_idempotency_key => null), null, 'without a key each call is a message');

select is(insert_sms_direct(t.org, t.client, t.body), null, t.title) from (values
  (:'kilo'::uuid, tests.id('ben'), 'Hi', 'who has no phone gets null'), (:'kilo', tests.id('ann'), 'Hi', 'who opted out gets null'), (:'kilo', :'lima_client', 'Hi', 'another organisation''s client gets null'),
  (:'kilo', gen_random_uuid(), 'Hi', 'nobody gets null'), (:'kilo', :'kilo_client', '  ', 'no text is null'), (:'kilo', :'kilo_client', null, 'nor nothing'), (gen_random_uuid(), :'kilo_client', 'Hi', 'nor from nowhere')) as t (org, client, body, title);
select tests.as_owner();
insert into public.sms_suppression (org_id, phone, reason) values (:'kilo', '+61400000000', 'opt_out');
select tests.as_service();
select is(insert_sms_direct(:'kilo', :'kilo_client', 'Hi'), null, 'nor to a suppressed number');
select is(is_phone_suppressed(:'kilo', t.phone), t.wanted, format('%s', t.title)) from (values ('+61400000000', true, 'which is suppressed'), ('0400 000 000', true, 'however it is written'), ('+61400000001', false, 'another is not'), (null, false, 'nor is none')) as t (phone, wanted, title);
select is(is_phone_suppressed(:'lima', '+61400000000'), false, 'nor that of another organisation');

select is(render_sms_template('Hi {client_name}, {{ session_datetime }} {nothing}!', '{"client_name": "{session_datetime}", "session_datetime": "Tue at 9"}'), 'Hi {session_datetime}, Tue at 9 !', 'a template is rendered once over');
select tests.as_owner();
update public.outbox_messages set next_at = now() - interval '1 minute' where kind = 'booking_follow_up';
select tests.as_service();
select is(queue_pending_sms(), 1, 'what is due is marked as queued');
select is(queue_pending_sms(), 0, 'once');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select insert_sms_direct(tests.id('kilo'), tests.id('kilo_client'), 'Hi') $$, 'a coach calls send_message instead');
select tests.forbids($$ select queue_pending_sms() $$, 'and queues nothing');
select tests.forbids($$ select is_phone_suppressed(tests.id('kilo'), '+61400000000') $$, 'and asks for no number');
select tests.forbids($$ select render_sms_template('', '{}') $$, 'and renders nothing');
select tests.sign_out();
select tests.forbids($$ select insert_sms_direct(tests.id('kilo'), tests.id('kilo_client'), 'Hi') $$, 'nor does a visitor');

select * from finish();
rollback;
