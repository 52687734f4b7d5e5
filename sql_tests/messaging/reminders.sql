-- sweep_reminders: what the organisation's schedules ask for, a day ahead; none stale, none twice, none that is switched off.
begin;
select plan(43);
select tests.open_messaging();
delete from public.bookings;
update public.clients set sms_reminder_enabled = true;
insert into public.sms_schedules (org_id, type, label, mins_offset, body) values
  (:'kilo', 'pre_session', 'An hour before', 60, 'Soon: {session_datetime}'), (:'kilo', 'post_session', 'After', 90, 'How was {session_datetime}?');
insert into public.sms_schedules (org_id, type, label, mins_offset, body, enabled) values (:'kilo', 'pre_session', 'Off', 120, 'Off', false);
create function pg_temp.sweep(p_now timestamptz, p_dry_run boolean default false) returns text language sql as $$
  select (r.queued, r.skipped)::text from service.sweep_reminders(1000, p_now, p_dry_run) as r $$;
create function pg_temp.add(p_name text, p_start timestamptz, p_made timestamptz default now() - interval '7 days') returns void language plpgsql as $$
declare v_id uuid := tests.make_booking(p_name, null, p_start);
begin
  update public.bookings set timed_at = p_made, client_id = tests.id('ann') where id = v_id;
end $$;
-- The messages about a booking, as (kind day-less local time status).
create function pg_temp.of(p_booking text) returns text language sql as $$
  select coalesce(string_agg(m.kind || ' ' || to_char(m.scheduled_for at time zone 'Australia/Brisbane', 'HH24:MI') || ' ' || m.status, ', ' order by m.created_at, m.kind, m.status), '')
    from public.outbox_messages as m where m.booking_id = tests.id(p_booking) $$;

select pg_temp.add('noon', tests.at(3, '12:00'));
select is(pg_temp.sweep(tests.at(2, '10:59')), '(0,0)', 'more than a day before a reminder is wanted nothing is queued');
select is(pg_temp.sweep(tests.at(2, '11:01'), true), '(1,0)', 'a dry run says what would be');
select is(pg_temp.of('noon'), '', 'and queues nothing');
select is(pg_temp.sweep(tests.at(2, '11:01')), '(1,0)', 'within a day it is queued');
select is(pg_temp.of('noon'), 'booking_reminder 11:00 pending', 'for its time');
select is(pg_temp.sweep(tests.at(2, '11:02')), '(0,0)', 'once');
select is((next_at, expires_at)::text, (tests.at(3, '11:00'), tests.at(3, '11:30'))::text, 'of use until half an hour before the start') from public.outbox_messages;
select is((private.compose(m)).body, 'Soon: ' || private.org_datetime_text(:'kilo', tests.at(3, '12:00')), 'in the schedule''s words') from public.outbox_messages as m;

-- Moved, and moved back.
update public.bookings set start_time = tests.at(3, '14:00'), end_time = tests.at(3, '15:00') where id = tests.id('noon');
select is(pg_temp.of('noon'), 'booking_reminder 11:00 cancelled', 'moved, the old one goes');
update public.bookings set timed_at = now() - interval '1 day' where id = tests.id('noon');
select is(pg_temp.sweep(tests.at(2, '14:00')), '(1,0)', 'a new one is queued');
select is(pg_temp.of('noon'), 'booking_reminder 11:00 cancelled, booking_reminder 13:00 pending', 'for the new time');
update public.bookings set start_time = tests.at(3, '12:00'), end_time = tests.at(3, '13:00') where id = tests.id('noon');
update public.bookings set timed_at = now() - interval '1 day' where id = tests.id('noon');
select is(pg_temp.sweep(tests.at(2, '15:00')), '(1,0)', 'moved back, the first time has its reminder again');
select is(array_agg(status order by status), '{cancelled,cancelled,pending}', 'and only that waits') from public.outbox_messages;
update public.bookings set status = 'cancelled' where id = tests.id('noon');
select is((pg_temp.sweep(tests.at(2, '15:00')), (select count(*) from public.outbox_messages where status <> 'cancelled'))::text, '("(0,0)",0)', 'cancelled, nothing waits and nothing is queued');

-- Inside the window.
delete from public.outbox_messages;
select pg_temp.add('inside', tests.at(5, '12:00'), tests.at(5, '11:10')), pg_temp.add('before', tests.at(5, '16:00'), tests.at(5, '11:10'));
select is(pg_temp.sweep(tests.at(5, '11:11')), '(1,0)', 'booked inside the window: no stale reminder');
select is(pg_temp.of('before'), 'booking_reminder 15:00 pending', 'one that is yet to come is queued');

