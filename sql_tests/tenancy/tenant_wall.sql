-- tenant_wall: of another organisation one sees no row, changes none, deletes none and adds none, in any table.
begin;
-- How many checks there are follows from the list of tables, which is itself checked.
select * from no_plan();

create temp table walled (name text, update_column text, may_delete boolean) on commit drop;
insert into walled values
  ('org_members', null, false), ('branding', 'display_name', false), ('clients', 'full_name', false),
  ('offers', 'name', true),
  ('promo_codes', 'code', true), ('client_purchases', 'payment_method', true), ('session_entries', null, false),
  ('booking_settings', 'timezone', false), ('session_types', 'name', true), ('bookings', 'notes', false), ('audit_log', null, false),
  ('alerts', 'resolved_at', false), ('support_access', null, false),
  ('locations', 'name', false), ('location_hours', 'opens_time', true), ('staff', 'full_name', false), ('staff_locations', null, true),
  ('session_type_staff', null, true), ('session_type_prices', 'price_cents', true), ('availability', null, true),
  ('blocked_times', 'reason', true), ('booking_series', null, false), ('waitlist_entries', null, false),
  ('sms_settings', 'enabled', false), ('sms_templates', 'is_active', false), ('sms_schedules', 'label', true), ('sms_suppression', null, true), ('marketing_sends', null, false),
  ('outbox_messages', null, false), ('outbox_attempts', null, false), ('outbox_events', null, false), ('inbound_messages', null, false), ('sms_messages', null, false),
  ('stripe_accounts', null, false), ('money_events', null, false), ('subscriptions', null, false), ('disputes', null, false),
  ('org_payouts', 'status', false), ('org_payout_settings', 'bank_bsb', false),
  ('finance_monthly', null, false), ('org_earnings', null, false),
  ('inquiries', 'status', true), ('inquiry_events', null, false), ('referral_links', 'is_active', false), ('referrals', null, false),
  ('referral_rewards', null, false), ('credit_entries', null, false), ('client_invites', 'redeemed_at', false), ('member_invites', null, false),
  ('waiver_texts', null, false), ('client_waivers', 'status', false),
  ('automations', 'name', true), ('automation_firings', null, false), ('automation_runs', null, false), ('webhook_endpoints', 'name', true),
  ('webhook_deliveries', null, false), ('risk_settings', 'red_from', false), ('client_risk', null, false),
  ('activity_events', null, false), ('habits', 'name', false), ('client_habits', null, true), ('client_measurements', null, true),
  ('checkin_photos', null, true), ('products', 'name', true),
  ('refund_tiers', null, false), ('deposits', null, false), ('refunds', null, false), ('receipts', null, false),
  ('plan_grants', null, false), ('org_subscriptions', null, false),
  ('sms_events', null, false), ('message_threads', 'trainer_last_read_at', false), ('messages', null, false), ('client_communications', null, false);
-- push_tokens is left to sql_tests/messaging/push.sql: no member reads it.
grant select on walled to public;

select set_eq(
  $$ select name from walled $$,
  $$ select c.relname::text from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attname = 'org_id'
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and c.relname <> 'push_tokens' $$,
  'this list names every table with an organisation');
select is_empty(
  $$ select c.relname from pg_class as c where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
      and c.relkind in ('r', 'p') and not c.relrowsecurity $$, 'row level security is on everywhere');

