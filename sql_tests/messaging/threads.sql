-- Conversations: a thread per client, seen by the organisation and that client; everybody writes as who they are.
begin;
select plan(45);
select tests.open_studio();
update public.clients set auth_user_id = tests.sign_up('ann@kilo.example', 'ann_user') where org_id = :'kilo' and id = tests.id('ann');

-- As the apps do.
select tests.sign_in('coach@kilo.example');
insert into public.message_threads (org_id, client_id) values (:'kilo', :'kilo_client') returning id as thread \gset
select tests.remember('thread', :'thread');
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'trainer', 'Hello');
select tests.sign_in('client@kilo.example');
select is((select string_agg(sender_type || ': ' || body, ' | ') from public.messages), 'trainer: Hello', 'the client reads what the coach wrote');
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'client', 'Hi');
select is((select count(*) from public.message_threads), 1::bigint, 'in their thread');
select tests.sign_in('ann@kilo.example');
select is((select count(*) from public.messages) + (select count(*) from public.message_threads), 0::bigint, 'another client of the organisation sees neither');
insert into public.message_threads (org_id, client_id) values (:'kilo', tests.id('ann')) returning id as anns \gset
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'anns', 'client', 'May I come?');
select is((select string_agg(body, ' ') from public.messages), 'May I come?', 'but opens one of their own');
select tests.as_owner();
select is((select string_agg(body, ' ' order by sender_user_id = tests.id('kilo_owner') desc) from public.messages where thread_id = :'thread' and sender_user_id in (tests.id('kilo_owner'), tests.id('kilo_client_user'))), 'Hello Hi', 'who wrote is kept');

-- Who may not.
select tests.remember('anns', :'anns');
select tests.sign_in('ann@kilo.example');
select tests.refuses(format($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), tests.id('anns'), %L, 'x') $$, t), 403, 'sender_not_you', format('a client does not write as %s', t))
  from unnest(array['trainer', 'system']) as t;
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), tests.id('thread'), 'client', 'x') $$, 403, 'sender_not_you', 'nor into another client''s thread');
select tests.forbids($$ insert into public.message_threads (org_id, client_id) values (tests.id('kilo'), tests.id('ben')) $$, 'nor opens another''s');
select tests.forbids($$ insert into public.messages (org_id, thread_id, sender_type, body, sender_user_id) values (tests.id('kilo'), tests.id('anns'), 'client', 'x', tests.id('kilo_owner')) $$, 'nor says who wrote');
select tests.forbids($$ update public.messages set body = 'x' $$, 'nor changes what was said');
select tests.forbids($$ delete from public.messages $$, 'nor deletes it');
select tests.changes_nothing($$ update public.message_threads set trainer_last_read_at = now() $$, 'nor marks it as read by the coach');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), tests.id('thread'), 'client', 'x') $$, 403, 'sender_not_you', 'a coach does not write as the client');
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), tests.id('thread'), 'system', 'x') $$, 403, 'sender_not_you', 'nor as the system');
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), tests.id('thread'), 'bot', 'x') $$, 422, 'value_not_allowed', 'nor as something else');
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), tests.id('thread'), 'trainer', '  ') $$, 422, 'value_not_allowed', 'a message says something');
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), gen_random_uuid(), 'trainer', 'x') $$, 404, 'reference_not_found', 'in a thread that exists');
select tests.refuses($$ insert into public.message_threads (org_id, client_id) values (tests.id('kilo'), tests.id('lima_client')) $$, 404, 'reference_not_found', 'a thread is with one''s own client');
select throws_ok($$ insert into public.message_threads (org_id, client_id) values (tests.id('kilo'), tests.id('kilo_client')) $$, '23505', null, 'and is the only one');
select tests.sign_in('coach@lima.example');
select is((select count(*) from public.messages) + (select count(*) from public.message_threads), 0::bigint, 'another organisation sees none of it');
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), tests.id('thread'), 'trainer', 'x') $$, 403, 'sender_not_you', 'and does not write into it');
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('lima'), tests.id('thread'), 'trainer', 'x') $$, 404, 'reference_not_found', 'nor under its own name');
select tests.forbids($$ insert into public.message_threads (org_id, client_id) values (tests.id('kilo'), tests.id('ben')) $$, 'nor opens one');
select tests.sign_in('accountant@kilo.example');
select is((select count(*) from public.messages), 0::bigint, 'who may not read messages reads none');
select tests.refuses($$ insert into public.messages (org_id, thread_id, sender_type, body) values (tests.id('kilo'), tests.id('thread'), 'trainer', 'x') $$, 403, 'sender_not_you', 'and writes none');
select tests.sign_out();
select tests.forbids($$ select body from public.messages $$, 'a visitor neither');
select tests.as_service();
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'client', 'by SMS'), (:'kilo', :'thread', 'system', 'from an automation');
select is((select count(*) from public.messages where sender_user_id is null), 2::bigint, 'the service writes for others');

-- Reading.
select tests.as_owner();
update public.messages set created_at = now() - interval '1 hour' where sender_type <> 'system';
update public.messages set created_at = now() - interval '2 hours' where thread_id = :'anns';
select tests.sign_in('desk@kilo.example');
select results_eq($$ select thread_id, client_id, unread, last_message_at from unread_threads(tests.id('kilo')) $$,
  $$ values (tests.id('thread'), tests.id('kilo_client'), 2::bigint, now() - interval '1 hour'), (tests.id('anns'), tests.id('ann'), 1, now() - interval '2 hours') $$,
  'what clients wrote is unread, the latest first; what others wrote does not count');
update public.message_threads set trainer_last_read_at = now() - interval '90 minutes';
select results_eq($$ select client_id, unread from unread_threads(tests.id('kilo')) $$, $$ values (tests.id('kilo_client'), 2::bigint) $$, 'the app''s own mark counts');
select read_thread(:'thread');
select is_empty($$ select * from unread_threads(tests.id('kilo')) $$, 'read_thread marks it');
select tests.as_owner();
select is((trainer_last_read_at >= now(), client_last_read_at)::text, '(t,)', 'for the organisation, not for the client') from public.message_threads where id = :'thread';
insert into public.messages (org_id, thread_id, sender_type, body, created_at) values (:'kilo', :'thread', 'client', 'again', clock_timestamp());
select tests.sign_in('client@kilo.example');
select read_thread(:'thread');
select tests.refuses($$ select read_thread(tests.id('anns')) $$, 404, 'thread_not_found', 'a client marks their own alone');
select tests.as_owner();
select is(client_last_read_at is not null, true, 'which marks it for the client') from public.message_threads where id = :'thread';
select tests.sign_in('coach@kilo.example');
select is((select unread from unread_threads(:'kilo')), 1::bigint, 'and not for the coach');
select tests.refuses($$ select read_thread(gen_random_uuid()) $$, 404, 'thread_not_found', 'an unknown conversation does not exist');
select tests.only_for_members($$ select unread_threads(tests.id('kilo')) $$, 'org_not_found', 'accountant@kilo.example', 'unread_threads');
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select read_thread(tests.id('thread')) $$, 404, 'thread_not_found', 'another organisation''s conversation does not exist');
select tests.sign_in('accountant@kilo.example');
select tests.refuses($$ select read_thread(tests.id('thread')) $$, 404, 'thread_not_found', 'nor for who may not read messages');
select tests.sign_out();
select tests.forbids($$ select read_thread(tests.id('thread')) $$, 'a visitor may not call it');
select tests.as_owner();

select * from finish();
rollback;
