-- send_message and send_template: a coach's words or a template, queued once, or an answer that says why not.
begin;
select plan(50);
select tests.open_studio();
insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end) values (:'kilo', 0, 0);
update public.clients set phone = '0400 111 222', sms_opt_in = false where org_id = :'kilo' and id = tests.id('ann');
select tests.make_booking('other', null, tests.at(4, '10:00'));
update public.bookings set client_id = tests.id('ann') where id = tests.id('other');
select tests.remember('request', gen_random_uuid());

select tests.sign_in('desk@kilo.example');
select send_message(:'kilo_client', '  See you at {first_name}!  ', p_request_id => tests.id('request')) as answer \gset
select is(:'answer'::jsonb - '{message_id,next_at}'::text[], '{"outcome": "queued", "status": "queued"}', 'a coach''s own words are queued');
select is((kind, client_id, body, created_by, priority)::text, ('direct', :'kilo_client'::uuid, 'See you at {first_name}!', :'kilo_desk'::uuid, 0)::text, 'as they are, braces too')
  from public.outbox_messages where id = (:'answer'::jsonb ->> 'message_id')::uuid;
select is((type, direction, content, user_id)::text, ('sms', 'outbound', 'See you at {first_name}!', :'kilo_desk'::uuid)::text, 'and in the client''s log') from public.client_communications;
select is(send_message(:'kilo_client', 'See you', p_request_id => tests.id('request')) ->> 'message_id', :'answer'::jsonb ->> 'message_id', 'the same click is one message');
select is((select count(*) from public.outbox_messages where channel = 'sms'), 1::bigint, 'queued once');
select is((select count(*) from public.client_communications), 1::bigint, 'and logged once');
select isnt(send_message(:'kilo_client', 'See you') ->> 'message_id', send_message(:'kilo_client', 'See you') ->> 'message_id', 'without a click''s id each call is a message');
select is(send_message(tests.id('ben'), 'Hello'), '{"outcome": "no_phone"}', 'to whom has no phone: said at once');
select is(send_message(tests.id('ann'), 'Hello'), '{"outcome": "suppressed"}', 'to whom wants none');
select is((select count(*) from public.outbox_messages where client_id in (tests.id('ann'), tests.id('ben'))), 0::bigint, 'and nothing is queued');
select tests.as_owner();
update public.clients set sms_opt_in = true where id = tests.id('ann');
select tests.sign_in('desk@kilo.example');
select tests.refuses($$ select send_message(tests.id('ann'), 'x', p_request_id => tests.id('request')) $$, 409, 'request_reused', 'a click is not another client''s');
select suppress_phone(tests.id('ann'), 'Asked me to');
select is(send_message(tests.id('ann'), 'Hello'), '{"outcome": "suppressed"}', 'a suppressed number is written to no more');

-- About a booking.
select send_message(:'kilo_client', 'Are you coming?', :'kilo_booking', true) as asking \gset
select is((booking_id, metadata ->> 'asks_confirmation')::text, (:'kilo_booking'::uuid, 'true')::text, 'it may ask for the booking''s confirmation') from public.outbox_messages where id = (:'asking'::jsonb ->> 'message_id')::uuid;
select tests.refuses($$ select send_message(tests.id('kilo_client'), 'x', tests.id('other')) $$, 404, 'booking_not_found', 'a booking is that client''s');
select tests.refuses($$ select send_message(tests.id('kilo_client'), 'x', tests.id('lima_booking')) $$, 404, 'booking_not_found', 'and that organisation''s');
select tests.refuses($$ select send_message(tests.id('kilo_client'), 'x', null, true) $$, 422, 'value_not_allowed', 'asking needs a booking');
select tests.refuses(format($$ select send_message(tests.id('kilo_client'), %L) $$, t), 422, 'value_not_allowed', 'a message says something, and not a novel') from unnest(array['', '  ', repeat('x', 1601)]) as t;
select tests.refuses($$ select send_message(tests.id('kilo_client'), null) $$, 422, 'value_not_allowed', 'nor nothing');