-- Kilo has something in each of them.
select tests.sign_in('coach@kilo.example');
insert into public.promo_codes (org_id, code, discount_type, discount_value) values (:'kilo', 'SUMMER', 'percentage', 10);
insert into public.session_types (org_id, name, slug) values (:'kilo', 'Personal training', 'pt') returning id as type \gset
insert into public.locations (org_id, name) values (:'kilo', 'The gym') returning id as location \gset
select id as staff from public.staff where org_id = :'kilo' \gset
insert into public.location_hours (org_id, location_id, day_of_week, opens_time, closes_time) values (:'kilo', :'location', 1, '06:00', '22:00');
insert into public.staff_locations (org_id, staff_id, location_id) values (:'kilo', :'staff', :'location');
insert into public.session_type_staff (org_id, session_type_id, staff_id) values (:'kilo', :'type', :'staff');
insert into public.session_type_prices (org_id, session_type_id, location_id, price_cents) values (:'kilo', :'type', :'location', 9000);
insert into public.availability (org_id, day_of_week, start_time, end_time) select :'kilo', d, '06:00', '22:00' from generate_series(0, 6) as d;
insert into public.blocked_times (org_id, day_of_week, start_time, end_time, reason) values (:'kilo', 1, '12:00', '13:00', 'Lunch');
select book_series(:'kilo', :'kilo_client', current_date + 7, '14:00', 1, 2, :'type');
select join_waitlist(:'kilo', :'kilo_client', current_date + 7, :'type');
select use_session(:'kilo_package');
insert into public.sms_settings (org_id, enabled) values (:'kilo', true);
insert into public.sms_templates (org_id, template_key, name, body) values (:'kilo', 'spring', 'Spring', 'Hi {first_name}');
insert into public.sms_schedules (org_id, type, label, body) values (:'kilo', 'pre_session', 'An hour before', 'See you {session_datetime}');
insert into public.message_threads (org_id, client_id) values (:'kilo', :'kilo_client') returning id as thread \gset
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'trainer', 'Hello');
insert into public.client_communications (org_id, client_id, type, direction, content) values (:'kilo', :'kilo_client', 'phone', 'outbound', 'Called');
insert into public.habits (org_id, name) values (:'kilo', 'Walk') returning id as habit \gset
insert into public.client_habits (org_id, client_id, habit_id) values (:'kilo', :'kilo_client', :'habit');
insert into public.activity_events (org_id, client_id, type, payload) values (:'kilo', :'kilo_client', 'workout', '{"completed": true}');
insert into public.client_measurements (org_id, client_id, measurement_type, value, unit) values (:'kilo', :'kilo_client', 'Waist', 80, 'cm');
insert into public.products (org_id, name, price_cents) values (:'kilo', 'Towel', 2500);
select send_marketing(:'kilo', 'Open day', 'active');
insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
values (:'kilo', 'Paid?', '{"type": "event", "event": "payment_failed"}', '[]', '[{"type": "notify_trainer", "params": {}}]', '{}') returning id as automation \gset
insert into public.risk_settings (org_id) values (:'kilo');
select suppress_phone(:'kilo_client');
select tests.as_owner();
insert into public.plans (plan, name, price_cents, features) values ('pro', 'Pro', 4900, '{marketing}');
insert into public.plan_grants (org_id, source, plan, ends_at) values (:'kilo', 'comp', 'pro', now() + interval '1 year');
insert into public.org_subscriptions (org_id, stripe_subscription_id, stripe_price_id, plan, status, started_at, current_period_ends_at, as_of)
values (:'kilo', 'sub_1', 'price_1', 'pro', 'active', now(), now() + interval '1 month', now());
insert into public.checkin_photos (org_id, client_id, storage_path) values (:'kilo', :'kilo_client', :'kilo_client' || '/front.jpg');
update public.sms_settings set quiet_hours_end = quiet_hours_start where org_id = :'kilo';
delete from public.sms_suppression;
select count(*) from service.claim_messages('w', 10, '{sms}');
select service.record_messages(jsonb_agg(jsonb_build_object('org_id', m.org_id, 'id', m.id, 'claim', m.claim, 'outcome', 'sent', 'provider_message_id', 'SM1', 'provider_status', 'queued')))
  from public.outbox_messages as m where m.status = 'sending';
select service.record_sms_status(null, 'SM1', 'delivered'), service.receive_sms('SM2', 'AC', '+61480000009', '+61400000000', 'STOP');
insert into public.inquiries (org_id, name, email) values (:'kilo', 'A lead', 'lead@kilo.example') returning id as inquiry \gset
insert into public.referral_links (org_id, code, name, reward_type, reward_value) values (:'kilo', 'KILO', 'Bring a friend', 'credit', 1000) returning id as link \gset
insert into public.referrals (org_id, referral_link_id, referred_email, status, signed_up_at)
values (:'kilo', :'link', 'lead@kilo.example', 'signed_up', now() - interval '1 hour') returning id as referral \gset
update public.inquiries set referral_id = :'referral' where id = :'inquiry';
select private.convert_inquiry(:'kilo', :'inquiry', null);
insert into public.client_invites (org_id, client_id, invite_code, expires_at) values (:'kilo', :'kilo_client', 'KILOCODE99', now() + interval '1 day');
insert into public.member_invites (org_id, email, role, token_hash, expires_at) values (:'kilo', 'new@kilo.example', 'coach', 'x', now() + interval '1 day');
update public.orgs set waiver_template = 'I know the risks.' where id = :'kilo';
insert into public.client_waivers (org_id, client_id) values (:'kilo', :'kilo_client');
select private.notice_event(:'kilo', 'payment_failed', :'kilo_client', 'invoice');
insert into public.automation_runs (org_id, firing_id, automation_id, client_id, status)
select f.org_id, f.id, f.automation_id, f.client_id, 'ok' from public.automation_firings as f where f.org_id = :'kilo' returning id as run \gset
insert into public.webhook_endpoints (org_id, name, url, secret_encrypted) values (:'kilo', 'Books', 'https://hooks.example/1', 'x') returning id as endpoint \gset
insert into public.webhook_deliveries (org_id, endpoint_id, run_id, action_index, payload, expires_at)
values (:'kilo', :'endpoint', :'run', 0, '{}', now() + interval '1 day');
insert into public.client_risk (org_id, client_id, as_of_date, score, tier) values (:'kilo', :'kilo_client', current_date, 60, 'red');
insert into public.support_access (org_id, user_id, reason, expires_at) values (:'kilo', :'kilo_manager', 'a question', now() + interval '1 hour');
select private.raise_alert(:'kilo', 'booking_uncovered', :'kilo_client', :'kilo_package', :'kilo_booking');
select tests.open_payments();
select set_refund_policy(:'kilo', '[{"hours_before": 24, "percent": 50}]') from (select tests.sign_in('coach@kilo.example')) as s;
select tests.as_owner();
insert into public.deposits (org_id, client_id, amount_cents, currency, application_fee_cents, start_time, expires_at, stripe_account_id)
values (:'kilo', :'kilo_client', 2500, 'aud', 125, now() + interval '1 day', now() + interval '1 hour', 'acct_kilo');
select service.refund_payment(e.id, 100), service.issue_receipt(e.id) from public.money_events as e where e.org_id = :'kilo' and e.type = 'INCOME' limit 1;

