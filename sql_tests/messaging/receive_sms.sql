-- receive_sms: whose organisation, whose client, what it does there, once; what cannot be told is said and never guessed.
begin;
select plan(84);
select tests.open_studio();
select service.connect_twilio(:'kilo', 'AC' || repeat('1', 32), repeat('k', 40), null, '+61480000001'),
       service.connect_twilio(:'lima', 'AC' || repeat('2', 32), repeat('l', 40), null, '+61480000002');
update public.clients set phone = '0400 111 222' where org_id = :'kilo' and id = tests.id('ann');
select tests.make_booking('later', null, tests.at(5, '10:00')), tests.make_booking('sooner', null, tests.at(4, '10:00')),
       tests.make_booking('unasked', null, tests.at(3, '10:00')), tests.make_booking('past', null, tests.at(-1, '10:00'));
update public.bookings set confirmation_sent_at = now() where id in (tests.id('later'), tests.id('sooner'), tests.id('past'), :'lima_booking');
update public.bookings set updated_at = now() - interval '1 hour';

-- At noon of a day, to kilo's number, as Twilio posts it.
create function pg_temp.say(p_body text, p_from text default '+61400000000', p_to text default '+61480000001', p_sid text default 'SM' || gen_random_uuid(),
                            p_media integer default 0, p_account text default 'AC' || repeat('1', 32), p_now timestamptz default tests.at(0, '12:00'))
returns jsonb language sql as $$ select service.receive_sms(p_sid, p_account, p_to, p_from, p_body, p_media, p_now) $$;
grant execute on function pg_temp.say(text, text, text, text, integer, text, timestamptz) to public;
create function pg_temp.confirmed() returns text language sql as $$
  select coalesce(string_agg(n.name, ' ' order by n.name), '') from public.bookings as b join tests.names as n on n.id = b.id where b.client_confirmed $$;
create function pg_temp.thread(p_client text default 'kilo_client') returns text language sql as $$
  select coalesce(string_agg(m.sender_type || ': ' || m.body, ' | ' order by m.created_at, m.id), '') from public.messages as m
    join public.message_threads as t on t.org_id = m.org_id and t.id = m.thread_id where t.client_id = tests.id(p_client) $$;

select tests.as_service();
select is(pg_temp.say('y', p_sid => 'SM1'), jsonb_build_object('outcome', 'confirmed', 'reply', 'Thank you, your session on ' || private_text || ' is confirmed.'), 'Y confirms')
  from (select to_char(tests.at(4, '10:00') at time zone 'Australia/Brisbane', 'FMDy FMDD FMMon') || ' at 10:00 am' as private_text) as x;
select tests.as_owner();
select is(pg_temp.confirmed(), 'sooner', 'the earliest that is ahead and asked; not the other, nor one that did not ask, nor one of the past, nor another organisation''s');
select is((kind, client_id, booking_id, from_phone, body)::text, ('confirmed', :'kilo_client'::uuid, tests.id('sooner'), '+61400000000', 'y')::text, 'it is kept, with what it did')
  from public.inbound_messages where provider_message_id = 'SM1';
select is(pg_temp.thread(), '', 'the answer is no conversation');
select is(string_agg(direction || ' ' || content, ', ' order by direction), 'inbound y, outbound Thank you, your session on ' || to_char(tests.at(4, '10:00') at time zone 'Australia/Brisbane', 'FMDy FMDD FMMon') || ' at 10:00 am is confirmed.',
          'the client''s log has both') from public.client_communications where client_id = :'kilo_client';
select tests.sign_in('coach@kilo.example');
select is((select string_agg(n.name || ' ' || (b ->> 'client_confirmed'), ', ' order by n.name) from jsonb_array_elements(c -> 'bookings') as b join tests.names as n on n.id = (b ->> 'id')::uuid where n.name in ('sooner', 'later')), 'later false, sooner true',
          'the calendar''s next poll shows it') from calendar(:'kilo', 'month', tests.day(4), p_since => now() - interval '15 seconds') as c;
select tests.as_owner();

-- Once.
select is(pg_temp.say('y', p_sid => 'SM1') ->> 'outcome', 'confirmed', 'the same message again has the same answer');
select is(pg_temp.confirmed(), 'sooner', 'and confirms nothing more');
select is(pg_temp.say('STOP', p_sid => 'SM1') ->> 'outcome', 'confirmed', 'whatever it says then');
select is((select count(*) from public.inbound_messages where org_id = :'kilo'), 1::bigint, 'and is kept once');
select is(pg_temp.say('Yes please!') ->> 'outcome', 'confirmed', 'the next Y');
select is(pg_temp.confirmed(), 'later sooner', 'confirms the next');
select is(pg_temp.say('Y'), '{"outcome": "nothing_to_confirm", "reply": null}', 'a third finds nothing');
select is(pg_temp.thread(), 'client: Y', 'and is left for the coach to read');
update public.bookings set confirmation_sent_at = now() where id = tests.id('unasked');
select is(pg_temp.say('y', p_now => tests.at(3, '11:30')) ->> 'outcome', 'confirmed', 'where nothing is ahead, one that began within two hours is meant');
select is(pg_temp.confirmed(), 'later sooner unasked', 'and confirmed');
update public.bookings set client_confirmed = false where id in (tests.id('unasked'), tests.id('later'));
select is(pg_temp.say('y', p_now => tests.at(3, '11:30')) ->> 'outcome', 'confirmed', 'but one that is ahead');
select is(pg_temp.confirmed(), 'later sooner', 'comes first');
update public.bookings set status = 'cancelled', client_confirmed = false where id = tests.id('later');
select is(pg_temp.say('y', p_now => tests.at(3, '13:00')) ->> 'outcome', 'nothing_to_confirm', 'a cancelled one is not confirmed, nor one of three hours ago');

