-- The public page: anybody with the slug sees what is on offer and books it; an email opens nothing and tells nothing.
begin;
select plan(46);
select tests.open_studio();
update public.clients set email = 'Known@Kilo.example' where id = :'kilo_client';
create function pg_temp.add(p_email text, p_days integer, p_time time default '09:00', p_name text default 'New Person', p_request_id uuid default null) returns jsonb language sql as $$
  select public_book('kilo', tests.at(p_days, p_time), p_name, p_email, '+61400111222', tests.id('pt'), tests.id('staff'), p_request_id => p_request_id) $$;
grant execute on function pg_temp.add(text, integer, time, text, uuid) to public;

select tests.sign_out();
select public_page('kilo') as page \gset
select is((:'page'::jsonb ->> 'name', :'page'::jsonb ->> 'timezone', :'page'::jsonb ->> 'can_book', :'page'::jsonb ->> 'needs_waiver')::text, '(Kilo,Australia/Brisbane,true,false)', 'anybody sees the page');
select is((select array_agg(t ->> 'slug' order by t ->> 'slug') from jsonb_array_elements(:'page'::jsonb -> 'session_types') as t), '{class,pt}', 'with what may be booked');
select is((select array_agg(s ->> 'full_name' order by s ->> 'full_name') from jsonb_array_elements(:'page'::jsonb -> 'staff') as s), '{Kilo,"Second Coach"}', 'and with whom');
select ok(:'page' !~* 'kilo.example|\+614', 'no address of anybody');
select is(public_page('KILO') ->> 'name', 'Kilo', 'a slug has no case');
select ok(public_dates('kilo', tests.id('pt')) -> 'dates' ? tests.day(8)::text, 'the days that have a start');
select is(jsonb_array_length(public_slots('kilo', tests.day(8), tests.id('pt'), tests.id('staff')) -> 'slots'), 9, 'and the starts of a day');

-- Booking, known or unknown.
select pg_temp.add('new@person.example', 8) as unknown \gset
select pg_temp.add(' KNOWN@kilo.EXAMPLE ', 9, p_name => 'Somebody Else') as known \gset
select is((:'unknown'::jsonb ->> 'outcome', :'unknown'::jsonb ->> 'needs_waiver')::text, '(booked,false)', 'somebody new books');
select is((select array_agg(k order by k) from jsonb_object_keys(:'known'::jsonb) as k), (select array_agg(k order by k) from jsonb_object_keys(:'unknown'::jsonb) as k), 'known or unknown the answer has the same parts');
select is(:'known'::jsonb - '{booking_id,start_time,end_time,event}'::text[], :'unknown'::jsonb - '{booking_id,start_time,end_time,event}'::text[], 'and says the same');
select is((:'known'::jsonb -> 'event') - '{uid,start_time,end_time}'::text[], (:'unknown'::jsonb -> 'event') - '{uid,start_time,end_time}'::text[], 'in its calendar event too');
select ok(:'known' !~* 'client of kilo|known@', 'nothing tells who they are');
select tests.as_owner();
select is((c.full_name, c.email, c.phone, c.source)::text, '("New Person",new@person.example,+61400111222,public_page)', 'somebody new becomes a client')
  from public.bookings as b join public.clients as c on c.org_id = b.org_id and c.id = b.client_id where b.id = (:'unknown'::jsonb ->> 'booking_id')::uuid;
select is((c.id, c.full_name, b.purchase_id, b.booking_source)::text, (:'kilo_client'::uuid, 'Client of Kilo', null::uuid, 'client')::text, 'somebody known stays who they are, and no package is spent')
  from public.bookings as b join public.clients as c on c.org_id = b.org_id and c.id = b.client_id where b.id = (:'known'::jsonb ->> 'booking_id')::uuid;
select is(private.bookable_at(:'kilo', :'kilo_package', now()), 9, 'nor held');
select tests.sign_out();
select is(pg_temp.add('NEW@person.example', 10) ->> 'outcome', 'booked', 'a second booking by one email');
select tests.as_owner();
select is(count(*), 1::bigint, 'is one client''s') from public.clients where lower(email) = 'new@person.example';
select is(count(*), 0::bigint, 'of this organisation alone') from public.clients where org_id = :'lima' and lower(email) = 'new@person.example';
select tests.sign_out();
select is(pg_temp.add('other@person.example', 8) ->> 'outcome', 'taken', 'what is taken is not booked');
select is(jsonb_array_length(pg_temp.add('other@person.example', 8) -> 'alternatives'), 5, 'alternatives are named');
select is(pg_temp.add('other@person.example', 8, '08:00') ->> 'outcome', 'unavailable', 'nor what is not on offer');
select tests.as_owner();
select is_empty($$ select from public.clients where email = 'other@person.example' $$, 'who booked nothing is no client');
select tests.remember('click', gen_random_uuid());
delete from private.rate_limits;
select tests.sign_out();
select pg_temp.add('click@person.example', 11, p_request_id => tests.id('click')) as first \gset
select is(pg_temp.add('click@person.example', 11, p_request_id => tests.id('click')), :'first'::jsonb, 'the same request books once');
select tests.refuses($$ select pg_temp.add('new@person.example', 12, p_request_id => tests.id('click')) $$, 409, 'request_reused', 'for one person');

