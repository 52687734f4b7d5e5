-- send_marketing: a text to many reaches whom it may, once, and says whom it left out and why.
begin;
select plan(36);
select tests.open_studio();
insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end) values (:'kilo', 0, 0);
update public.clients set status = 'inactive', phone = '0400 000 009' where org_id = :'kilo' and id = tests.id('ann');
insert into public.clients (org_id, full_name, phone, sms_opt_in, status, created_at) values
  (:'kilo', 'Cleo Out', '0400 000 001', false, 'active', now() + interval '1 second'), (:'kilo', 'Dan Stopped', '0400 000 002', null, 'active', now()),
  (:'kilo', 'Eve First', '0400 000 003', null, 'active', now()), (:'kilo', 'Fay Second', '+61400000003', true, 'active', now() + interval '1 second'),
  (:'kilo', 'Gus Out', '0400 000 004', false, 'active', now()), (:'kilo', 'Hal Same Phone', '0400 000 004', true, 'active', now() + interval '1 second');
insert into public.sms_suppression (org_id, phone, reason) values (:'kilo', '+61400000002', 'opt_out');
create function pg_temp.queued(p_answer jsonb) returns text language sql as $$
  select coalesce(string_agg(c.full_name, ', ' order by c.full_name), '') from public.outbox_messages as m join public.clients as c on c.org_id = m.org_id and c.id = m.client_id
   where m.marketing_send_id = (p_answer ->> 'send_id')::uuid $$;
grant execute on function pg_temp.queued(jsonb) to public;
select tests.remember('request', gen_random_uuid());

select tests.sign_in('coach@kilo.example');
select send_marketing(:'kilo', '  Open day on Sunday. Reply STOP to opt out.  ', 'active', p_request_id => tests.id('request')) as answer \gset
select is(:'answer'::jsonb - '{send_id,created_at}'::text[], '{"total": 8, "queued": 3, "skipped": {"no_phone": 1, "opted_out": 2, "suppressed": 1, "same_phone": 1}}', 'a text to all active clients');
select is(pg_temp.queued(:'answer'), 'Client of Kilo, Eve First, Hal Same Phone', 'goes to each phone once, to whoever takes it');
select is(send_marketing(:'kilo', 'Open day on Sunday. Reply STOP to opt out.', 'active', p_request_id => tests.id('request')), :'answer'::jsonb, 'the same click answers the same');
select is((select count(*) from public.outbox_messages where kind = 'marketing'), 3::bigint, 'and sends nothing more');
select tests.refuses($$ select send_marketing(tests.id('kilo'), 'Something else', 'active', p_request_id => tests.id('request')) $$, 409, 'request_reused', 'a click is not another text''s');
select tests.refuses($$ select send_marketing(tests.id('kilo'), 'Open day on Sunday. Reply STOP to opt out.', 'all', p_request_id => tests.id('request')) $$, 409, 'request_reused', 'nor another audience''s');
select is((select string_agg(distinct concat_ws(' ', channel, status, priority, body), ', ') from public.outbox_messages where kind = 'marketing'), 'sms queued 1 Open day on Sunday. Reply STOP to opt out.', 'behind what is about sessions');
select is((select status from public.sms_messages where marketing.id = sms_messages.id), 'queued', 'the existing system sees them') from (select id from public.outbox_messages where kind = 'marketing' limit 1) as marketing;
select is((send_marketing(:'kilo', 'To all', 'all') - '{send_id,created_at,skipped}'::text[]), '{"total": 9, "queued": 4}', 'all are the inactive too');
select send_marketing(:'kilo', 'To you', 'manual', array[tests.id('ann'), tests.id('ann'), :'lima_client', gen_random_uuid()]) as manual \gset
select is(pg_temp.queued(:'manual'), 'Ann', 'named clients: only the organisation''s own, once');
select is((:'manual'::jsonb ->> 'total')::integer, 1, 'others'' are not counted');
select is(send_marketing(:'kilo', 'To nobody', 'manual') - '{send_id,created_at}'::text[], '{"total": 0, "queued": 0, "skipped": {}}', 'nobody named is nobody');
select is(send_marketing(:'kilo', 'To nobody', 'manual', null) ->> 'total', '0', 'nor is nothing');

