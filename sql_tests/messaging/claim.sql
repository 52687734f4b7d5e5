-- claim_messages: what may be sent now, each with a lease and a token; every obstacle is found at the claim, and said.
begin;
select plan(56);
select tests.open_messaging();
update public.clients set email = null where id = tests.id('ben');
create function pg_temp.stop(p_name text) returns void language sql as $$ update public.outbox_messages set status = 'cancelled' where id = tests.id(p_name) and status in ('pending', 'queued') $$;

-- What a worker gets.
select tests.make_booking('session', null, tests.at(9, '09:00'));
update public.bookings set client_id = tests.id('ann') where id = tests.id('session');
select tests.queue('sms', 'booking_confirmation', p_booking => 'session'), tests.queue('mail', 'booking_confirmation', p_booking => 'session', p_channel => 'email');
create temporary table got as select * from service.claim_messages('first', p_now => now());
select is(count(*), 2::bigint, 'both are claimed') from got;
select is((to_phone, to_email, to_tokens, from_name, attempt_number, lease_until)::text, ('+61400000001', null::text, null::text[], 'Kilo', 1, now() + interval '2 minutes')::text, 'an SMS, with its number and lease')
  from got where channel = 'sms';
select is((account, event)::text, '(,)', 'through the platform''s account') from got where channel = 'sms';
select matches(body, '^Hi Ann, your session with', 'composed') from got where channel = 'sms';
select is((to_phone, to_email, event ->> 'uid')::text, (null::text, 'ann@kilo.example', tests.id('session') || '@coach-os')::text, 'an email, with the session for a calendar file') from got where channel = 'email';
select is((tests.standing('sms'), m.claim = g.claim, m.worker)::text, '(sending,t,first)', 'it is sending') from public.outbox_messages as m join got as g on g.id = m.id where m.id = tests.id('sms');
select is(tests.claim(), '', 'nobody else gets it');
select service.connect_twilio(:'kilo', 'AC00000000000000000000000000000001', 'encrypted-encrypted-encrypted', null, '+61480000000');
select tests.queue('own');
select is((select account from service.claim_messages('w', p_now => now())), '{"account_sid": "AC00000000000000000000000000000001", "auth_token_encrypted": "encrypted-encrypted-encrypted", "phone_number": "+61480000000", "messaging_service_sid": null}'::jsonb, 'an organisation''s own account');
select is(provider_account, 'AC00000000000000000000000000000001', 'which is remembered') from public.outbox_messages where id = tests.id('own');
select service.disconnect_twilio(:'kilo');

-- Only what was asked for, and only what is due.
select tests.queue('a'), tests.queue('b', p_channel => 'email'), tests.queue('c', p_at => now() + interval '1 minute');
select is((select count(*) from service.claim_messages('w', p_channels => '{push}', p_now => now())), 0::bigint, 'other channels are left');
select is((select string_agg(channel, ' ') from service.claim_messages('w', p_channels => '{email}', p_now => now())), 'email', 'one is taken');
select is(tests.claim(), 'a', 'what is wanted later waits');
select is(tests.claim(now() + interval '1 minute'), 'c', 'until then');

-- Obstacles.
create function pg_temp.obstacle(p_name text, p_kind text default 'direct', p_client text default 'ann', p_channel text default 'sms', p_booking text default null,
                                 p_metadata jsonb default '{"message": "Hello"}', p_expires_at timestamptz default null) returns text language plpgsql as $$
begin
  perform tests.queue(p_name, p_kind, p_client, p_channel, p_booking, p_expires_at => p_expires_at, p_metadata => p_metadata);
  -- Leases of other tests are not this one's business.
  if tests.claim(now() + interval '30 seconds') <> '' then return 'claimed'; end if;
  return tests.standing(p_name);
