-- The fallback: an SMS that failed goes by email, once, linked; where nobody tells the client of a change, the coach is told.
begin;
select plan(35);
select tests.open_messaging();
update public.sms_settings set max_sms_per_client_per_day = null where org_id = :'kilo';
select tests.make_booking('session', null, tests.at(9, '09:00'));
update public.bookings set client_id = tests.id('ann') where id = tests.id('session');
create function pg_temp.instead(p_name text) returns text language sql as $$
  select coalesce(string_agg(concat_ws(' ', channel, cause, status), ', '), 'nothing') from public.outbox_messages where cause_id = tests.id(p_name) $$;
create function pg_temp.fails(p_name text, p_kind text default 'direct', p_client text default 'ann', p_booking text default null, p_body text default null,
                              p_metadata jsonb default '{"message": "Hello"}', p_outcome text default 'failed') returns text language plpgsql as $$
begin
  perform tests.queue(p_name, p_kind, p_client, p_booking => p_booking, p_body => p_body, p_metadata => p_metadata);
  perform service.claim_messages('w', p_channels => '{sms}', p_now => now());
  perform tests.report(p_name, p_outcome, '{"error_code": "30003"}');
  return pg_temp.instead(p_name);
end $$;
select is(pg_temp.fails('a'), 'email fallback queued', 'failed: an email, linked to it');
select tests.report('a', 'failed');
select is(pg_temp.instead('a'), 'email fallback queued', 'once');
select is(pg_temp.fails('b', p_body => 'A coach''s words'), 'email fallback queued', 'also a coach''s own words');
select is((body, subject)::text, '("A coach''s words",)', 'which are the same') from public.outbox_messages where cause_id = tests.id('b');
select is(string_agg(subject, ', '), 'A message from Kilo, A message from Kilo', 'under a subject') from service.claim_messages('w', p_now => now());
select is(pg_temp.fails('c', 'booking_reminder', p_booking => 'session'), 'email fallback queued', 'a reminder');
select matches(body, 'Reply Y', 'whose SMS invited Y') from public.outbox_messages where id = tests.id('c');
select doesnt_match(body, 'Reply', 'is composed as an email') from service.claim_messages('w', p_now => now());
select is(expires_at, (select expires_at from public.outbox_messages where id = tests.id('c')), 'and of use as long') from public.outbox_messages where cause_id = tests.id('c');
select is(pg_temp.fails('u', p_outcome => 'unknown'), 'nothing', 'unknown is not failed');
select service.record_sms_status(tests.id('u'), 'SMu', 'undelivered', '30003');
select is(pg_temp.instead('u'), 'email fallback queued', 'undelivered is, whenever it is told');
select service.record_sms_status(tests.id('u'), 'SMu', 'failed', '30003');
select is(pg_temp.instead('u'), 'email fallback queued', 'told twice it is once');

-- Where it helps nobody.
update public.sms_settings set falls_back_to_email = false where org_id = :'kilo';
select is(pg_temp.fails('unwanted'), 'nothing', 'where the organisation does not want it');
update public.sms_settings set falls_back_to_email = true where org_id = :'kilo';
update public.clients set email_opt_in = false where id = tests.id('ann');
select is(pg_temp.fails('unasked'), 'nothing', 'nor the client');
update public.clients set email_opt_in = true, email = null where id = tests.id('ann');
select is(pg_temp.fails('mailless'), 'nothing', 'who has no email');
update public.clients set email = 'ann@kilo.example' where id = tests.id('ann');
select is(pg_temp.fails('news', 'marketing'), 'nothing', 'a text to many');
select tests.queue('old', p_expires_at => now() + interval '1 minute');
select tests.claim();
select tests.report('old', 'failed', p_now => now() + interval '90 seconds');
select is(pg_temp.instead('old'), 'nothing', 'what is of no use any more');
select is(count(*), 0::bigint, 'none of which alerts the coach') from public.alerts where kind = 'client_not_told';

-- Sent both ways from the start.
select tests.queue('both-email', 'booking_cancelled', p_booking => 'session', p_channel => 'email');
select is(pg_temp.fails('both', 'booking_cancelled', p_booking => 'session'), 'nothing', 'where the client has the email already');
select is(count(*), 0::bigint, 'the client is being told') from public.alerts where kind = 'client_not_told';
select tests.claim();
select tests.report('both-email', 'failed', '{"error_code": "550"}');
select is(count(*), 1::bigint, 'until that fails, too: the coach is told') from public.alerts where kind = 'client_not_told' and booking_id = tests.id('session') and client_id = tests.id('ann');
delete from public.alerts;
select tests.queue('arrives', 'booking_rescheduled', p_booking => 'session'), tests.queue('arrives-email', 'booking_rescheduled', p_booking => 'session', p_channel => 'email');
select tests.claim();
select tests.report('arrives', 'sent'), tests.report('arrives-email', 'failed');
select is(count(*), 0::bigint, 'an email that fails beside an SMS that left alerts nobody') from public.alerts where kind = 'client_not_told';
update public.clients set email = null where id = tests.id('ann');
select is(pg_temp.fails('alone', 'booking_cancelled', p_booking => 'session'), 'nothing', 'a client without email');
select is(count(*), 1::bigint, 'who does not know of a cancellation: the coach is told') from public.alerts where kind = 'client_not_told';
select is(pg_temp.fails('alone2', 'booking_cancelled', p_booking => 'session'), 'nothing', 'and again');
select is(count(*), 1::bigint, 'once') from public.alerts where kind = 'client_not_told';
delete from public.alerts;
select is(pg_temp.fails('reminded', 'booking_reminder', p_booking => 'session'), 'nothing', 'of a reminder');
select is(count(*), 0::bigint, 'nobody needs to know') from public.alerts where kind = 'client_not_told';

-- Again by an operator.
update public.clients set email = 'ann@kilo.example' where id = tests.id('ann');
select is(pg_temp.fails('first'), 'email fallback queued', 'one that fell back');
select tests.remember('second', service.retry_message(tests.id('first')));
select tests.claim();
select tests.report('second', 'failed', '{"error_code": "30003"}');
select is((tests.standing('second'), pg_temp.instead('second'))::text, '("failed 30003",nothing)', 'and fails again: the client has the email already');
select is(pg_temp.fails('lost', p_outcome => 'unknown'), 'nothing', 'one that nobody knows of');
select tests.remember('again', service.retry_message(tests.id('lost')));
select tests.claim();
select tests.report('again', 'failed', '{"error_code": "30003"}');
select is(pg_temp.instead('again'), 'email fallback queued', 'sent again and failed: an email');
select tests.as_service();
select is(service.show_message(tests.id('a')) #>> '{followed_by,0,cause}', 'fallback', 'what stood in is shown');
select tests.as_owner();
select is(count(*), 0::bigint, 'no email falls back to anything') from public.outbox_messages as m join public.outbox_messages as c on c.id = m.cause_id where m.cause = 'fallback' and c.channel <> 'sms';
select is(count(*), (select count(distinct cause_id) from public.outbox_messages where cause = 'fallback'), 'and each SMS has one at most') from public.outbox_messages where cause = 'fallback';
select * from finish();
rollback;
