-- record_messages: what an attempt came to, of the claim that made it alone; deferred goes again, failed and unknown never by themselves.
begin;
select plan(41);
select tests.open_messaging();
update public.clients set email = null;
select tests.make_booking('session', null, tests.at(9, '09:00'));
create function pg_temp.tried(p_name text) returns text language sql as $$
  select string_agg(concat_ws(' ', attempt_number, status, error_code), ', ' order by attempt_number) from public.outbox_attempts where message_id = tests.id(p_name) $$;
create function pg_temp.again(p_name text, p_now timestamptz) returns void language sql as $$ select tests.claim(p_now) $$;

select tests.queue('a'), tests.queue('b');
select tests.claim();
select is(tests.report('a', 'sent', '{"provider_message_id": "SMa", "provider_status": "queued", "http_status": 201}'), 'recorded', 'a result is recorded');
select is((status, sent_at, provider, provider_message_id)::text, ('sent', now(), 'twilio', 'SMa')::text, 'sent, with the provider''s id') from public.outbox_messages where id = tests.id('a');
select is(pg_temp.tried('a'), '1 sent', 'as an attempt');
select is(tests.report('a', 'sent', '{"provider_message_id": "SMa"}'), 'recorded', 'told again it is the same');
select is(pg_temp.tried('a'), '1 sent', 'and no other attempt');
select is((select (recorded, stale)::text from service.record_messages(jsonb_build_array(jsonb_build_object('org_id', :'kilo', 'id', tests.id('b'), 'claim', gen_random_uuid(), 'outcome', 'sent')))),
          '(0,1)', 'another claim''s result is stale');
select is(tests.standing('b'), 'sending', 'and changes nothing');
select is((select (recorded, stale)::text from service.record_messages(jsonb_build_array(jsonb_build_object('org_id', :'lima', 'id', tests.id('b'), 'claim', null, 'outcome', 'sent')))),
          '(0,1)', 'nor does one under another organisation');
select is((select (recorded, stale)::text from service.record_messages('[]')), '(0,0)', 'nothing is nothing');
select tests.refuses(format($$ select service.record_messages('[{"org_id": "%s", "id": "%s", "outcome": "lost", "claim": null}]') $$, :'kilo', tests.id('b')), 422, 'value_not_allowed', 'an outcome that is none');

-- Deferred: certainly not accepted.
select is(tests.report('b', 'deferred', '{"error_code": "20429", "http_status": 429, "retry_after_secs": 120}'), 'recorded', 'deferred');
select is((tests.standing('b'), next_at, claim, claimed_at)::text, ('queued 20429', now() + interval '2 minutes', null::uuid, null::timestamptz)::text, 'it waits as long as the provider asks for')
  from public.outbox_messages where id = tests.id('b');
select is(body, null, 'and is composed anew') from public.outbox_messages where id = tests.id('b');
select is(tests.report('b', 'sent'), 'stale', 'its old claim is over');
create function pg_temp.pauses() returns text language plpgsql as $$
declare v_now timestamptz := now(); v_next timestamptz; v_text text := '';
begin
  for v_n in 1 .. 12 loop
    select next_at into v_next from public.outbox_messages where id = tests.id('paused') and status = 'queued';
    if not found then return v_text; end if;
    perform tests.claim(v_next);
    perform tests.report('paused', 'deferred', '{"error_code": "500"}', v_next);
    v_text := concat_ws(' ', v_text, (select extract(epoch from next_at - v_next)::integer from public.outbox_messages where id = tests.id('paused') and status = 'queued'));
  end loop;
  return v_text;
end $$;
select tests.queue('paused', p_expires_at => now() + interval '2 days');
select is(btrim(pg_temp.pauses()), '30 60 120 240 480 960 1920 3600 3600', 'else the pauses double, from half a minute to an hour');
select is((tests.standing('paused'), attempts)::text, '("failed 500",10)', 'ten times; then it has failed') from public.outbox_messages where id = tests.id('paused');

-- Unknown: may have been accepted.
select tests.queue('c');
select tests.claim();
select is(tests.report('c', 'unknown', '{"error_code": "timeout"}'), 'recorded', 'unknown');
select is(tests.standing('c'), 'unknown timeout', 'stays so');
select is(tests.claim(now() + interval '1 hour'), '', 'and is not sent again');
select is(tests.report('c', 'sent', '{"provider_message_id": "SMc"}'), 'recorded', 'a late answer to its own claim is welcome');
select is(tests.standing('c'), 'sent', 'it was sent');
select is(pg_temp.tried('c'), '1 sent', 'the attempt says so');
select tests.queue('d');
select tests.claim();
select tests.claim(now() + interval '3 minutes');
select is(tests.standing('d'), 'unknown lease_expired', 'a lease that ran out');
select tests.report('d', 'failed', '{"error_code": "21211"}');
select is(tests.standing('d'), 'failed 21211', 'and a late answer that it was refused');
delete from public.sms_suppression;