create function pg_temp.rows_of(p_table text) returns bigint language plpgsql as $$
declare
  v_rows bigint;
begin
  execute format('select count(*) from public.%I where org_id = tests.id(''kilo'')', p_table) into v_rows;
  return v_rows;
end;
$$;
grant execute on function pg_temp.rows_of(text) to public;
select tests.sign_in('coach@kilo.example');
select cmp_ok(pg_temp.rows_of(w.name), '>', 0::bigint, format('%s: their own owner sees a row', w.name))
  from walled as w order by w.name;
select tests.sign_in('coach@lima.example');
select is(pg_temp.rows_of(w.name), 0::bigint, format('%s: another organisation''s owner sees none', w.name))
  from walled as w order by w.name;
select tests.sign_in('nobody@nowhere.example');
select is(pg_temp.rows_of(w.name), 0::bigint, format('%s: nor does somebody without a membership', w.name))
  from walled as w order by w.name;

select tests.sign_in('coach@lima.example');
select case when w.update_column is null
  then tests.forbids(format('update public.%I set org_id = org_id', w.name), format('%s: nobody updates it', w.name))
  else tests.changes_nothing(format('update public.%I set %I = %2$I where org_id = tests.id(''kilo'')', w.name,
                                    w.update_column),
                             format('%s: another organisation''s owner changes none', w.name)) end
  from walled as w order by w.name;
select case when w.may_delete
  then tests.changes_nothing(format('delete from public.%I where org_id = tests.id(''kilo'')', w.name),
                             format('%s: another organisation''s owner deletes none', w.name))
  else tests.forbids(format('delete from public.%I', w.name), format('%s: nobody deletes from it', w.name)) end
  from walled as w order by w.name;

select tests.forbids($$ insert into public.clients (org_id, full_name) values (tests.id('kilo'), 'A client') $$,
                     'another organisation''s owner adds no client');
select tests.forbids($$ insert into public.offers (org_id, name, offer_type, price_cents)
                        values (tests.id('kilo'), 'x', 'session_pack', 1) $$,
                     'nor an offer');
select tests.forbids($$ insert into public.promo_codes (org_id, code, discount_type, discount_value)
                        values (tests.id('kilo'), 'SUMMER', 'fixed', 1) $$,
                     'nor a promo code, and learns nothing of those there are');
select tests.forbids($$ insert into public.session_types (org_id, name, slug) values (tests.id('kilo'), 'x', 'pt') $$,
                     'nor a session type, likewise');
select tests.refuses($$ insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents)
                        values (tests.id('kilo'), tests.id('kilo_client'), tests.id('kilo_offer'), 1) $$,
                     403, 'permission_missing',
                     'nor a package, and learns nothing of the offer''s price');
select tests.refuses($$ insert into public.bookings (org_id, client_id, start_time, end_time)
                        values (tests.id('kilo'), tests.id('kilo_client'), now(), now() + interval '1 hour') $$, 403, 'permission_missing',
                     'nor a booking, and learns nothing of who is free');
