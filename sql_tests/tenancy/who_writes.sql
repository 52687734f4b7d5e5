-- who_writes: each direct write and read of the API, and exactly who gets a row by it.
begin;
select plan(47);

select tests.join_org('kilo', 'coach2@kilo.example', 'coach', 'kilo_coach'),
  tests.join_org('kilo', 'staff@kilo.example', 'staff', 'kilo_staff');
select tests.make_package('unused', 5);
insert into public.promo_codes (org_id, code, discount_type, discount_value) values (:'kilo', 'UNUSED', 'fixed', 1)
  returning id as promo \gset
insert into public.session_types (org_id, name, slug) values (:'kilo', 'Unused', 'unused') returning id as type \gset
insert into public.offers (org_id, name, offer_type, price_cents) values (:'kilo', 'Unsold', 'single_session', 1)
  returning id as unsold \gset
select tests.remember('promo', :'promo'), tests.remember('type', :'type'), tests.remember('unsold', :'unsold');
select private.raise_alert(:'kilo', 'booking_uncovered', :'kilo_client', :'kilo_package', :'kilo_booking');
select private.take_session(:'kilo', :'kilo_package', null, null, null);

-- Everybody tries, each from the same state, and leaves nothing behind.
create function pg_temp.who_can(p_sql text) returns text language plpgsql as $$
declare
  v_person record;
  v_rows bigint;
  v_can text := '';
begin
  for v_person in
    select * from (values ('owner', 'coach@kilo.example'), ('manager', 'manager@kilo.example'),
                   ('coach', 'coach2@kilo.example'), ('staff', 'staff@kilo.example'),
                          ('desk', 'desk@kilo.example'), ('accountant', 'accountant@kilo.example'),
                   ('client', 'client@kilo.example'), ('other', 'coach@lima.example'),
                          ('nobody', 'nobody@nowhere.example'), ('service', null), ('visitor', '')) as p (name, email)
  loop
    begin
      if v_person.email is null then
        perform tests.as_service();
      elsif v_person.email = '' then
        perform tests.sign_out();
      else
        perform tests.sign_in(v_person.email);
      end if;
      execute p_sql;
      get diagnostics v_rows = row_count;
      if v_rows > 0 then
        v_can := concat_ws(' ', nullif(v_can, ''), v_person.name);
      end if;
      raise exception using errcode = 'UNDO0';
    -- 409: a client may insert a booking, but none that is not on offer.
    exception when sqlstate 'UNDO0' or insufficient_privilege or sqlstate 'PT403' or sqlstate 'PT404' or sqlstate 'PT409' then
      null;
    end;
  end loop;
  perform tests.as_owner();
  return v_can;
end;
$$;
create function pg_temp.only(p_who text, p_sql text, p_title text) returns text language sql as $$
  select extensions.is(pg_temp.who_can(p_sql), p_who, format('%s: %s', p_title, coalesce(nullif(p_who, ''), 'nobody')));
$$;

-- Reading.
select pg_temp.only(w, format('select from public.%I where %s', t, f), format('reads %s', t)) from (values
  ('owner manager coach staff desk accountant client service', 'orgs', 'id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant client service', 'branding', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant client service', 'booking_settings', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant client service', 'session_types', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant client service', 'clients', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant client service', 'offers', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant service', 'promo_codes', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant client service', 'client_purchases', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant client service', 'session_entries', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk accountant client service', 'bookings', 'org_id = tests.id(''kilo'')'),
  ('owner manager coach staff desk service', 'alerts', 'org_id = tests.id(''kilo'')'),
  ('owner manager service', 'audit_log', 'org_id = tests.id(''kilo'')'),
  ('owner service', 'org_members', 'user_id = tests.id(''kilo_owner'')'),
  ('owner service', 'profiles', 'id = tests.id(''kilo_owner'')'),
  ('owner manager coach staff desk accountant client other nobody service', 'role_permissions', 'true')) as r (w, t, f);