-- Rescheduling and cancelling are the coach's to do.
select tests.make_booking('moving', null, tests.at(6, '10:00')), tests.make_booking('first', null, tests.at(6, '08:00'));
update public.bookings set confirmation_sent_at = now() where id = tests.id('moving');
delete from public.bookings where id in (tests.id('unasked'), tests.id('sooner'));
select is(pg_temp.say('R'), '{"outcome": "reschedule_requested", "reply": "Thank you, your coach will be in touch about another time."}', 'R asks for another time');
select is((kind, client_id, booking_id)::text, ('reschedule_requested', :'kilo_client'::uuid, tests.id('moving'))::text, 'of the booking that asked, and the coach is told')
  from public.alerts where org_id = :'kilo' and kind = 'reschedule_requested';
select is(status, 'confirmed', 'the booking stays') from public.bookings where id = tests.id('moving');
select is(pg_temp.say('R') ->> 'outcome', 'reschedule_requested', 'asking again');
select is(count(*), 1::bigint, 'tells it once') from public.alerts where org_id = :'kilo' and kind = 'reschedule_requested';
select is(pg_temp.say('CANCEL'), '{"outcome": "cancel_requested", "reply": null}', 'CANCEL is not answered: the carrier stops the number');
select is((select reason from public.sms_suppression where org_id = :'kilo' and phone = '+61400000000'), 'opt_out', 'so we do');
select is((select booking_id from public.alerts where org_id = :'kilo' and kind = 'cancel_requested'), tests.id('moving'), 'and the coach is told what they meant');
select is(status, 'confirmed', 'the booking stays') from public.bookings where id = tests.id('moving');
select is((select count(*) from public.sms_suppression where org_id = :'lima'), 0::bigint, 'another organisation with the same client''s phone is not concerned');
select is(pg_temp.say('R') ->> 'reply', null, 'a number that we do not write to gets no answer');
select is(pg_temp.say('Help'), '{"outcome": "help", "reply": "Kilo: reply Y to confirm your next session, R to reschedule it, STOP to end these messages."}', 'but to HELP');
select is(pg_temp.say('start'), '{"outcome": "opted_in", "reply": null}', 'START lifts it');
select is((select count(*) from public.sms_suppression where org_id = :'kilo'), 0::bigint, 'it is gone');
insert into public.sms_suppression (org_id, phone, reason, source) values (:'kilo', '+61400000000', 'manual', 'coach');
select is(pg_temp.say('UNSTOP') ->> 'outcome', 'opted_in', 'START again');
select is((select reason from public.sms_suppression where org_id = :'kilo'), 'manual', 'what a coach wrote stays');
select is(pg_temp.say('stop'), '{"outcome": "opted_out", "reply": null}', 'STOP');
select is((select reason from public.sms_suppression where org_id = :'kilo'), 'opt_out', 'makes it the client''s own word, which no coach can lift');
select is((select client_id from public.sms_suppression where org_id = :'kilo'), null, 'one row for a number');
select is(pg_temp.say('START') ->> 'outcome', 'opted_in', 'and START again');
update public.sms_settings set quiet_hours_start = 21, quiet_hours_end = 8, enabled = false where org_id = :'kilo';
select is(pg_temp.say('R') ->> 'reply', null, 'nothing is answered while messaging is off');
update public.sms_settings set enabled = true where org_id = :'kilo';
select is(pg_temp.say('R', p_now => tests.at(0, '21:30')) ->> 'reply', null, 'nor inside quiet hours');
select isnt(pg_temp.say('R', p_now => tests.at(0, '20:59')) ->> 'reply', null, 'but until then');

-- Anything else is said to the coach.
select tests.as_owner();
delete from public.messages;
select is(pg_temp.say('Can I bring a friend? 🏋️ ありがとう', p_now => tests.at(0, '12:01')), '{"outcome": "message", "reply": null}', 'a text');
select is(pg_temp.say('', p_media => 2, p_now => tests.at(0, '12:02')) ->> 'outcome', 'message', 'a picture');
select is(pg_temp.say(e' \n ', p_now => tests.at(0, '12:03')) ->> 'outcome', 'message', 'nothing but space');
select is(pg_temp.say(null, p_now => tests.at(0, '12:04')) ->> 'outcome', 'message', 'nothing at all');
select is(pg_temp.thread(), 'client: Can I bring a friend? 🏋️ ありがとう | client: (a picture or file) | client: (no text) | client: (no text)', 'all are in the thread');
select is(pg_temp.say(repeat('long 🎉', 4000), p_sid => 'SMlong') ->> 'outcome', 'message', 'a long text');
select is((select char_length(body) from public.inbound_messages where provider_message_id = 'SMlong'), 10000, 'is kept as far as there is room');
select is((select media_count from public.inbound_messages where org_id = :'kilo' and media_count > 0), 2, 'with how many pictures came');
select is((select count(*) from public.message_threads where client_id = :'kilo_client'), 1::bigint, 'in one thread');

