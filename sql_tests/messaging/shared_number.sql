-- receive_sms on a number that organisations share: whoever wrote last to that phone is answered.
begin;
select plan(28);

create function pg_temp.say(p_body text, p_account text default 'AC' || repeat('9', 32), p_to text default '+61480000009', p_from text default '+61400000000')
returns jsonb language sql as $$ select service.receive_sms('SM' || gen_random_uuid(), p_account, p_to, p_from, p_body, 0, tests.at(0, '12:00')) $$;
create function pg_temp.wrote(p_org text, p_ago interval, p_status text default 'sent', p_account text default '')
returns void language sql as $$
  insert into public.outbox_messages (org_id, channel, kind, client_id, to_address, body, status, claim, claimed_at, provider_account, next_at, expires_at)
  values (tests.id(p_org), 'sms', 'direct', tests.id(p_org || '_client'), '+61400000000', 'Hello', p_status, gen_random_uuid(), now() - p_ago, p_account, now(), now() + interval '1 day') $$;
create function pg_temp.heard() returns text language sql as $$
  select coalesce(string_agg(o.slug || ' ' || i.body, ', ' order by o.slug, i.body), '') from public.inbound_messages as i join public.orgs as o on o.id = i.org_id $$;

select is(pg_temp.say('hello'), '{"outcome": "org_unknown", "reply": null}', 'where nobody wrote, it is nobody''s');
select pg_temp.wrote('kilo', interval '2 days'), pg_temp.wrote('lima', interval '3 days');
select is(pg_temp.say('one') ->> 'outcome', 'message', 'the answer');
select is(pg_temp.heard(), 'kilo one', 'is the organisation''s that wrote last');
select pg_temp.wrote('lima', interval '1 day');
select is(pg_temp.say('two') ->> 'outcome', 'message', 'then the other writes');
select is(pg_temp.heard(), 'kilo one, lima two', 'and gets the next');
select pg_temp.wrote('kilo', interval '1 hour', t.status) from (values ('queued'), ('failed')) as t (status);
select is(pg_temp.say('three') ->> 'outcome', 'message', 'what never left');
select is(pg_temp.heard(), 'kilo one, lima three, lima two', 'is not answered');
select pg_temp.wrote('kilo', interval '1 minute', 'sent', 'AC' || repeat('1', 32));
select is(pg_temp.say('four') ->> 'outcome', 'message', 'nor is what left by an account of its own');
select is(pg_temp.heard(), 'kilo one, lima four, lima three, lima two', 'on the shared number');
select pg_temp.wrote('kilo', interval '30 seconds', 'unknown');
select is(pg_temp.say('five') ->> 'outcome', 'message', 'what may have left');
select is(pg_temp.heard(), 'kilo five, kilo one, lima four, lima three, lima two', 'may be answered');

update public.bookings set confirmation_sent_at = now() where id in (:'kilo_booking', :'lima_booking');
select is(pg_temp.say('Y') ->> 'outcome', 'confirmed', 'Y');
select is((select string_agg(n.name, ' ') from public.bookings as b join tests.names as n on n.id = b.id where b.client_confirmed), 'kilo_booking', 'confirms there alone');
select is(pg_temp.say('STOP') ->> 'outcome', 'opted_out', 'STOP is said to the number');
select is((select string_agg(o.slug || ' ' || s.reason, ', ' order by o.slug) from public.sms_suppression as s join public.orgs as o on o.id = s.org_id), 'kilo opt_out, lima opt_out',
          'so it holds for all that write from it');
select is((select count(*) from public.inbound_messages where body = 'STOP'), 1::bigint, 'though one reads it');
select is(pg_temp.say('START') ->> 'outcome', 'opted_in', 'START');
select is((select count(*) from public.sms_suppression), 0::bigint, 'lifts it for all');
select is(pg_temp.say('CANCEL') ->> 'outcome', 'cancel_requested', 'CANCEL');
select is((select count(*) from public.sms_suppression), 2::bigint, 'stops all');
select is((select string_agg(o.slug, ' ') from public.alerts as a join public.orgs as o on o.id = a.org_id where a.kind = 'cancel_requested'), 'kilo', 'and is told to whom it was said');
delete from public.sms_suppression;

-- An account of two organisations with one number; an account without a number of its own.
select service.connect_twilio(:'kilo', 'AC' || repeat('1', 32), repeat('k', 40), 'MG' || repeat('1', 32)),
       service.connect_twilio(:'lima', 'AC' || repeat('1', 32), repeat('k', 40), 'MG' || repeat('1', 32));
select is(pg_temp.say('six', 'AC' || repeat('1', 32)) ->> 'outcome', 'message', 'by a messaging service, whoever wrote last');
select is((select o.slug from public.inbound_messages as i join public.orgs as o on o.id = i.org_id where i.body = 'six'), 'kilo', 'through that account');
update public.sms_settings set twilio_phone_number = '+61480000001';
select is(pg_temp.say('seven', 'AC' || repeat('1', 32), '+61480000001') ->> 'outcome', 'message', 'likewise where two share a number');
select is((select o.slug from public.inbound_messages as i join public.orgs as o on o.id = i.org_id where i.body = 'seven'), 'kilo', 'of their own');
select is(pg_temp.say('eight', 'AC' || repeat('1', 32), '+61480000001', '+61400000001') ->> 'outcome', 'org_unknown', 'and neither is guessed');
select is(pg_temp.say('STOP', 'AC' || repeat('1', 32), '+61480000009') ->> 'outcome', 'opted_out', 'STOP to an own account');
select is((select string_agg(o.slug, ' ') from public.sms_suppression as s join public.orgs as o on o.id = s.org_id), 'kilo', 'does not reach those who wrote through another');

select * from finish();
rollback;