-- Writing.
select pg_temp.only(w, q, d) from (values
  ('owner manager', $$ update public.orgs set name = 'x' where id = tests.id('kilo') $$, 'renames the organisation'),
  ('owner manager', $$ update public.branding set display_name = 'x' where org_id = tests.id('kilo') $$,
   'changes the branding'),
  ('owner manager coach staff',
   $$ update public.booking_settings set cancel_notice_hours = 1 where org_id = tests.id('kilo') $$,
   'changes the booking settings'),
  ('owner manager coach staff',
   $$ insert into public.session_types (org_id, name, slug) values (tests.id('kilo'), 'x', 'x') $$,
   'adds a session type'),
  ('owner manager coach staff', $$ update public.session_types set name = 'x' where id = tests.id('type') $$,
   'changes a session type'),
  ('owner manager coach staff', $$ delete from public.session_types where id = tests.id('type') $$,
   'deletes a session type'),
  ('owner manager coach staff',
   $$ insert into public.offers (org_id, name, offer_type, price_cents)
      values (tests.id('kilo'), 'x', 'session_pack', 1) $$, 'adds an offer'),
  ('owner manager coach staff', $$ update public.offers set price_cents = 1 where id = tests.id('kilo_offer') $$,
   'prices an offer'),
  ('owner manager coach staff', $$ delete from public.offers where id = tests.id('unsold') $$, 'deletes an offer'),
  ('owner manager coach staff',
   $$ insert into public.promo_codes (org_id, code, discount_type, discount_value)
      values (tests.id('kilo'), 'x', 'fixed', 1) $$, 'adds a promo code'),
  ('owner manager coach staff', $$ update public.promo_codes set discount_value = 2 where id = tests.id('promo') $$,
   'changes a promo code'),
  ('owner manager coach staff', $$ delete from public.promo_codes where id = tests.id('promo') $$,
   'deletes a promo code'),
  ('owner manager coach staff desk',
   $$ insert into public.clients (org_id, full_name) values (tests.id('kilo'), 'x') $$, 'adds a client'),
  ('owner manager coach staff desk', $$ update public.clients set notes = 'x' where id = tests.id('kilo_client') $$,
   'writes a client''s notes'),
  ('owner manager coach staff desk client',
   $$ update public.clients set weight_kg = 70 where id = tests.id('kilo_client') $$, 'writes a client''s weight'),
  ('owner manager coach staff desk service',
   $$ update public.clients set portal_token = gen_random_uuid() where id = tests.id('kilo_client') $$,
   'opens a portal link'),
  ('', $$ delete from public.clients where id = tests.id('kilo_client') $$, 'deletes a client'),
  ('owner manager coach staff desk',
   $$ insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents)
      values (tests.id('kilo'), tests.id('kilo_client'), tests.id('unsold'), 1) $$, 'sells'),
  ('owner manager coach staff desk',
   $$ update public.client_purchases set payment_method = 'card' where id = tests.id('kilo_package') $$,
   'says how a package was paid'),
  ('owner manager coach staff',
   $$ update public.client_purchases set sessions_used = 7 where id = tests.id('kilo_package') $$,
   'corrects a package'),
  ('owner manager coach staff',
   $$ update public.client_purchases set expires_at = now() where id = tests.id('kilo_package') $$, 'moves an expiry'),
  ('owner manager coach staff', $$ delete from public.client_purchases where id = tests.id('unused') $$,
   'deletes an unused package'),
  ('', $$ insert into public.session_entries (org_id, purchase_id, kind, used_delta, reason)
          values (tests.id('kilo'), tests.id('kilo_package'), 'release', -1, 'x') $$, 'writes the ledger'),
  ('owner manager coach staff desk service',
   $$ insert into public.bookings (org_id, client_id, start_time, end_time)
      values (tests.id('kilo'), tests.id('kilo_client'), now(), now() + interval '1 hour') $$, 'books'),
  ('owner manager coach staff desk',
   $$ update public.bookings set start_time = start_time - interval '1 minute' where id = tests.id('kilo_booking') $$,
   'moves a booking'),
  ('owner manager coach staff desk service',
   $$ update public.bookings set status = 'completed' where id = tests.id('kilo_booking') $$, 'completes a booking'),
  ('owner manager coach staff desk',
   $$ update public.bookings set status = 'cancelled' where id = tests.id('kilo_booking') $$,
   'cancels a booking inside the notice'),
  ('', $$ delete from public.bookings where id = tests.id('kilo_booking') $$, 'deletes a booking'),
  ('owner manager coach staff desk',
   $$ update public.alerts set resolved_at = now() where org_id = tests.id('kilo') $$, 'ticks an alert off'),
  ('', $$ insert into public.org_members (org_id, user_id, role)
          values (tests.id('kilo'), tests.id('nobody'), 'coach') $$, 'adds a member by a bare insert'),
  ('owner', $$ update public.profiles set full_name = 'x' where id = tests.id('kilo_owner') $$,
   'writes a person''s name')) as r (w, q, d);
select tests.ledger_holds('and all of that left nothing behind');

select * from finish();
rollback;