-- Templates.
select tests.sign_in('coach@kilo.example');
insert into public.sms_templates (org_id, template_key, name, body) values (:'kilo', 'welcome', 'Welcome', 'Welcome {first_name}, {link}');
select send_template(:'kilo_client', 'welcome', '{"link": "https://kilo.example"}', null, 'booking', :'kilo_booking', 'k1') as template \gset
select is((template_key, booking_id, related_entity_type, related_entity_id, idempotency_key)::text, ('welcome', :'kilo_booking'::uuid, 'booking', :'kilo_booking'::uuid, 'app-k1')::text, 'a template of the organisation''s own')
  from public.outbox_messages where id = (:'template'::jsonb ->> 'message_id')::uuid;
select is(show_message((:'template'::jsonb ->> 'message_id')::uuid) ->> 'preview', 'Welcome Client, https://kilo.example', 'with the app''s values');
select is((select related_entity_id from public.sms_messages where id = (:'template'::jsonb ->> 'message_id')::uuid), :'kilo_booking'::uuid, 'the existing system finds it by what it is about');
select is(send_template(:'kilo_client', 'welcome', '{"link": "x"}', p_idempotency_key => 'k1') ->> 'message_id', :'template'::jsonb ->> 'message_id', 'the same key is one message');
update public.sms_templates set is_active = false where org_id = :'kilo';
select is(show_message((:'template'::jsonb ->> 'message_id')::uuid) ->> 'preview', 'Welcome Client, https://kilo.example', 'a template that is retired keeps its words for what waits');
select tests.refuses($$ select send_template(tests.id('kilo_client'), 'welcome') $$, 404, 'template_not_found', 'and is used no more');
select send_template(:'kilo_client', 'booking_reminder', '{}', tests.at(3, '10:00'), 'booking', :'kilo_booking') as reminder \gset
select is((kind, status, scheduled_for)::text, ('booking_reminder', 'pending', tests.at(3, '10:00'))::text, 'a kind''s own words, at a time') from public.outbox_messages where id = (:'reminder'::jsonb ->> 'message_id')::uuid;
select tests.refuses(format($$ select send_template(tests.id('kilo_client'), %L) $$, t), 404, 'template_not_found', format('%s is no template', t)) from unnest(array['nothing', 'direct', 'marketing', 'coach_notice', 'thread_message']) as t;
select tests.refuses($$ select send_template(tests.id('kilo_client'), 'booking_reminder', '[1]') $$, 422, 'value_not_allowed', 'variables are an object');
select tests.refuses($$ select send_template(tests.id('kilo_client'), 'booking_reminder', '{}', now() + interval '30 days') $$, 422, 'value_not_allowed', 'the time is within four weeks');
select tests.refuses($$ select send_template(tests.id('kilo_client'), 'booking_reminder', '{}', null, 'booking', tests.id('other')) $$, 404, 'booking_not_found', 'a booking is that client''s');
select tests.as_owner();
insert into public.sms_templates (org_id, template_key, name, body) values (:'kilo', 'bare', 'Bare', '{link}');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select send_template(tests.id('kilo_client'), 'bare') $$, 422, 'value_not_allowed', 'a text of placeholders without values says nothing and is not sent');
update public.sms_settings set enabled = false where org_id = :'kilo';
select is(send_message(:'kilo_client', 'Hello') || send_template(:'kilo_client', 'booking_reminder'), '{"outcome": "off"}', 'where messaging is off nothing is queued');

select tests.refuses($$ select send_message(tests.id('lima_client'), 'x') $$, 404, 'client_not_found', 'another organisation''s client does not exist');
select tests.only_for_members($$ select send_message(tests.id('kilo_client'), 'x') $$, 'client_not_found', 'accountant@kilo.example', 'send_message');
select tests.only_for_members($$ select send_template(tests.id('kilo_client'), 'booking_reminder') $$, 'client_not_found', 'accountant@kilo.example', 'send_template');

select * from finish();
rollback;