end $$;
delete from public.outbox_messages;
select is(pg_temp.obstacle('late', p_expires_at => now() + interval '10 seconds'), 'expired too_late', 'too late');
update public.clients set phone = null where id = tests.id('ann');
select is(pg_temp.obstacle('phoneless'), 'failed no_address', 'no phone');
select is((channel, cause, status)::text, '(email,fallback,sending)', 'goes by email instead, in the same claim') from public.outbox_messages where cause_id = tests.id('phoneless');
update public.clients set phone = '0400 000 001', email = null where id = tests.id('ann');
select is(pg_temp.obstacle('mailless', p_channel => 'email'), 'failed no_address', 'no email');
select is(pg_temp.obstacle('deviceless', p_channel => 'push'), 'failed no_address', 'no device');
insert into public.push_tokens (org_id, client_id, expo_token) values (:'kilo', tests.id('ann'), 'ExponentPushToken[a]');
select tests.queue('pushed', p_channel => 'push');
select is((select to_tokens from service.claim_messages('w', p_now => now())), '{ExponentPushToken[a]}', 'a device is written to');
update public.clients set sms_opt_in = false where id = tests.id('ann');
select is(pg_temp.obstacle('opted'), 'failed opted_out', 'a client who wants no SMS');
update public.clients set sms_opt_in = true, email_opt_in = false, email = 'ann@kilo.example' where id = tests.id('ann');
select is(pg_temp.obstacle('unmailed', p_channel => 'email'), 'failed opted_out', 'or no email');
update public.clients set email_opt_in = true, email = null where id = tests.id('ann');
insert into public.sms_suppression (org_id, phone, reason) values (:'kilo', '+61400000001', 'opt_out'), (:'lima', '+61400000002', 'opt_out');
select is(pg_temp.obstacle('stopped'), 'failed suppressed', 'a number that said stop');
select is(pg_temp.obstacle('notstopped', p_client => 'ben'), 'claimed', 'not one that said it to another organisation');
delete from public.sms_suppression;
update public.sms_settings set enabled = false where org_id = :'kilo';
select is(pg_temp.obstacle('off'), 'cancelled messaging_off', 'SMS are off');
update public.clients set email = 'ann@kilo.example' where id = tests.id('ann');
select is(pg_temp.obstacle('offmail', p_channel => 'email'), 'claimed', 'emails go on');
update public.sms_settings set enabled = true where org_id = :'kilo';
update public.clients set sms_reminder_enabled = false, sms_followup_enabled = false where id = tests.id('ann');
select is(pg_temp.obstacle(k, k, p_booking => 'session'), 'cancelled switched_off', k || ' is switched off') from unnest(array['booking_reminder', 'confirmation_nudge', 'booking_follow_up']) as k;
select is(pg_temp.obstacle('confirming', 'booking_confirmation', p_booking => 'session'), 'claimed', 'a confirmation is no reminder');
update public.clients set sms_reminder_enabled = true, sms_followup_enabled = true where id = tests.id('ann');
select is(pg_temp.obstacle('moved', 'booking_reminder', p_booking => 'session', p_metadata => jsonb_build_object('start_time', tests.at(8, '09:00'))), 'cancelled booking_moved', 'the session is at another time');
update public.bookings set status = 'cancelled' where id = tests.id('session');
select is(pg_temp.obstacle('gone', 'booking_reminder', p_booking => 'session'), 'cancelled booking_cancelled', 'it was cancelled');
select is(pg_temp.obstacle('telling', 'booking_cancelled', p_booking => 'session'), 'claimed', 'which is told all the same');
select is(pg_temp.obstacle('toa', p_client => null), 'claimed', 'a message to an address of its own');

-- The address is the one they have now.
select tests.queue('changed');
update public.clients set phone = '0400 000 077' where id = tests.id('ann');
select is((select to_phone from service.claim_messages('w', p_now => now())), '+61400000077', 'a number that changed meanwhile');
select tests.report('changed', 'deferred');
update public.clients set phone = null, email = null where id = tests.id('ann');
select is((tests.claim(now() + interval '1 hour'), tests.standing('changed'))::text, '("","failed no_address")', 'one that is gone is not written to again');

-- Priorities: what is about a session goes before a text to many, however long that has waited.
delete from public.outbox_messages;
update public.clients set phone = '0400 000 001' where id = tests.id('ann');
select tests.queue('news', 'marketing', p_at => now() - interval '1 hour'), tests.queue('reminder');
update public.sms_settings set max_sms_per_client_per_day = 50 where org_id = :'kilo';
select tests.queue('news' || n, 'marketing', p_at => now() - interval '1 hour') from generate_series(1, 10) as n;
select is(tests.claim(p_limit => 2), 'reminder news', 'the reminder first');
select is((select count(*) from service.claim_messages('w', 5, p_now => now())), 5::bigint, 'as many as asked for');
select is((select count(*) from service.claim_messages('w', 100, p_now => now())), 5::bigint, 'then what is left');

