-- record_sms_status: callbacks in any order, repeated, early, or of messages nobody knows yet; each is kept, none moves a message back.
begin;
select plan(35);
select tests.open_messaging();
update public.clients set email = null;
update public.sms_settings set max_sms_per_client_per_day = null where org_id = :'kilo';
create function pg_temp.sends(p_name text, p_sid text default null) returns void language plpgsql as $$
begin
  perform tests.queue(p_name), tests.claim();
  if p_sid is not null then perform tests.report(p_name, 'sent', jsonb_build_object('provider_message_id', p_sid)); end if;
end $$;
create function pg_temp.events(p_name text) returns bigint language sql as $$ select count(*) from public.outbox_events where message_id = tests.id(p_name) $$;
select pg_temp.sends('a', 'SMa');
select is(service.record_sms_status(tests.id('a'), 'SMa', 'sent'), 'recorded', 'sent');
select is(service.record_sms_status(tests.id('a'), 'SMa', 'delivered'), 'recorded', 'delivered');
select is((tests.standing('a'), delivered_at is not null)::text, '(delivered,t)', 'it has arrived') from public.outbox_messages where id = tests.id('a');
select is(service.record_sms_status(tests.id('a'), 'SMa', 'delivered'), 'repeated', 'told again it is the same');
select is(service.record_sms_status(tests.id('a'), 'SMa', 'queued'), 'recorded', 'told late what was before');
select is(service.record_sms_status(tests.id('a'), 'SMa', 'undelivered', '30003'), 'recorded', 'or what contradicts it');
select is(tests.standing('a'), 'delivered', 'what has arrived stays so');
select is(pg_temp.events('a'), 4::bigint, 'and each is kept once');
select is(service.record_sms_status(null, 'SMa', 'sending'), 'recorded', 'by the provider''s id alone');

-- Before the create call has returned.
select pg_temp.sends('early');
select is(service.record_sms_status(tests.id('early'), 'SMearly', 'delivered'), 'recorded', 'before we know the provider''s id, by ours');
select is((tests.standing('early'), provider_message_id)::text, '(delivered,SMearly)', 'it has arrived') from public.outbox_messages where id = tests.id('early');
select is(tests.report('early', 'sent', '{"provider_message_id": "SMearly", "provider_status": "queued"}'), 'recorded', 'then the worker reports');
select is(tests.standing('early'), 'delivered', 'which moves nothing back');
select is((status, provider_message_id)::text, '(sent,SMearly)', 'and is kept') from public.outbox_attempts where message_id = tests.id('early');

-- Of nobody we know yet.
select pg_temp.sends('later');
select is(service.record_sms_status(null, 'SMlater', 'delivered'), 'kept', 'an id that nobody knows');
select is(service.record_sms_status(null, 'SMlater', 'sent'), 'kept', 'is kept');
select is(service.record_sms_status(null, 'SMlater', 'sent'), 'kept', 'once each');
select is(count(*), 2::bigint, 'two of them') from private.unmatched_sms_events;
select tests.report('later', 'sent', '{"provider_message_id": "SMlater"}');
select is((tests.standing('later'), pg_temp.events('later'), (select count(*) from private.unmatched_sms_events))::text, '(delivered,2,0)', 'and matched once its message is known');
select pg_temp.sends('raced', 'SMraced');
insert into private.unmatched_sms_events (provider_message_id, event_status) values ('SMraced', 'delivered');
select is(deleted, 0, 'what came in at the same moment') from service.sweep_message_leftovers();
select is(tests.standing('raced'), 'delivered', 'is matched by the sweep');
select is(service.record_sms_status(gen_random_uuid(), 'SMnobody', 'failed'), 'kept', 'one of nobody');
select is(deleted, 0, 'is kept for a week') from service.sweep_message_leftovers(p_now => now() + interval '6 days');
select is(deleted, 1, 'and then no longer') from service.sweep_message_leftovers(p_now => now() + interval '8 days');

-- Whose it is.
select pg_temp.sends('mine', 'SMmine');
select is(service.record_sms_status(tests.id('mine'), 'SMother', 'delivered'), 'kept', 'our id with another of the provider''s is not this message''s');
select is(tests.standing('mine'), 'sent', 'which stays');
select tests.queue('unsent');
select is(service.record_sms_status(tests.id('unsent'), 'SMx', 'delivered'), 'kept', 'nor is one that was never tried');
delete from public.outbox_messages where id = tests.id('unsent');

-- What nobody knew, and what the provider had denied.
select pg_temp.sends('lost');
select tests.claim(now() + interval '3 minutes');
select is(service.record_sms_status(tests.id('lost'), 'SMlost', 'sent'), 'recorded', 'a lease ran out, the provider has it');
select is(tests.standing('lost'), 'sent', 'unknown no more');
select pg_temp.sends('denied');
select tests.report('denied', 'deferred', '{"error_code": "500"}');
select is(service.record_sms_status(tests.id('denied'), 'SMdenied', 'delivered'), 'recorded', 'the provider answered 500, and delivers');
select is((tests.standing('denied'), tests.claim(now() + interval '1 hour'))::text, '(delivered,"")', 'it is not sent again');

select pg_temp.sends('stop', 'SMstop');
select service.record_sms_status(null, 'SMstop', 'undelivered', '21610');
select is((tests.standing('stop'), (select reason from public.sms_suppression))::text, '("undelivered 21610",opt_out)', 'an opt-out told by the carrier counts');
select is(service.record_sms_status(null, 'SMstop', 'flabbergasted'), 'recorded', 'a word we do not know is kept and moves nothing');
select throws_ok($$ update public.outbox_events set error_code = 'x' $$, 'PT403', null, 'what was told is never changed');
select throws_ok($$ delete from public.outbox_events $$, 'PT403', null, 'nor deleted');
select * from finish();
rollback;
