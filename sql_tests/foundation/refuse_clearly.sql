-- refuse_clearly: what a constraint forbids is refused by slug, whatever the table, and without a value of the row.
begin;
select plan(35);

select tests.sign_in('coach@kilo.example');
insert into public.promo_codes (org_id, code, discount_type, discount_value) values (:'kilo', 'MARKER-A', 'fixed', 1),
  (:'kilo', 'MARKER-B', 'fixed', 1);
insert into public.session_types (org_id, name, slug) values (:'kilo', 'Personal training', 'pt');

create function pg_temp.client(p_columns text, p_values text) returns text language sql as $$
  select format('insert into public.clients (org_id, %s) values (tests.id(''kilo''), %s)', p_columns, p_values);
$$;

-- A value that must be there.
select tests.refuses($$ insert into public.clients (org_id, email) values (tests.id('kilo'), 'marker@x.example') $$,
                     422, 'value_missing', 'a client without a name');
select tests.refuses($$ update public.clients set full_name = null where id = tests.id('kilo_client') $$,
                     422, 'value_missing', 'a name that is taken away');
select tests.refuses($$ insert into public.clients (full_name) values ('Marker') $$,
                     422, 'value_missing', 'a client of no organisation');
select tests.refuses($$ insert into public.offers (org_id, name, offer_type)
                        values (tests.id('kilo'), 'Marker', 'session_pack') $$,
                     422, 'value_missing', 'an offer without a price');
select tests.refuses($$ insert into public.bookings (org_id, client_id, start_time)
                        values (tests.id('kilo'), tests.id('kilo_client'), now()) $$,
                     422, 'value_missing', 'a booking without an end');
select tests.refuses($$ insert into public.client_purchases (org_id, client_id, offer_id)
                        values (tests.id('kilo'), tests.id('kilo_client'), tests.id('kilo_offer')) $$,
                     422, 'value_missing', 'a sale without an amount');

-- A value that is not allowed.
select tests.refuses(pg_temp.client(c, v), 422, 'value_not_allowed', format('%s with %s', c, left(v, 30)))
  from (values
    ('full_name', quote_literal(repeat('x', 201))), ('full_name', quote_literal('  ')),
    ('full_name, email', quote_literal('Marker') || ', ''marker'''),
    ('full_name, height_cm', '''Marker'', -1'), ('full_name, weight_kg', '''Marker'', 100000'),
    ('full_name, gender', '''Marker'', ''marker'''),
    ('full_name, phone', '''Marker'', ' || quote_literal(repeat('0', 41))),
    ('full_name, notes', '''Marker'', ' || quote_literal(repeat('x', 20001)))) as t (c, v);
select tests.refuses(format('insert into public.offers (org_id, name, offer_type, price_cents, %s)
                             values (tests.id(''kilo''), ''Marker'', ''session_pack'', 1, %s)', c, v),
                     422, 'value_not_allowed', format('an offer with %s %s', c, v))
  from (values ('currency', '''AUD'''), ('sessions_included', '-1'), ('bonus_sessions', '100000'),
        ('pack_validity_days', '0'), ('billing_period', '''daily'''),
               ('session_duration_mins', '100000')) as t (c, v);
select tests.refuses($$ update public.offers set price_cents = -1 where id = tests.id('kilo_offer') $$,
                     422, 'value_not_allowed', 'a negative price');
select tests.refuses($$ update public.bookings set end_time = start_time - interval '1 hour'
                        where id = tests.id('kilo_booking') $$,
                     422, 'value_not_allowed', 'a booking that ends before it starts');
select tests.refuses($$ update public.bookings set status = 'marker' where id = tests.id('kilo_booking') $$,
                     409, 'booking_not_confirmed', 'a status nobody knows is no step');
select tests.refuses($$ update public.client_purchases set payment_status = 'marker'
                        where id = tests.id('kilo_package') $$,
                     422, 'value_not_allowed', 'a payment status nobody knows');
select tests.refuses($$ update public.booking_settings set cancel_notice_hours = -1 where org_id = tests.id('kilo') $$,
                     422, 'value_not_allowed', 'a negative notice');
select tests.refuses($$ update public.profiles set full_name = repeat('x', 201) where id = tests.id('kilo_owner') $$,
                     422, 'value_not_allowed', 'a very long name');
select tests.refuses($$ update public.branding set primary_color = 'red; marker' where org_id = tests.id('kilo') $$,
                     422, 'value_not_allowed', 'a colour that is none');

-- A value that is taken.
select tests.refuses($$ insert into public.promo_codes (org_id, code, discount_type, discount_value)
                        values (tests.id('kilo'), 'MARKER-A', 'fixed', 1) $$, 409, 'value_taken', 'a promo code twice');
select tests.refuses($$ update public.promo_codes set code = 'MARKER-A' where code = 'MARKER-B' $$,
                     409, 'value_taken', 'a promo code renamed to another');
select lives_ok($$ update public.promo_codes set code = 'MARKER-A' where code = 'MARKER-A' $$,
                'a row is not in its own way');
select tests.refuses($$ insert into public.session_types (org_id, name, slug)
                        values (tests.id('kilo'), 'Marker', 'pt') $$,
                     409, 'value_taken', 'a session type''s slug twice');

-- Something that does not exist.
select tests.refuses($$ insert into public.bookings (org_id, client_id, start_time, end_time)
                        values (tests.id('kilo'), gen_random_uuid(), now(), now() + interval '1 hour') $$,
                     404, 'reference_not_found', 'a booking of nobody');
select tests.refuses($$ insert into public.bookings (org_id, client_id, offer_id, start_time, end_time)
                        values (tests.id('kilo'), tests.id('kilo_client'), tests.id('lima_offer'), now(),
                                now() + interval '1 hour') $$,
                     404, 'reference_not_found', 'a booking of another organisation''s offer');
select tests.refuses($$ update public.bookings set client_id = tests.id('lima_client')
                        where id = tests.id('kilo_booking') $$,
                     404, 'reference_not_found', 'a booking given to another organisation''s client');

-- None of these said what was sent.
select is_empty(
  $$ select r.said from unnest(array[
       tests.refusal_of($q$ insert into public.clients (org_id, full_name, email)
                        values (tests.id('kilo'), 'Marker', 'marker') $q$),
       tests.refusal_of($q$ insert into public.clients (org_id, email)
                        values (tests.id('kilo'), 'marker@x.example') $q$),
       tests.refusal_of($q$ insert into public.promo_codes (org_id, code, discount_type, discount_value)
                        values (tests.id('kilo'), 'MARKER-A', 'fixed', 1) $q$),
       tests.refusal_of($q$ update public.branding set primary_color = 'marker' where org_id = tests.id('kilo') $q$),
       tests.refusal_of($q$ insert into public.bookings (org_id, client_id, notes, start_time, end_time)
                        values (tests.id('kilo'), gen_random_uuid(), 'Marker', now(), now() + interval '1 hour') $q$),
       tests.refusal_of($q$ insert into public.orgs (name, slug) values ('Marker', 'kilo') $q$)]) as r (said)
      where r.said is null or r.said ~* 'marker|kilo|[0-9a-f]{8}-[0-9a-f]{4}' $$,
                'no refusal repeats a value of the row');

select * from finish();
rollback;