-- Permanent errors, and what they say of the number.
create function pg_temp.fails(p_name text, p_code text, p_client text default 'ann') returns text language plpgsql as $$
declare v_reason text;
begin
  perform tests.queue(p_name, p_client => p_client);
  perform tests.claim();
  perform tests.report(p_name, 'failed', jsonb_build_object('error_code', p_code));
  delete from public.sms_suppression where org_id = tests.id('kilo') and phone = '+61400000001' returning reason into v_reason;
  return tests.standing(p_name) || coalesce(' ' || v_reason, '');
end $$;
update public.sms_settings set max_sms_per_client_per_day = null where org_id = :'kilo';
select is(pg_temp.fails('f' || c, c), s, d)
  from (values ('21610', 'failed 21610 opt_out', 'the number opted out'), ('21211', 'failed 21211 invalid_number', 'it is none'), ('21614', 'failed 21614 invalid_number', 'it is no mobile'),
               ('21217', 'failed 21217 invalid_number', 'it is malformed'), ('21612', 'failed 21612 invalid_number', 'it cannot be reached'), ('30004', 'failed 30004 carrier_violation', 'it is blocked'),
               ('30007', 'failed 30007', 'the words were filtered: that is not the number''s fault'), ('21408', 'failed 21408', 'another error says nothing of the number')) as x (c, s, d);
insert into public.sms_suppression (org_id, phone, reason) values (:'kilo', '+61400000001', 'manual');
select private.suppress(:'kilo', '+61400000001', 'invalid_number');
select is(reason, 'manual', 'the first reason stays') from public.sms_suppression;
select private.suppress(:'kilo', '+61400000001', 'opt_out');
select is(reason, 'opt_out', 'but for an opt-out, which the person alone lifts') from public.sms_suppression;
delete from public.sms_suppression;

-- What the booking shows.
update public.bookings set client_id = tests.id('ann') where id = tests.id('session');
select tests.queue('asks', 'booking_confirmation', p_booking => 'session'), tests.queue('mails', 'booking_confirmation', p_booking => 'session', p_channel => 'email');
update public.clients set email = 'ann@kilo.example' where id = tests.id('ann');
select tests.claim();
select tests.report('mails', 'sent');
select is(confirmation_sent_at, null, 'an email asks nothing: it cannot be answered with Y') from public.bookings where id = tests.id('session');
select tests.report('asks', 'sent');
select is(confirmation_sent_at, now(), 'an SMS that has left asks the client to confirm') from public.bookings where id = tests.id('session');
select tests.queue('reminds', 'booking_reminder', p_booking => 'session'), tests.queue('follows', 'booking_follow_up', p_booking => 'session'),
       tests.queue('direct', p_booking => 'session', p_metadata => '{"message": "hi", "asks_confirmation": true}');
select tests.claim();
select tests.report('reminds', 'unknown');
select is((reminder_sent, feedback_sent)::text, '(f,f)', 'what may have left marks nothing') from public.bookings where id = tests.id('session');
select tests.report('reminds', 'sent'), tests.report('follows', 'sent');
select is((reminder_sent, feedback_sent)::text, '(t,t)', 'what has left does') from public.bookings where id = tests.id('session');
update public.bookings set confirmation_sent_at = null where id = tests.id('session');
select tests.report('direct', 'sent');
select is(confirmation_sent_at, now(), 'also a coach''s own words that ask') from public.bookings where id = tests.id('session');

-- Devices that are gone.
insert into public.push_tokens (org_id, client_id, expo_token) values (:'kilo', tests.id('ann'), 'gone'), (:'kilo', tests.id('ann'), 'here');
select tests.queue('pushed', p_channel => 'push');
select tests.claim();
select tests.report('pushed', 'sent', '{"gone_tokens": ["gone"]}');
select is(array_agg(expo_token), '{here}', 'a device that is gone is forgotten') from public.push_tokens;
select is(tests.standing('pushed'), 'sent', 'the message has left');
select * from finish();
rollback;
