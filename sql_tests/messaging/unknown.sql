-- Unknown messages: looked up with growing pauses, settled by what the provider knows, repeated by an operator's word alone.
begin;
select plan(39);
select tests.open_messaging();
update public.clients set email = null;
update public.sms_settings set max_sms_per_client_per_day = null where org_id = :'kilo';
create function pg_temp.lost(p_name text, p_channel text default 'sms') returns void language plpgsql as $$
begin
  perform tests.queue(p_name, p_channel => p_channel, p_client => 'kilo_client'), tests.claim();
  perform tests.report(p_name, 'unknown', '{"error_code": "timeout"}');
end $$;
update public.clients set email = 'client@kilo.example' where id = :'kilo_client';
create function pg_temp.asked(p_now timestamptz) returns text language sql as $$
  select coalesce(string_agg(n.name, ' ' order by n.name), '') from service.claim_unknown_messages(p_now => p_now) as c join tests.names as n on n.id = c.id $$;
create function pg_temp.told(p_name text, p_sid text, p_status text default null, p_error text default null) returns text language sql as $$
  select (r.settled, r.unsettled)::text from service.record_lookups(jsonb_build_array(jsonb_build_object(
    'org_id', tests.id('kilo'), 'id', tests.id(p_name), 'provider_message_id', p_sid, 'provider_status', p_status, 'error_code', p_error))) as r $$;
select pg_temp.lost('a'), pg_temp.lost('b'), pg_temp.lost('mail', 'email');
select is(pg_temp.asked(now() + interval '30 seconds'), '', 'not at once');
select is((select string_agg((to_phone, body, claimed_at)::text, ' ') from (select * from service.claim_unknown_messages(1, now() + interval '1 minute')) as c), ('+61400000000', 'Hello', now())::text, 'after a minute, with what to look for');
select is(pg_temp.asked(now() + interval '1 minute') in ('a', 'b'), true, 'each is asked about by one; an email cannot be looked up');
select is(pg_temp.asked(now() + interval '119 seconds'), '', 'the pauses grow');
select is(pg_temp.asked(now() + interval '2 minutes'), 'a b', 'as long again as it has been unknown');
select is(pg_temp.asked(now() + interval '3 minutes'), '', 'two minutes');
select is(pg_temp.asked(now() + interval '4 minutes'), 'a b', 'and so on');
select is(pg_temp.told('a', null), '(0,1)', 'not found');
select is(tests.standing('a'), 'unknown timeout', 'is no proof: it stays unknown');
select is(tests.claim(now() + interval '1 day'), '', 'and is not sent again');
select is(pg_temp.told('a', 'SMa', 'delivered'), '(1,0)', 'found');
select is((tests.standing('a'), provider_message_id)::text, '(delivered,SMa)', 'it is what the provider says') from public.outbox_messages where id = tests.id('a');
select is(pg_temp.told('b', 'SMa', 'delivered'), '(0,1)', 'one of the provider''s answers one of ours');
select is(tests.standing('b'), 'unknown timeout', 'not two');
insert into private.unmatched_sms_events (provider_message_id, event_status, error_code) values ('SMb', 'undelivered', '30003');
select is(pg_temp.told('b', 'SMb', 'sent'), '(1,0)', 'found on its way');
select is(tests.standing('b'), 'undelivered 30003', 'what was told of it meanwhile is matched');
select is(pg_temp.told('b', 'SMb', 'sent'), '(0,1)', 'told again it settles nothing');
select pg_temp.lost('old');
select is(pg_temp.asked(now() + interval '4 days'), '', 'after three days nothing is asked any more');
select is(tests.standing('old'), 'unknown timeout', 'it stays unknown');
select tests.as_service();
select is((service.messages_state(:'kilo') -> 'unknown')::integer, 2, 'and is counted');
select tests.as_owner();

-- Again, by an operator.
select tests.as_service();
select tests.remember('again', service.retry_message(tests.id('old')));
select tests.refuses($$ select service.retry_message(tests.id('old')) $$, 409, 'message_retried', 'not while the new one is on its way');
select tests.refuses($$ select service.retry_message(tests.id('a')) $$, 409, 'message_not_retryable', 'nor what has arrived');
select tests.refuses($$ select service.retry_message(tests.id('again')) $$, 409, 'message_not_retryable', 'or is waiting');
select tests.refuses($$ select service.retry_message(gen_random_uuid()) $$, 404, 'message_not_found', 'nor what there is not');
select tests.as_owner();
select is((cause_id, cause, status, body, expires_at > now())::text, (tests.id('old'), 'retry', 'queued', null::text, true)::text, 'it is a new message, linked to the first') from public.outbox_messages where id = tests.id('again');
select is(tests.standing('old'), 'unknown timeout', 'which does not go back');
select is(tests.claim(), 'again', 'it is claimed as any other');
select tests.report('again', 'failed', '{"error_code": "30003"}');
select isnt(service.retry_message(tests.id('old')), null, 'once that has failed, again');
select tests.queue('given', p_body => 'My words', p_expires_at => now() + interval '1 second');
select tests.claim(now() + interval '2 seconds');
select is(tests.standing('given'), 'expired too_late', 'one that expired');
select tests.remember('given2', service.retry_message(tests.id('given')));
select is((body, expires_at)::text, ('My words', now() + interval '1 hour')::text, 'goes with its own words, for an hour at least') from public.outbox_messages where id = tests.id('given2');
select is(private.suppression_reason(null), null, 'no error is no reason');

-- Forward, and only forward.
create function pg_temp.goes(p_from text, p_to text, p_attempts integer default 1) returns boolean language plpgsql as $$
declare v_id uuid;
begin
  insert into public.outbox_messages (org_id, channel, kind, client_id, status, claim, attempts, next_at, expires_at)
  values (tests.id('kilo'), 'sms', 'direct', tests.id('ann'), p_from, gen_random_uuid(), p_attempts, now(), now()) returning id into v_id;
  update public.outbox_messages set status = p_to where id = v_id;
  return true;
exception when sqlstate 'PT409' then
  return false;
end $$;
create temporary table states as select unnest(array['pending', 'queued', 'sending', 'sent', 'delivered', 'undelivered', 'failed', 'cancelled', 'expired', 'unknown']) as s;
select is((select string_agg(b.s, ' ' order by b.s) from states as b where b.s <> a.s and pg_temp.goes(a.s, b.s)), w, format('from %s', a.s))
  from states as a join (values
    ('pending', 'cancelled expired failed queued sending'), ('queued', 'cancelled delivered expired failed sending sent undelivered'),
    ('sending', 'delivered failed queued sent undelivered unknown'), ('sent', 'delivered failed undelivered'), ('unknown', 'delivered failed sent undelivered')) as x (s, w) on x.s = a.s;
select is(count(*), 0::bigint, 'what is over stays over') from states as a, states as b where a.s in ('delivered', 'undelivered', 'failed', 'cancelled', 'expired') and b.s <> a.s and pg_temp.goes(a.s, b.s);
select ok(not pg_temp.goes('queued', 'sent', 0), 'nothing is sent that was never tried');
select tests.refuses($$ update public.outbox_messages set status = 'queued' where id = tests.id('a') $$, 409, 'message_status_invalid', 'the refusal says so');
select * from finish();
rollback;
