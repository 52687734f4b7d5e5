-- sms_messages, sms_attempts, sms_events: the outbox's SMS by the existing system's names, under the same wall.
begin;
select plan(35);
select tests.open_studio();
insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end) values (:'kilo', 0, 0), (:'lima', 0, 0);
update public.sms_settings set twilio_phone_number = '+61480000001' where org_id = :'kilo';
insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, next_at, expires_at, related_entity_type)
values (:'kilo', 'sms', 'direct', :'kilo_client', 'Hello', 'queued', now(), now() + interval '1 day', 'booking') returning id as message \gset
insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, next_at, expires_at) values (:'kilo', 'push', 'thread_message', :'kilo_client', 'x', 'queued', now(), now() + interval '1 day'),
  (:'kilo', 'email', 'direct', :'kilo_client', 'x', 'queued', now(), now() + interval '1 day'), (:'lima', 'sms', 'direct', :'lima_client', 'theirs', 'queued', now(), now() + interval '1 day');
select count(*) as claimed from service.claim_messages('w', 10, '{sms,email}') \gset
select service.record_messages(jsonb_agg(jsonb_build_object('org_id', m.org_id, 'id', m.id, 'claim', m.claim, 'outcome', 'sent', 'provider_message_id', m.channel || m.body, 'provider_status', 'queued', 'http_status', 201)))
  from public.outbox_messages as m where m.status = 'sending';
select service.record_sms_status(null, 'smsHello', 'delivered', null, '{"a": 1}'), service.record_sms_status(null, 'smstheirs', 'failed', '30008');

select tests.sign_in('desk@kilo.example');
select results_eq($$ select id, to_phone, from_phone, body, status, locked_until, related_entity_type, error_code from public.sms_messages $$,
  format($$ values (%L::uuid, '+61400000000', '+61480000001', 'Hello', 'delivered', null::timestamptz, 'booking', null) $$, :'message'), 'messages: SMS alone, and one''s own');
select results_eq($$ select message_id, attempt_number, provider, provider_message_id, status, response_status from public.sms_attempts $$,
  format($$ values (%L::uuid, 1, 'twilio', 'smsHello', 'sent', 201) $$, :'message'), 'attempts: of SMS alone, and one''s own');
select results_eq($$ select org_id, message_id, provider_message_id, event_status, event_payload from public.sms_events $$,
  format($$ values (%L::uuid, %L::uuid, 'smsHello', 'delivered', '{"a": 1}'::jsonb) $$, :'kilo', :'message'), 'events: of SMS alone, and one''s own');
select is((select string_agg(format('%I.%I', c.relname, a.attname), ', ') from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
            where c.relname in ('sms_messages', 'sms_attempts', 'sms_events') and a.attname ~ 'claim|worker|account'), null, 'none shows the machinery');
select tests.forbids(format('%s', t), format('%s is the service''s', t)) from (values
  ('insert into public.sms_messages (org_id, body) values (tests.id(''kilo''), ''x'')'), ('update public.sms_messages set status = ''sent'''), ('delete from public.sms_messages'), ('update public.sms_attempts set status = ''sent'''),
  ('delete from public.sms_events'), ('update public.outbox_messages set status = ''sent'''), ('insert into public.outbox_messages (org_id, channel) values (tests.id(''kilo''), ''sms'')'), ('delete from public.outbox_messages'),
  ('insert into public.outbox_events (org_id) values (tests.id(''kilo''))'), ('insert into public.inbound_messages (org_id) values (tests.id(''kilo''))'), ('delete from public.inbound_messages'),
  ('insert into public.marketing_sends (org_id, body, recipient_filter) values (tests.id(''kilo''), ''x'', ''all'')'), ('update public.marketing_sends set body = ''x''')) as t (t);
-- Volatile, so that each person's look is their own.
create function pg_temp.rows_seen() returns bigint language plpgsql volatile as $$
begin
  return (select count(*) from public.sms_messages) + (select count(*) from public.sms_attempts) + (select count(*) from public.sms_events)
       + (select count(*) from public.outbox_messages) + (select count(*) from public.outbox_attempts) + (select count(*) from public.outbox_events);
end;
$$;
grant execute on function pg_temp.rows_seen() to public;
select tests.sign_in(t.email), is(pg_temp.rows_seen(), t.rows, format('%s sees %s of all that', t.email, t.rows))
  from (values ('accountant@kilo.example', 0::bigint), ('client@kilo.example', 0), ('nobody@nowhere.example', 0), ('coach@kilo.example', 9)) as t (email, rows);
select tests.sign_out();
select tests.forbids(format('select 1 from public.%I', t), format('a visitor reads no %s', t)) from unnest(array['sms_messages', 'sms_attempts', 'sms_events', 'outbox_messages', 'outbox_attempts', 'outbox_events', 'inbound_messages', 'marketing_sends']) as t;
select tests.as_service();
select is((select count(*) from public.sms_messages), 2::bigint, 'the service reads all');
select tests.forbids($$ update public.sms_messages set status = 'sent' $$, 'and writes by its functions alone');
select tests.forbids($$ insert into public.sms_suppression (org_id, phone, reason) values (tests.id('kilo'), '+61400000009', 'opt_out') $$, 'suppression too');
select tests.as_owner();
select tests.refuses($$ update public.sms_messages set body = 'x' $$, 403, 'view_read_only', 'nor does the owner write through a view');
select tests.refuses($$ update public.outbox_events set event_status = 'x' $$, 403, 'ledger_append_only', 'what was told stays');
select tests.refuses($$ delete from public.outbox_events $$, 403, 'ledger_append_only', 'and is not deleted');

select * from finish();
rollback;
