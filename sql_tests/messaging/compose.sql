-- Composing: what is true when it is sent, each placeholder once, and one way to write the time of a booking.
begin;
select plan(34);
select tests.open_messaging();
select is(private.render('Hi {client_name}: {link}', '{"client_name": "{link}", "link": "L"}'), 'Hi {link}: L', 'a client named like a placeholder keeps the name');
select is(private.render('Hi {a}{b}!', '{"a": "x"}'), 'Hi x!', 'what has no value is left out');
select is(private.render('Hi {a} there', '{}'), 'Hi there', 'with the gap it would leave');
select is(private.render('{{ a }} {a}', '{"a": "$1 \\1 %s"}'), '$1 \1 %s $1 \1 %s', 'a value is text and nothing else');
select is(private.render(null, '{}'), '', 'nothing renders as nothing');
select is(private.datetime_text('Australia/Sydney', l, '2026-03-03 03:05+00'), t, format('as people of %s write it', l))
  from (values ('en-AU', 'Tue 3 Mar at 2:05 pm'), ('en-NZ', 'Tue 3 Mar at 2:05 pm'), ('en-GB', 'Tue 3 Mar at 14:05'), ('en-IE', 'Tue 3 Mar at 14:05'),
               ('en-US', 'Tue, Mar 3 at 2:05 PM'), ('en-CA', 'Tue, Mar 3 at 2:05 pm')) as x (l, t);
select is(private.datetime_text('Australia/Sydney', 'en-AU', '2026-03-02 13:00+00'), 'Tue 3 Mar at 12:00 am', 'midnight');
select is(private.datetime_text('Australia/Sydney', 'en-AU', '2026-03-02 22:30+00'), 'Tue 3 Mar at 9:30 am', 'a single digit');

-- SMS-01, SMS-02: one booking, one time, in the organisation's clock.
select tests.make_booking('session', null, tests.at(9, '09:00'));
update public.bookings set client_id = tests.id('ann') where id = tests.id('session');
create function pg_temp.times() returns text[] language sql as $$
  select array_agg(distinct t order by t)
    from public.outbox_messages as m
   cross join lateral (select substring((private.compose(m)).body from '[A-Z][a-z]{2},? [A-Za-z0-9]+ [A-Za-z0-9]+ at [0-9:]+(?: [apAP][mM])?') as t) as x
   where m.id in (tests.id('confirm'), tests.id('remind'), tests.id('ask'), tests.id('nudge'), tests.id('mail')) $$;
create function pg_temp.time(p_zone text) returns text language sql as $$
  select private.datetime_text(p_zone, 'en-AU', (select start_time from public.bookings where id = tests.id('session'))) $$;
select tests.queue('confirm', 'booking_confirmation', p_booking => 'session'), tests.queue('remind', 'booking_reminder', p_booking => 'session'),
       tests.queue('ask', 'booking_follow_up', p_booking => 'session'), tests.queue('nudge', 'confirmation_nudge', p_booking => 'session'),
       tests.queue('mail', 'booking_confirmation', p_booking => 'session', p_channel => 'email');
select is(pg_temp.times(), array[pg_temp.time('Australia/Brisbane')], 'confirmation, reminder, nudge, follow-up and email show one time');
update public.booking_settings set timezone = 'America/New_York' where org_id = :'kilo';
select is(pg_temp.times(), array[pg_temp.time('America/New_York')], 'the timezone changes: all change');
select isnt(pg_temp.time('America/New_York'), pg_temp.time('Australia/Brisbane'), 'to another');
update public.sms_settings set locale = 'en-GB' where org_id = :'kilo';
select is(pg_temp.times(), array[private.datetime_text('America/New_York', 'en-GB', tests.at(9, '09:00'))], 'the locale too');
update public.sms_settings set locale = 'en-AU' where org_id = :'kilo';
update public.booking_settings set timezone = 'Australia/Brisbane' where org_id = :'kilo';
update public.bookings set start_time = tests.at(9, '11:00'), end_time = tests.at(9, '12:00') where id = tests.id('session');
select is(pg_temp.times(), array[pg_temp.time('Australia/Brisbane')], 'the booking moves: all that is yet to leave says so');
select is((private.compose(m)).subject, 'Your session on ' || pg_temp.time('Australia/Brisbane'), 'an email''s subject shows it as well') from public.outbox_messages as m where id = tests.id('mail');

-- What stands where.
select matches((private.compose(m)).body, 'Reply Y to confirm or R to reschedule\.', 'an SMS invites Y and R') from public.outbox_messages as m where id = tests.id('remind');
select doesnt_match((private.compose(m)).body, 'Reply', 'an email does not: nobody reads its answers') from public.outbox_messages as m where id = tests.id('mail');
select is((select count(*) from private.message_kinds where body ~* 'cancel\M' and body !~* 'cancelled'), 0::bigint, 'no kind''s own words invite CANCEL');
select is((select count(*) from private.message_kinds where private.placeholders(body || subject) <@ (variables || '{message}'::text[])),
          (select count(*) from private.message_kinds), 'each kind''s own words use its placeholders');
select matches((private.compose(m)).body, 'https://app\.example/feedback/' || tests.id('session'), 'a link leads to the platform''s pages') from public.outbox_messages as m where id = tests.id('ask');
delete from private.platform_settings;
select doesnt_match((private.compose(m)).body, '[{}]|feedback/', 'without them it is left out') from public.outbox_messages as m where id = tests.id('ask');
update public.clients set full_name = '{link} Méndez 🙂' where id = tests.id('ann');
select matches((private.compose(m)).body, '^Hi \{link\}, ', 'a client''s odd name is a name') from public.outbox_messages as m where id = tests.id('remind');
select tests.queue('given', p_body => 'As {first_name} wrote it'), tests.queue('left', 'low_package', 'kilo_client'), tests.queue('mailed', p_channel => 'email', p_body => 'Words');
select is((private.compose(m)).body, 'As {first_name} wrote it', 'a text that was given stays as it is') from public.outbox_messages as m where id = tests.id('given');
select is((private.compose(m)).subject, 'A message from Kilo', 'as an email it has a subject all the same') from public.outbox_messages as m where id = tests.id('mailed');
select matches((private.compose(m)).body, '10 sessions left, 1 booked', 'sessions left and booked are counted') from public.outbox_messages as m where id = tests.id('left');
select tests.make_package('one', 1);
update public.client_purchases set sessions_total = 1 where id = tests.id('one');
select is(private.count_text(1, 'session'), '1 session', 'one is one');

-- Composed at the claim, from then on its own.
update public.clients set full_name = 'Ann Other' where id = tests.id('ann');
update public.outbox_messages set status = 'cancelled' where id in (tests.id('confirm'), tests.id('ask'), tests.id('nudge'), tests.id('mail'), tests.id('left'), tests.id('given'), tests.id('mailed'));
select tests.queue('remind', 'booking_reminder', p_booking => 'session');
select is(body, null, 'until it leaves it has no words') from public.outbox_messages where id = tests.id('remind');
select is(tests.claim(), 'remind', 'it is claimed');
select is((body like 'Hi Ann, a reminder%', composed_at)::text, (true, now())::text, 'with the words of that moment') from public.outbox_messages where id = tests.id('remind');
update public.clients set full_name = 'Bob' where id = tests.id('ann');
select matches((private.compose(m)).body, '^Hi Ann, ', 'which are what was sent') from public.outbox_messages as m where id = tests.id('remind');
select * from finish();
rollback;