select tests.remember('type', :'type'), tests.remember('location', :'location'), tests.remember('staff', :'staff'), tests.remember('thread', :'thread'), tests.remember('habit', :'habit');
select tests.forbids(format('insert into public.%I (org_id, %s) values (tests.id(''kilo''), %s)', t.name, t.columns, t.row), format('nor a row of %s', t.name))
  from (values
    ('locations', 'name', '''x'''),
    ('location_hours', 'location_id, day_of_week, opens_time, closes_time', 'tests.id(''location''), 2, ''06:00'', ''07:00'''),
    ('staff', 'full_name', '''x'''),
    ('staff_locations', 'staff_id, location_id', 'tests.id(''staff''), tests.id(''location'')'),
    ('session_type_staff', 'session_type_id, staff_id', 'tests.id(''type''), tests.id(''staff'')'),
    ('session_type_prices', 'session_type_id, location_id, price_cents', 'tests.id(''type''), tests.id(''location''), 1'),
    ('availability', 'day_of_week, start_time, end_time', '2, ''06:00'', ''07:00'''),
    ('sms_settings', 'enabled', 'false'),
    ('sms_templates', 'template_key, name, body', '''spring'', ''x'', ''x'''),
    ('sms_schedules', 'type, label, body', '''pre_session'', ''x'', ''x'''),
    ('sms_suppression', 'phone, reason', '''+61400000000'', ''opt_out'''),
    ('message_threads', 'client_id', 'tests.id(''kilo_client'')'),
    ('client_communications', 'client_id, type, direction, content', 'tests.id(''kilo_client''), ''phone'', ''outbound'', ''x'''),
    ('activity_events', 'client_id, type, payload', 'tests.id(''kilo_client''), ''weight'', ''{}'''),
    ('habits', 'name', '''x'''),
    ('client_habits', 'client_id, habit_id', 'tests.id(''kilo_client''), tests.id(''habit'')'),
    ('client_measurements', 'client_id, measurement_type, value, unit', 'tests.id(''kilo_client''), ''Waist'', 1, ''cm'''),
    ('checkin_photos', 'client_id, storage_path', 'tests.id(''kilo_client''), tests.id(''kilo_client'') || ''/front.jpg'''),
    ('products', 'name, price_cents', '''x'', 1'),
    ('push_tokens', 'client_id, expo_token', 'tests.id(''kilo_client''), ''x'''),
    ('inquiries', 'name', '''x'''),
    ('referral_links', 'code, name', '''KILO'', ''x'''),
    ('client_waivers', 'client_id', 'tests.id(''kilo_client'')'),
    ('automations', 'name, trigger, conditions, actions, guardrails', '''x'', ''{"type": "event", "event": "risk_red"}'', ''[]'', ''[{"type": "notify_trainer", "params": {}}]'', ''{}'''),
    ('automation_firings', 'automation_id, due_at, next_at', 'gen_random_uuid(), now(), now()'),
    ('automation_runs', 'firing_id, automation_id, client_id, status', 'gen_random_uuid(), gen_random_uuid(), tests.id(''kilo_client''), ''ok'''),
    ('client_risk', 'client_id, as_of_date, score, tier', 'tests.id(''kilo_client''), current_date, 0, ''green'''),
    ('risk_settings', 'red_from', '60'),
    ('blocked_times', 'day_of_week, start_time, end_time', '2, ''06:00'', ''07:00''')) as t (name, columns, row);
select tests.forbids($$ insert into public.booking_settings (org_id) values (tests.id('kilo')) $$, 'nor settings, and learns not that there are some');
select tests.forbids($$ insert into public.session_entries (org_id, purchase_id, kind, used_delta, reason)
                        values (tests.id('kilo'), tests.id('kilo_package'), 'use', 1, 'x') $$, 'nor a ledger entry');
select tests.forbids($$ insert into public.audit_log (org_id, actor_role, action, subject_type)
                        values (tests.id('kilo'), 'x', 'x', 'x') $$,
                     'nor an audit row');

-- No row points across.
select tests.refuses($$ insert into public.bookings (org_id, client_id, start_time, end_time)
                        values (tests.id('lima'), tests.id('kilo_client'), now(), now() + interval '1 hour') $$,
                     404, 'reference_not_found',
                     'one''s own booking does not point to another''s client');
select tests.refuses($$ insert into public.session_type_staff (org_id, session_type_id, staff_id)
                        values (tests.id('lima'), tests.id('type'), (select s.id from public.staff as s where s.org_id = tests.id('lima'))) $$,
                     404, 'reference_not_found', 'one''s own staff do not give another''s session type');
select tests.refuses($$ insert into public.blocked_times (org_id, staff_id, day_of_week, start_time, end_time)
                        values (tests.id('lima'), tests.id('staff'), 1, '09:00', '10:00') $$, 404, 'reference_not_found',
                     'nor does one block another''s staff');
select tests.refuses($$ insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents)
                        values (tests.id('lima'), tests.id('lima_client'), tests.id('kilo_offer'), 80000) $$,
                     404, 'offer_not_found',
                     'one''s own sale does not point to another''s offer');
select tests.changes_nothing($$ update public.offers set org_id = tests.id('lima') where id = tests.id('kilo_offer') $$,
                             'nobody moves another''s offer to themselves');

select * from finish();
rollback;