-- Providers that asked to be left alone.
delete from public.outbox_messages;
select tests.queue('held'), tests.queue('mailed', p_channel => 'email', p_client => 'kilo_client');
select service.defer_provider('twilio', null, now() + interval '10 minutes');
select is(tests.claim(), 'mailed', 'nothing leaves through an account that is deferred; other channels go on');
select is((tests.standing('held'), next_at)::text, ('queued', now() + interval '10 minutes')::text, 'it waits as long') from public.outbox_messages where id = tests.id('held');
select service.defer_provider('twilio', null, now() + interval '5 minutes');
select is(until_at, now() + interval '10 minutes', 'a shorter pause shortens nothing') from private.provider_limits;
select is(tests.claim(now() + interval '10 minutes'), 'held', 'then it goes by itself');
select service.connect_twilio(:'kilo', 'AC00000000000000000000000000000001', 'encrypted-encrypted-encrypted', null, '+61480000000');
select tests.queue('other');
select is(tests.claim(), 'other', 'another account is not deferred');

-- Leases.
delete from public.outbox_messages;
select tests.queue('leased'), tests.queue('reported');
select tests.claim();
select tests.report('reported', 'sent', '{"provider_message_id": "SM1"}');
select is(tests.claim(now() + interval '119 seconds') || tests.standing('leased'), 'sending', 'a lease holds');
select is(tests.claim(now() + interval '2 minutes') || tests.standing('leased'), 'unknown lease_expired', 'one that ran out leaves the message unknown, and nobody sends it again');
select is((status, error_code)::text, '(unknown,lease_expired)', 'the attempt is kept') from public.outbox_attempts where message_id = tests.id('leased');
select is(tests.standing('reported'), 'sent', 'what was reported is not');
select is(tests.claim(now() + interval '1 day'), '', 'not even a day later');

-- Urgent.
delete from public.outbox_messages;
update public.clients set email = null where id = tests.id('ann');
update public.sms_settings set quiet_hours_start = 21, quiet_hours_end = 8, urgent_kinds = '{booking_cancelled}' where org_id = :'kilo';
select tests.make_booking('dawn', null, tests.at(9, '08:15')), tests.make_booking('noon', null, tests.at(9, '12:00'));
update public.bookings set client_id = tests.id('ann') where id in (tests.id('dawn'), tests.id('noon'));
select tests.queue('urgent', 'booking_cancelled', p_booking => 'dawn', p_at => tests.at(9, '07:30'), p_now => tests.at(9, '07:30'), p_expires_at => tests.at(9, '08:15')),
       tests.queue('patient', 'booking_cancelled', p_booking => 'noon', p_at => tests.at(9, '07:30'), p_now => tests.at(9, '07:30'), p_expires_at => tests.at(9, '12:00'));
select is(tests.claim(tests.at(9, '07:30')), 'urgent', 'a cancellation within the hour may break the quiet hours, where the organisation says so');
select is(tests.claim(tests.at(9, '08:00')), 'patient', 'another waits for their end');
update public.sms_settings set urgent_kinds = '{}' where org_id = :'kilo';
select tests.queue('not', 'booking_cancelled', p_booking => 'dawn', p_at => tests.at(9, '07:30'), p_now => tests.at(9, '07:30'), p_expires_at => tests.at(9, '07:59'));
select is(tests.claim(tests.at(9, '07:30')) || tests.standing('not'), 'expired quiet_hours', 'nowhere else');
select is(count(*), 1::bigint, 'and where the client then does not know, the coach is told') from public.alerts where kind = 'client_not_told' and booking_id = tests.id('dawn');

select tests.as_service();
select tests.refuses($$ select service.claim_messages('w', 0) $$, 422, 'value_not_allowed', 'a limit below one is refused');
select tests.refuses($$ select service.claim_messages('w', p_lease_secs => 1) $$, 422, 'value_not_allowed', 'and a lease nobody can keep');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select service.claim_messages('w') $$, 'no member claims');
select tests.forbids($$ update outbox_messages set status = 'sent' $$, 'nor writes the outbox');
select tests.as_owner();
select * from finish();
rollback;