-- A waiver.
select tests.as_owner();
update public.orgs set waiver_template = 'I know the risks.' where id = :'kilo';
select tests.sign_out();
select is(public_page('kilo') ->> 'needs_waiver', 'true', 'where a waiver is needed the page says so');
select pg_temp.add('waiver@person.example', 13) as waiting \gset
select is(:'waiting'::jsonb ->> 'needs_waiver', 'true', 'and the booking');
select is(:'waiting'::jsonb #>> '{event,status}', 'TENTATIVE', 'which is not firm');
select tests.as_owner();
select is((status, occupancy_id is not null)::text, '(pending,t)', 'it waits, and its time is taken') from public.bookings where id = (:'waiting'::jsonb ->> 'booking_id')::uuid;
select tests.sign_in('coach@kilo.example');
select lives_ok(format($$ update public.bookings set status = 'confirmed' where id = %L $$, :'waiting'::jsonb ->> 'booking_id'), 'until the coach confirms it');

-- An offer of the price list.
select tests.as_owner();
insert into public.offers (org_id, name, offer_type, price_cents, session_duration_mins) values (:'kilo', 'Half hour', 'single_session', 5000, 30) returning id as offer \gset
insert into public.offers (org_id, name, offer_type, price_cents, is_active) values (:'kilo', 'Old', 'single_session', 5000, false) returning id as old \gset
select tests.remember('offer', :'offer'), tests.remember('old', :'old');
select tests.sign_out();
select is(public_slots('kilo', tests.day(14), p_offer_id => :'offer') ->> 'durationMins', '30', 'an offer says how long');
select public_book('kilo', tests.at(14, '09:00'), 'Offer Person', 'offer@person.example', p_offer_id => :'offer') as of_offer \gset
select is((:'of_offer'::jsonb ->> 'end_time')::timestamptz, tests.at(14, '09:30'), 'when it is booked too');
select tests.as_owner();
select is(offer_id, :'offer', 'and is kept') from public.bookings where id = (:'of_offer'::jsonb ->> 'booking_id')::uuid;
select tests.sign_out();
select tests.refuses($$ select public_slots('kilo', tests.day(14), p_offer_id => tests.id('old')) $$, 404, 'offer_not_found', 'an old offer is none');
select tests.refuses($$ select public_book('kilo', tests.at(14, '10:00'), 'x', 'x@y.zz', p_offer_id => tests.id('lima_offer')) $$, 404, 'offer_not_found', 'nor another organisation''s');

-- Bad input.
select tests.refuses(format('select public_book(''kilo'', %s, %L, %L, %L)', t.at, t.name, t.email, t.phone), 422, 'value_not_allowed', t.title)
  from (values ('now()', ' ', 'a@b.cc', null, 'a name is needed'), ('now()', 'A', 'none', null, 'and an email'), ('now()', 'A', null, null, 'one that is there'),
               ('now()', 'A', repeat('a', 320) || '@b.cc', null, 'of a bearable length'), ('now()', 'A', 'a@b.cc', repeat('1', 41), 'so is a phone'),
               ('null', 'A', 'a@b.cc', null, 'a start'), ('''infinity''', 'A', 'a@b.cc', null, 'that comes')) as t (at, name, email, phone, title);
select tests.refuses($$ select public_slots('kilo', tests.day(8), tests.id('lima')) $$, 404, 'session_type_not_found', 'an unknown type does not exist');

-- Closed, and not there.
select tests.as_owner();
update public.booking_settings set allow_client_booking = false where org_id = :'kilo';
select tests.sign_out();
select is(concat_ws(' ', public_page('kilo') ->> 'can_book', public_dates('kilo') ->> 'details', public_slots('kilo', tests.day(8)) ->> 'details', pg_temp.add('a@b.cc', 15) ->> 'details'),
          'false online_booking_off online_booking_off online_booking_off', 'where clients do not book, every door says so');
select is(concat_ws(' ', public_page('none') ->> 'details', public_dates('none') ->> 'details', public_slots(null, current_date) ->> 'details', public_book('none', now(), 'A', 'a@b.cc') ->> 'details'),
          'page_not_found page_not_found page_not_found page_not_found', 'a slug that is nobody''s is no page');
select is(current_setting('response.status'), '404', 'and not found');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
