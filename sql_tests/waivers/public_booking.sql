-- A booking of the public page waits for a signature: the link goes to the email that was given, signing confirms, and what is not signed
-- in time lets its time go.
begin;
select plan(21);

select tests.open_messaging();
update public.orgs set waiver_template = 'I know the risks.' where id = :'kilo';
-- As through the Data API: what is made there is told.
select tests.sign_out();
select public_book('kilo', tests.at(3, '09:00'), 'New One', 'new@example.com') as answer \gset
select is(:'answer'::jsonb ->> 'needs_waiver', 'true', 'a new person''s booking needs a waiver');
select is(:'answer'::jsonb ? 'token', false, 'its link is not in the answer: an email proves nothing');
select is(public_book('kilo', tests.at(3, '10:00'), 'Ann', 'ann@kilo.example') ->> 'needs_waiver', 'true', 'a known one''s too, so that nothing tells');
select public_book('kilo', tests.at(4, '09:00'), 'New One', 'NEW@example.com');
select tests.as_owner();
select tests.remember('booking', (:'answer'::jsonb ->> 'booking_id')::uuid);
select is((select row(b.status, w.source, w.status, w.expires_at <= now() + interval '48 hours')::text from public.client_waivers as w join public.bookings as b on b.id = w.booking_id where b.id = tests.id('booking')),
          '(pending,public_page,sent,t)', 'the booking is pending, and asks for a signature in time');
select is((select array_agg(m.channel || ' ' || c.email order by m.created_at, c.email) from public.outbox_messages as m join public.clients as c on c.id = m.client_id where m.kind = 'waiver_link'),
          '{"email ann@kilo.example","email new@example.com","email new@example.com"}', 'by email alone, each once');
select is((select count(*) from public.outbox_messages where kind = 'booking_confirmation'), 0::bigint, 'nothing is confirmed');
select tests.remember('token', (select w.token from public.client_waivers as w where w.booking_id = tests.id('booking')));

select tests.sign_out();
select is(sign_waiver(tests.id('token')::text, 'New One', 1) ->> 'bookings_confirmed', '2', 'one signature confirms all that waited for it');
select tests.as_owner();
select is((select array_agg(b.status order by b.start_time) from public.bookings as b join public.clients as c on c.id = b.client_id where c.email = 'new@example.com'), '{confirmed,confirmed}', 'both bookings stand');
select is((select b.status from public.bookings as b where b.client_id = tests.id('ann') and b.status <> 'cancelled'), 'pending', 'and nobody else''s');
select is((select array_agg(w.status order by w.status) from public.client_waivers as w join public.clients as c on c.id = w.client_id where c.email = 'new@example.com'), '{expired,signed}', 'the other link is over');
select is((select count(*) from public.outbox_messages as m join public.clients as c on c.id = m.client_id where m.kind = 'booking_confirmation' and m.channel = 'email' and c.email = 'new@example.com'), 2::bigint, 'the confirmations go out now');

-- The sweep.
select tests.as_service();
select is((select row(expired, cancelled)::text from service.sweep_waivers()), '(0,0)', 'in time nothing ends');
select is((select row(expired, cancelled)::text from service.sweep_waivers(1000, now() + interval '49 hours', true)), '(1,1)', 'a dry run says what would');
select tests.as_owner();
select is((select count(*) from public.client_waivers where status = 'sent'), 1::bigint, 'and changes nothing');
select tests.as_service();
select is((select row(expired, cancelled)::text from service.sweep_waivers(1000, now() + interval '49 hours')), '(1,1)', 'a link that nobody used ends');
select is((select row(expired, cancelled)::text from service.sweep_waivers(1000, now() + interval '49 hours')), '(0,0)', 'once');
select tests.as_owner();
select is((select row(status, cancellation_reason)::text from public.bookings where client_id = tests.id('ann')), '(cancelled,"The waiver was not signed in time.")', 'and its booking lets the time go');
select is((select count(*) from public.client_waivers where status = 'sent'), 0::bigint, 'none waits');

-- A booking that the coach has confirmed by themselves stays.
select tests.sign_out();
select public_book('kilo', tests.at(5, '09:00'), 'Ben', 'ben@kilo.example') ->> 'booking_id' as ben \gset
select tests.sign_in('coach@kilo.example');
update public.bookings set status = 'confirmed' where id = :'ben';
select tests.as_service();
select is((select row(expired, cancelled)::text from service.sweep_waivers(1000, now() + interval '49 hours')), '(1,0)', 'a booking that the coach confirmed stays');
select tests.as_owner();
select is((select status from public.bookings where id = :'ben'), 'confirmed', 'as it is');
select is((select count(*) from public.client_waivers where booking_id = tests.id('kilo_booking')), 0::bigint, 'a coach''s own booking asks for nothing');
select * from finish();
rollback;