-- Switches.
delete from public.outbox_messages;
update public.bookings set timed_at = now() - interval '1 day' where id = tests.id('inside');
update public.clients set sms_reminder_enabled = false where id = tests.id('ann');
select is(pg_temp.sweep(tests.at(5, '09:00')), '(0,0)', 'a client without reminders gets none');
update public.clients set sms_reminder_enabled = true where id = tests.id('ann');
update public.sms_settings set send_session_reminders = false where org_id = :'kilo';
select is(pg_temp.sweep(tests.at(5, '09:00')), '(0,0)', 'nor does anybody where the organisation sends none');
update public.sms_settings set send_session_reminders = true, enabled = false where org_id = :'kilo';
select is(pg_temp.sweep(tests.at(5, '09:00')), '(0,0)', 'nor where messages are off');
update public.sms_settings set enabled = true where org_id = :'kilo';
select is(pg_temp.sweep(tests.at(5, '09:00')), '(2,0)', 'all on: they do');
update public.clients set sms_reminder_enabled = false where id = tests.id('ann');
select is((tests.claim(tests.at(5, '11:05')), pg_temp.of('inside'))::text, '("","booking_reminder 11:00 cancelled")', 'switched off meanwhile it is not sent');
update public.clients set sms_reminder_enabled = true where id = tests.id('ann');

-- A schedule that changes.
update public.sms_schedules set mins_offset = 30 where label = 'An hour before';
select is(pg_temp.of('before'), 'booking_reminder 15:00 cancelled', 'its offset changes: the old time''s goes');
select is(pg_temp.sweep(tests.at(5, '11:20')), '(2,0)', 'the new time''s comes');
select matches(pg_temp.of('before'), 'booking_reminder 15:30 pending', 'at the new time');
update public.sms_schedules set enabled = false where label = 'An hour before';
select is(count(*), 0::bigint, 'switched off, nothing of it waits') from public.outbox_messages where status = 'pending';
update public.sms_schedules set enabled = true where label = 'An hour before';
select is(pg_temp.sweep(tests.at(5, '11:21')), '(2,0)', 'on again, it comes again');
delete from public.sms_schedules where label = 'An hour before';
select is(count(*), 0::bigint, 'deleted, nothing of it waits') from public.outbox_messages where status = 'pending';

-- Early sessions and quiet hours.
delete from public.outbox_messages;
delete from public.bookings;
update public.sms_settings set quiet_hours_start = 21, quiet_hours_end = 8 where org_id = :'kilo';
insert into public.sms_schedules (org_id, type, label, mins_offset, body) values (:'kilo', 'pre_session', 'An hour before', 60, 'Soon: {session_datetime}');
select pg_temp.add('dawn', tests.at(9, '06:30'));
select is(pg_temp.sweep(tests.at(8, '05:31')), '(1,0)', 'an early session''s is queued in the night before');
select is(next_at, tests.at(8, '20:30'), 'to leave before the quiet hours begin') from public.outbox_messages;
select is((tests.claim(tests.at(8, '20:29')), (select count(*) from service.claim_messages('w', p_now => tests.at(8, '20:30'))))::text, '("",1)', 'as it does');

-- Follow-ups.
delete from public.outbox_messages;
update public.sms_settings set quiet_hours_start = null where org_id = :'kilo';
select pg_temp.add('done', tests.at(10, '12:00'));
select is(pg_temp.sweep(tests.at(10, '12:59')), '(0,0)', 'before the end nothing is asked');
select is(pg_temp.sweep(tests.at(10, '13:00')), '(1,0)', 'at the end the follow-up is queued');
select is(pg_temp.of('done'), 'booking_follow_up 14:30 pending', 'for its time after the end');
update public.bookings set status = 'completed' where id = tests.id('done');
select is(pg_temp.of('done'), 'booking_follow_up 14:30 pending', 'completed, it stays');
select pg_temp.add('missed', tests.at(11, '12:00'));
select is(pg_temp.sweep(tests.at(11, '13:00')), '(1,0)', 'of a session that was missed');
update public.bookings set status = 'no_show' where id = tests.id('missed');
select is(pg_temp.of('missed'), 'booking_follow_up 14:30 cancelled', 'it goes');
update public.clients set sms_followup_enabled = false where id = tests.id('ann');
select pg_temp.add('unasked', tests.at(12, '12:00'));
select is(pg_temp.sweep(tests.at(12, '13:00')), '(0,0)', 'a client who wants none is not asked');

-- The nudge, 24 hours after somebody was asked to confirm.
select pg_temp.add('asked', tests.at(20, '12:00'));
update public.bookings set confirmation_sent_at = tests.at(15, '12:00') where id = tests.id('asked');
select is(pg_temp.sweep(tests.at(16, '11:59')), '(0,0)', 'within a day nobody is nudged');
update public.bookings set timed_at = tests.at(16, '10:00') where id = tests.id('asked');
select is(pg_temp.sweep(tests.at(16, '12:00')), '(0,0)', 'nor within a day of a move');
update public.bookings set timed_at = now() where id = tests.id('asked');
select is((pg_temp.sweep(tests.at(16, '12:00')), pg_temp.of('asked'))::text, '("(1,0)","confirmation_nudge 12:00 queued")', 'after it they are');
select is(pg_temp.sweep(tests.at(18, '12:00')), '(0,0)', 'once');
delete from public.outbox_messages;
update public.bookings set client_confirmed = true where id = tests.id('asked');
select is(pg_temp.sweep(tests.at(17, '12:00')), '(0,0)', 'who has confirmed is not');
select tests.as_service();
select tests.refuses($$ select service.sweep_reminders(0) $$, 422, 'value_not_allowed', 'a limit below one is refused');
select tests.as_owner();
select * from finish();
rollback;
