-- Quiet hours or the timezone change: what waits is timed anew, and what is being claimed at that moment is left to the claim.
begin;
select plan(12);
select tests.open_messaging();
delete from public.sms_settings where org_id = :'kilo';
create function pg_temp.wall(p_name text) returns text language sql as $$
  select to_char(next_at at time zone 'Australia/Brisbane', 'HH24:MI') from public.outbox_messages where id = tests.id(p_name) $$;
select tests.queue('night', p_at => tests.at(2, '22:00')), tests.queue('day', p_at => tests.at(2, '12:00')), tests.queue('mail', p_channel => 'email', p_at => tests.at(2, '22:00')),
       tests.queue('early', p_at => tests.at(3, '06:00'), p_expires_at => tests.at(3, '06:30'));
select is(array[pg_temp.wall('night'), pg_temp.wall('day'), pg_temp.wall('mail'), pg_temp.wall('early')], '{08:00,12:00,22:00,20:30}', 'by the default hours, 21 to 8');
insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end) values (:'kilo', 23, 7);
select is(array[pg_temp.wall('night'), pg_temp.wall('day'), pg_temp.wall('mail'), pg_temp.wall('early')], '{22:00,12:00,22:00,22:30}', 'the first row of settings says others');
update public.sms_settings set quiet_hours_start = 11, quiet_hours_end = 13 where org_id = :'kilo';
select is(array[pg_temp.wall('night'), pg_temp.wall('day'), pg_temp.wall('mail'), pg_temp.wall('early')], '{22:00,13:00,22:00,06:00}', 'they change');
update public.sms_settings set max_sms_per_hour = 7 where org_id = :'kilo';
select is(pg_temp.wall('day'), '13:00', 'another setting changes nothing');
update public.sms_settings set quiet_hours_start = null where org_id = :'kilo';
select is(pg_temp.wall('day'), '12:00', 'there are none any more');
update public.sms_settings set quiet_hours_start = 21, quiet_hours_end = 8 where org_id = :'kilo';
update public.booking_settings set timezone = 'Europe/London' where org_id = :'kilo';
select is((private.is_quiet('Europe/London', 21, 8, next_at), next_at > tests.at(2, '12:00'))::text, '(f,t)', 'the timezone changes: a Brisbane noon is a London night')
  from public.outbox_messages where id = tests.id('day');
select is(scheduled_for, tests.at(2, '12:00'), 'when it was wanted stays known') from public.outbox_messages where id = tests.id('day');
delete from public.booking_settings where org_id = :'kilo';
insert into public.booking_settings (org_id, timezone) values (:'kilo', 'Australia/Brisbane');
update public.outbox_messages set next_at = tests.at(2, '12:00') where id = tests.id('day');
delete from public.booking_settings where org_id = :'kilo';
insert into public.booking_settings (org_id, timezone) values (:'kilo', 'Europe/London');
select isnt(pg_temp.wall('day'), '12:00', 'the first row of the booking settings says another timezone');
select is(array(select status from public.outbox_messages order by 1), '{pending,pending,pending,pending}', 'nothing was queued or cancelled by any of it');

-- What the provider deferred keeps its pause.
update public.booking_settings set timezone = 'Australia/Brisbane' where org_id = :'kilo';
select is(tests.claim(tests.at(2, '12:00')), 'day', 'one is claimed');
select tests.report('day', 'deferred', '{"error_code": "20429", "retry_after_secs": 900}', tests.at(2, '12:00'));
update public.sms_settings set quiet_hours_start = 20 where org_id = :'kilo';
select is(pg_temp.wall('day'), '12:15', 'a deferred one keeps its pause');
select is((select count(*) from public.outbox_messages where org_id <> :'kilo'), 0::bigint, 'no other organisation is touched');
select * from finish();
rollback;
