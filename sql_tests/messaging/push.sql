-- Push: a client's devices are theirs, one person's at a time, and hear what the coach writes.
begin;
select plan(23);
select tests.open_studio();
update public.clients set auth_user_id = tests.sign_up('ann@kilo.example', 'ann_user') where org_id = :'kilo' and id = tests.id('ann');
insert into public.message_threads (org_id, client_id) values (:'kilo', :'kilo_client') returning id as thread \gset
select tests.remember('thread', :'thread');
create function pg_temp.pushes() returns text language sql as $$
  select coalesce(string_agg(concat_ws(' ', m.subject || ':', m.body, m.status), ', ' order by m.body), '') from public.outbox_messages as m where m.channel = 'push' $$;

select tests.sign_in('coach@kilo.example');
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'trainer', 'unheard');
select tests.as_owner();
select is(pg_temp.pushes(), '', 'without a device nothing is queued');

-- As the mobile app does at each start.
create function pg_temp.register(p_token text, p_client text default 'kilo_client', p_org text default 'kilo') returns void language sql as $$
  insert into public.push_tokens (org_id, client_id, expo_token, updated_at) values (tests.id(p_org), tests.id(p_client), p_token, now())
  on conflict (client_id, expo_token) do update set org_id = excluded.org_id, client_id = excluded.client_id, expo_token = excluded.expo_token, updated_at = excluded.updated_at $$;
grant execute on function pg_temp.register(text, text, text) to public;
select tests.sign_in('client@kilo.example');
select pg_temp.register('ExponentPushToken[a]'), pg_temp.register('ExponentPushToken[a]'), pg_temp.register('ExponentPushToken[b]');
select is((select string_agg(expo_token, ' ' order by expo_token) from public.push_tokens), 'ExponentPushToken[a] ExponentPushToken[b]', 'a device is registered once');
select tests.sign_in('coach@kilo.example');
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'trainer', 'heard');
select tests.sign_in('client@kilo.example');
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'client', 'own words');
select tests.as_owner();
select is(pg_temp.pushes(), 'Kilo: heard queued', 'what the coach writes is pushed, once for all devices; what the client writes is not');
select is((client_id, metadata -> 'data')::text, (:'kilo_client'::uuid, jsonb_build_object('thread_id', :'thread'))::text, 'with where it belongs') from public.outbox_messages where channel = 'push';
update public.sms_settings set quiet_hours_start = 0, quiet_hours_end = 23;
select is((select next_at <= now() from public.outbox_messages where channel = 'push'), true, 'quiet hours are of SMS');

-- Whose device.
select tests.sign_in('ann@kilo.example');
select is((select count(*) from public.push_tokens), 0::bigint, 'another client sees no device');
select tests.forbids($$ select pg_temp.register('ExponentPushToken[a]', 'kilo_client') $$, 'and registers none for somebody else');
select tests.changes_nothing($$ delete from public.push_tokens $$, 'nor takes one away');
select pg_temp.register('ExponentPushToken[a]', 'ann');
select tests.as_owner();
select is((select string_agg(n.name || ' ' || right(t.expo_token, 3), ', ' order by n.name) from public.push_tokens as t join tests.names as n on n.id = t.client_id), 'ann [a], kilo_client [b]',
          'who signs in on a device has it; who had it before does not');
update public.clients set auth_user_id = tests.id('ann_user') where id = tests.id('lima_client');
select tests.sign_in('ann@kilo.example');
select pg_temp.register('ExponentPushToken[a]', 'lima_client', 'lima');
select is((select count(*) from public.push_tokens), 2::bigint, 'one person may be the client of two organisations');
select throws_ok($$ update public.push_tokens set org_id = tests.id('kilo') where client_id = tests.id('lima_client') $$, 'PT422', null, 'but a device stays in its own');
select throws_ok($$ select pg_temp.register('ExponentPushToken[c]', 'ann', 'lima') $$, '23503', null, 'and with its client''s organisation');
delete from public.push_tokens where client_id = tests.id('ann');
select is((select count(*) from public.push_tokens), 1::bigint, 'signing out takes it away');
select tests.sign_in('coach@kilo.example');
select is((select count(*) from public.push_tokens), 0::bigint, 'a coach sees no devices');
select tests.forbids($$ select pg_temp.register('ExponentPushToken[d]') $$, 'and registers none');
select tests.sign_out();
select tests.forbids($$ select pg_temp.register('ExponentPushToken[d]') $$, 'nor does a visitor');

-- push-dispatch.
select tests.as_service();
select isnt(service.push_message(:'kilo_client', 'Well done', 'Five sessions', '{"screen": "habits"}'), null, 'the service pushes');
select is(service.push_message(tests.id('ben'), 'Well done', 'Five sessions'), null, 'to whom has a device');
select tests.refuses($$ select service.push_message(gen_random_uuid(), 'x', 'x') $$, 404, 'client_not_found', 'and is a client');
select tests.refuses($$ select service.push_message(tests.id('kilo_client'), ' ', 'x') $$, 422, 'value_not_allowed', 'something with a title');
select tests.refuses($$ select service.push_message(tests.id('kilo_client'), 'x', repeat('x', 2001)) $$, 422, 'value_not_allowed', 'and of a length');
select tests.as_owner();
select is(pg_temp.pushes(), 'Well done: Five sessions queued, Kilo: heard queued', 'queued like any other');
select is((select to_tokens from service.claim_messages('w', 10, '{push}') where body = 'heard'), '{ExponentPushToken[b]}', 'and sent to the devices there are then');

select * from finish();
rollback;
