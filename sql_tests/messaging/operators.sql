-- The operator's doors: list, show, retry, count, set, tidy.
begin;
select plan(45);
select tests.open_studio();
insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end) values (:'kilo', 0, 0);
create function pg_temp.message(p_name text, p_status text, p_org text default 'kilo') returns uuid language sql as $$
  with made as (
    insert into public.outbox_messages (org_id, channel, kind, client_id, to_address, body, status, claim, attempts, next_at, expires_at, idempotency_key)
    values (tests.id(p_org), 'sms', 'direct', tests.id(p_org || '_client'), '+61400000000', p_name, p_status, gen_random_uuid(), 1, now(), now() + interval '1 minute', p_name) returning id)
  select tests.remember(p_name, id) from made $$;
select pg_temp.message('m_' || s, s) from unnest(array['pending', 'queued', 'sending', 'sent', 'delivered', 'undelivered', 'failed', 'cancelled', 'expired', 'unknown']) as s;
select pg_temp.message('lima_failed', 'failed', 'lima');

select tests.as_service();
select is((select string_agg(status, ' ' order by status) from service.list_messages(:'kilo')), 'cancelled delivered expired failed pending queued sending sent undelivered unknown', 'all of an organisation''s');
select is((select string_agg(distinct client_name, ' ') from service.list_messages(:'kilo', :'kilo_client', 'sms', 'failed', 'direct')), 'Client of Kilo', 'by client, channel, status and kind');
create temp table page as select l.id, l.created_at from service.list_messages(:'kilo', p_limit => 4) as l;
select is((select count(*) from (select id from page union select n.id from (select p.created_at, p.id from page as p order by p.id limit 1) as last cross join lateral service.list_messages(:'kilo', p_before => last.created_at, p_before_id => last.id) as n) as x),
          10::bigint, 'page by page, also what was made at once');
select tests.refuses($$ select * from service.list_messages(gen_random_uuid()) $$, 404, 'org_not_found', 'of an organisation that exists');
select is(service.show_message(tests.id('m_failed')) ->> 'body', 'm_failed', 'one message');
select tests.refuses($$ select service.show_message(gen_random_uuid()) $$, 404, 'message_not_found', 'that exists');

-- Again, on an operator's word.
select tests.refuses(format($$ select service.retry_message(tests.id(%L)) $$, 'm_' || s), 409, 'message_not_retryable', format('one that is %s is not sent again', s)) from unnest(array['pending', 'queued', 'sending', 'sent', 'delivered']) as s;
select tests.remember('again', service.retry_message(tests.id('m_unknown')));
select tests.as_owner();
select is((status, body, cause, cause_id, idempotency_key, attempts, claim, expires_at >= now() + interval '1 hour')::text, ('queued', 'm_unknown', 'retry', tests.id('m_unknown'), null::text, 0, null::uuid, true)::text, 'another is: a new message that names the first')
  from public.outbox_messages where id = tests.id('again');
select is((select status from public.outbox_messages where id = tests.id('m_unknown')), 'unknown', 'which stays what it is');
select tests.as_service();
select is(service.show_message(tests.id('m_unknown')) -> 'followed_by' -> 0 ->> 'cause', 'retry', 'and shows what followed');
select tests.refuses($$ select service.retry_message(tests.id('m_unknown')) $$, 409, 'message_retried', 'once, while the other is on its way');
select is(service.retry_message(tests.id('m_' || s)) is not null, true, format('one that is %s may be sent again', s)) from unnest(array['undelivered', 'failed', 'cancelled', 'expired']) as s;
select tests.refuses($$ select service.retry_message(gen_random_uuid()) $$, 404, 'message_not_found', 'one that exists');

select is(service.messages_state(:'kilo') - 'oldest_due_at', '{"channels": {"sms": {"pending": 1, "queued": 6, "sending": 1, "sent": 1, "delivered": 1, "undelivered": 1, "failed": 1, "cancelled": 1, "expired": 1, "unknown": 1}}, "due": 7, "unknown": 1, "deferred": []}', 'how many are in which state');
select is((service.messages_state(:'kilo') ->> 'oldest_due_at')::timestamptz, now(), 'since when something is due');
select is(service.messages_state() #>> '{channels,sms,failed}', '2', 'of all organisations');
select service.defer_provider('twilio', null, now() + interval '10 minutes');
select is(service.messages_state() -> 'deferred' -> 0 ->> 'provider', 'twilio', 'and which provider asked to be left alone');

select service.set_platform_setting('app_url', 'https://one.example'), service.set_platform_setting('app_url', 'http://localhost:3000');
select tests.as_owner();
select is((select value from private.platform_settings), 'http://localhost:3000', 'a setting of the platform is set and set anew');
select is(private.app_link('/x'), 'http://localhost:3000/x', 'and used');
select tests.as_service();
select tests.refuses(format($$ select service.set_platform_setting(%L, %L) $$, t.name, t.value), 422, 'value_not_allowed', t.title) from (values ('app_url', 'javascript:alert(1)', 'an address is one of the web'), ('app_url', 'https://a b', 'in one word'), ('app_url', 'https://' || repeat('a', 500), 'of a length'), ('other', 'https://x', 'a setting is known')) as t (name, value, title);

-- Leftovers.
select tests.as_owner();
insert into private.unmatched_sms_events (provider_message_id, event_status, received_at) values ('old', 'sent', now() - interval '8 days'), ('new', 'sent', now() - interval '6 days');
insert into private.inbound_sids (message_sid, received_at) values ('old', now() - interval '31 days'), ('new', now() - interval '29 days');
select tests.as_service();
select is((select deleted from service.sweep_message_leftovers(p_dry_run => true)), 2, 'what nobody asked for is found');
select is((select deleted from service.sweep_message_leftovers()), 2, 'and deleted');
select is((select deleted from service.sweep_message_leftovers()), 0, 'once');
select tests.as_owner();
select is((select string_agg(provider_message_id, '') from private.unmatched_sms_events) || (select string_agg(message_sid, '') from private.inbound_sids), 'newnew', 'the rest stays');
select tests.as_service();
select tests.refuses($$ select * from service.sweep_message_leftovers(0) $$, 422, 'value_not_allowed', 'some at a time');
select tests.sign_in('coach@kilo.example');
select tests.forbids(format('select service.%s', t), format('%s is not for coaches', split_part(t, '(', 1))) from unnest(array['list_messages(tests.id(''kilo''))', 'show_message(tests.id(''m_sent''))', 'retry_message(tests.id(''m_failed''))', 'messages_state()',
  'push_message(tests.id(''kilo_client''), ''x'', ''x'')', 'set_platform_setting(''app_url'', ''https://x'')', 'sweep_message_leftovers()', 'connect_twilio(tests.id(''kilo''), '''', '''')', 'twilio_secrets('''')', 'record_sms_status(null, ''x'', ''sent'')']) as t;

select * from finish();
rollback;