-- Numbers as they are written.
select is((select phone_e164 from public.clients where id = tests.id('ann')), '+61400111222', 'a client''s number as people write it');
select is(pg_temp.say('Hello', t.sent) ->> 'outcome', 'message', format('%s is Ann', t.sent)) from (values ('+61400111222'), (' 61400111222'), ('0400111222'), ('0400 111 222'), ('+61 400 111 222')) as t (sent);
select is(pg_temp.thread('ann'), 'client: Hello | client: Hello | client: Hello | client: Hello | client: Hello', 'each time');
select is(pg_temp.say('Hello', '+61400111222', p_to => ' 61480000001') ->> 'outcome', 'message', 'also where the plus of our number was lost');
update public.clients set phone = '+61 (0)400-111-222' where id = tests.id('ann');
select is(pg_temp.say('Hello', '+61400111222') ->> 'outcome', 'message', 'however the client''s is written');

-- Nobody, and two.
select is(pg_temp.say('Y', '+61499999999'), '{"outcome": "sender_unknown", "reply": null}', 'a number that is nobody''s');
select is((client_id, body)::text, '(,Y)', 'is kept without a client') from public.inbound_messages where from_phone = '+61499999999';
select is(pg_temp.say('STOP', '+61499999999') ->> 'outcome', 'opted_out', 'may opt out all the same');
select is(pg_temp.say('STOP', t.sent) ->> 'outcome', 'opted_out', format('%s is no number to write to', t.sent)) from (values ('KILO'), ('123')) as t (sent);
select is((select count(*) from public.sms_suppression where org_id = :'kilo'), 1::bigint, 'and needs no row');
select tests.make_booking('anns', null, tests.at(7, '10:00'));
update public.bookings set client_id = tests.id('ann'), confirmation_sent_at = now(), client_confirmed = false where id = tests.id('anns');
update public.clients set phone = '+61400111222' where id = tests.id('ben');
select is(pg_temp.say(t.body, '+61400111222') ->> 'outcome', 'ambiguous', format('%s of a phone that two share is nobody''s', t.body)) from (values ('Y'), ('R'), ('Hello')) as t (body);
select is(pg_temp.confirmed() like '%anns%', false, 'nothing is confirmed');
select is((select count(*) from public.alerts where org_id = :'kilo' and kind = 'sms_sender_ambiguous'), 1::bigint, 'the coach is told, once');
select is((select count(*) from public.inbound_messages where org_id = :'kilo' and kind = 'ambiguous' and client_id is null), 3::bigint, 'each is kept, without a client');
select is(pg_temp.say('Cancel', '+61400111222') ->> 'outcome', 'ambiguous', 'CANCEL');
select is((select reason from public.sms_suppression where org_id = :'kilo' and phone = '+61400111222'), 'opt_out', 'is the number''s, whoever wrote it');

-- Whose organisation: by the number written to.
select is(pg_temp.say('Y', p_to => '+61480000002', p_account => 'AC' || repeat('2', 32)) ->> 'outcome', 'confirmed', 'to the other organisation''s number');
select is(pg_temp.confirmed(), 'lima_booking', 'it is the other''s client, with the same phone');
select is(pg_temp.say('STOP', p_to => '+61480000002', p_account => 'AC' || repeat('1', 32)), '{"outcome": "org_unknown", "reply": null}', 'an account that signs for a number that is not its own says nothing');
select is(pg_temp.say('STOP', p_to => '+61480000002', p_account => 'AC' || repeat('9', 32)) ->> 'outcome', 'org_unknown', 'nor does the platform''s');
select is((select count(*) from public.sms_suppression where org_id = :'lima'), 0::bigint, 'nobody is suppressed by it');
select is(pg_temp.say('Y', p_to => '+61480000009') ->> 'outcome', 'org_unknown', 'to a number of nobody''s, from one that nobody wrote to');

select tests.refuses($$ select service.receive_sms('', 'AC', '+61480000001', '+61400000000', 'Y') $$, 422, 'value_not_allowed', 'a message has an id');
select tests.refuses($$ select service.receive_sms('SMx', 'AC', '+61480000001', '<script>', 'Y') $$, 422, 'value_not_allowed', 'and a sender');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select service.receive_sms('SMx', 'AC', '+61480000001', '+61400000000', 'Y') $$, 'a coach does not write as a client');
select tests.sign_out();
select tests.forbids($$ select service.receive_sms('SMx', 'AC', '+61480000001', '+61400000000', 'Y') $$, 'nor does a visitor');
select tests.as_owner();

select * from finish();
rollback;