-- Words.
select send_marketing(:'kilo', 'Hi {first_name}, {{business_name}} is open. {portal_link}', 'manual', array[:'kilo_client'::uuid]) as named \gset
select is((select preview from (select show_message(m.id) ->> 'preview' as preview from public.outbox_messages as m where m.marketing_send_id = (:'named'::jsonb ->> 'send_id')::uuid) as x),
          'Hi Client, Kilo is open.', 'placeholders are each client''s');
select tests.refuses(format($$ select send_marketing(tests.id('kilo'), %L, 'active') $$, t.body), 422, t.slug, format('%s is refused', left(t.body, 40))) from (values
  ('Hi {nickname}', 'placeholder_unknown'), ('See you on {session_datetime}', 'placeholder_unknown'), ('Hi {first_name', 'placeholder_malformed'),
  ('Reply CANCEL to stop', 'template_invites_cancel'), ('  ', 'value_not_allowed'), (repeat('x', 1601), 'value_not_allowed')) as t (body, slug);
select tests.refuses($$ select send_marketing(tests.id('kilo'), 'Hi', 'everybody') $$, 422, 'value_not_allowed', 'an audience is one of three');

-- Progress.
select tests.as_owner();
update public.outbox_messages set status = 'sending', claim = gen_random_uuid() where id in (select id from public.outbox_messages where marketing_send_id = (:'answer'::jsonb ->> 'send_id')::uuid limit 2);
update public.outbox_messages set status = 'sent' where status = 'sending';
select tests.sign_in('desk@kilo.example');
select is(marketing_progress((:'answer'::jsonb ->> 'send_id')::uuid), :'answer'::jsonb || '{"messages": {"sent": 2, "queued": 1}}', 'how far it has come');
select tests.refuses($$ select marketing_progress(gen_random_uuid()) $$, 404, 'marketing_send_not_found', 'of one that exists');
select tests.refuses($$ select send_marketing(tests.id('kilo'), 'Hi', 'active') $$, 403, 'permission_missing', 'the desk sends none');
select tests.remember('send', (:'answer'::jsonb ->> 'send_id')::uuid);
select tests.sign_in('accountant@kilo.example');
select tests.refuses($$ select marketing_progress(tests.id('send')) $$, 404, 'marketing_send_not_found', 'who may not read messages sees no progress');
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select marketing_progress(tests.id('send')) $$, 404, 'marketing_send_not_found', 'nor does another organisation');
select tests.sign_out();
select tests.forbids($$ select marketing_progress(tests.id('send')) $$, 'nor a visitor');
select tests.only_for_members($$ select send_marketing(tests.id('kilo'), 'Hi', 'active') $$, 'org_not_found', 'accountant@kilo.example', 'send_marketing');

-- Quiet hours, and off.
select tests.as_owner();
update public.sms_settings set quiet_hours_start = 21, quiet_hours_end = 8 where org_id = :'kilo';
select private.send_marketing(:'kilo', 'At night', 'active', null, null, null, tests.at(1, '22:00')) as night \gset
select is((select string_agg(distinct status || ' ' || (next_at = tests.at(2, '08:00')), ', ') from public.outbox_messages where marketing_send_id = (:'night'::jsonb ->> 'send_id')::uuid), 'pending true',
          'what is sent at night waits for the morning');
select private.send_marketing(:'kilo', 'At noon', 'active', null, null, null, tests.at(1, '12:00')) as noon \gset
select is((select string_agg(distinct status || ' ' || (next_at = tests.at(1, '12:00')), ', ') from public.outbox_messages where marketing_send_id = (:'noon'::jsonb ->> 'send_id')::uuid), 'queued true',
          'what is sent at noon does not');
update public.sms_settings set enabled = false where org_id = :'kilo';
select is(private.send_marketing(:'kilo', 'Off', 'active', null, null, null) - '{send_id,created_at}'::text[], '{"total": 8, "queued": 0, "skipped": {"off": 8}}', 'where messaging is off nobody gets it');

select * from finish();
rollback;
