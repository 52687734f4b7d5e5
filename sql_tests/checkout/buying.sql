-- portal_checkout, connect_begin, connect_status, payouts: the terms of a sale, whose account it is on, and what an organisation is paid.
begin;
select plan(63);
select tests.open_checkout();

-- The terms of a checkout.
select tests.sign_out();
select portal_checkout(tests.id('ann_token')::text, :'kilo_offer') as terms \gset
select is(:'terms'::jsonb - 'portal_path' - 'portal_url', jsonb_build_object('account', 'acct_kilo', 'mode', 'payment', 'name', 'Ten sessions', 'amount_cents', 80000, 'currency', 'aud', 'application_fee_cents', 4000,
          'application_fee_percent', 5.00, 'interval', 'month', 'interval_count', 1, 'client_email', 'ann@kilo.example', 'idempotency_key', null,
          'metadata', jsonb_build_object('org_id', tests.id('kilo'), 'client_id', tests.id('ann'), 'offer_id', tests.id('kilo_offer'))), 'the offer''s price, on the organisation''s account, with the platform''s share');
select is(:'terms'::jsonb ->> 'portal_url', 'https://app.example/portal/' || tests.id('ann_token'), 'and the way back');
select is(portal_checkout(gen_random_uuid()::text, :'kilo_offer') ->> 'details', 'link_not_found', 'a link that opens nothing buys nothing');
select tests.refuses($$ select portal_checkout(tests.id('ann_token')::text, tests.id('lima_offer')) $$, 404, 'offer_not_found', 'another organisation''s offer does not exist');
select tests.refuses($$ select portal_checkout(tests.id('ann_token')::text, null) $$, 404, 'offer_not_found', 'nor does none');
select tests.as_owner();
update public.booking_settings set pass_stripe_fees = true where org_id = :'kilo';
select is((t ->> 'amount_cents', t ->> 'application_fee_cents', t ->> 'application_fee_percent')::text, '(81455,4000,4.91)', 'fees passed on: (price + 30) / (1 - 0.0175), the share of the price alone') from (select portal_checkout(tests.id('ann_token')::text, :'kilo_offer') as t) as x;
select is(private.checkout_total(p.price, true), p.total, format('a price of %s asks %s', p.price, p.total)) from (values (0::bigint, 31::bigint), (1, 32), (5000, 5120), (100000000, 101781201)) as p (price, total);
insert into public.offers (org_id, id, name, offer_type, price_cents, billing_period) select tests.id('kilo'), tests.remember(b.period, gen_random_uuid()), b.period, 'subscription', 5000, b.period from unnest('{weekly,fortnightly,monthly,quarterly,yearly}'::text[]) as b (period);
insert into public.offers (org_id, id, name, offer_type, price_cents, is_active) values
  (:'kilo', tests.remember('free', gen_random_uuid()), 'Trial', 'single_session', 0, true), (:'kilo', tests.remember('old', gen_random_uuid()), 'Old', 'single_session', 100, false),
  (:'kilo', tests.remember('endless', gen_random_uuid()), 'No period', 'subscription', 100, true);
select is((t ->> 'mode', t ->> 'interval', t ->> 'interval_count')::text, b.expected, 'a subscription, ' || b.period) from (values ('weekly', '(subscription,week,1)'), ('fortnightly', '(subscription,week,2)'), ('monthly', '(subscription,month,1)'),
          ('quarterly', '(subscription,month,3)'), ('yearly', '(subscription,year,1)')) as b (period, expected)
 cross join lateral (select portal_checkout(tests.id('ann_token')::text, tests.id(b.period)) as t) as x;
select tests.refuses(format($$ select portal_checkout(tests.id('ann_token')::text, tests.id(%L)) $$, t.name), t.status, t.slug, t.title) from (values
  ('free', 409, 'offer_not_for_sale', 'what is free is not bought'), ('old', 404, 'offer_not_found', 'nor what is not offered any more'), ('endless', 409, 'offer_not_for_sale', 'nor a subscription without a period')) as t (name, status, slug, title);
select private.set_brake('payments', :'kilo', 'Fraud', null, true);
select tests.refuses($$ select portal_checkout(tests.id('ann_token')::text, tests.id('kilo_offer')) $$, 423, 'brake_on', 'under the brake nothing is sold');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select connect_begin(tests.id('kilo')) $$, 423, 'brake_on', 'nor connected');
select tests.as_owner();
select private.set_brake('payments', :'kilo', 'None', null, false);
delete from public.stripe_accounts where org_id = :'kilo';
select tests.refuses($$ select portal_checkout(tests.id('ann_token')::text, tests.id('kilo_offer')) $$, 409, 'payments_not_set_up', 'without an account nothing is sold');

-- Connecting.
select tests.sign_in('coach@kilo.example');
select is(connect_begin(:'kilo'), jsonb_build_object('org_id', tests.id('kilo'), 'name', 'Kilo', 'account', null, 'idempotency_key', 'connect-' || tests.id('kilo'),
          'return_url', 'https://app.example/settings/payments'), 'an owner begins');
select is(connect_status(:'kilo') ->> 'next_step', 'connect', 'and has everything to do');
select tests.only_for_members($$ select connect_begin(tests.id('kilo')) $$, 'org_not_found', 'manager@kilo.example', 'connect_begin');
select tests.only_for_members($$ select connect_status(tests.id('kilo')) $$, 'org_not_found', 'desk@kilo.example', 'connect_status');
select tests.as_service();
select is(service.record_stripe_account(:'kilo', 'acct_new', false, false, false) ->> 'next_step', 'continue', 'the account is recorded');
select is(service.record_stripe_account(:'kilo', 'acct_new', false, false, true) ->> 'next_step', 'wait', 'as Stripe has it');
select is(service.record_stripe_account(:'kilo', 'acct_new', true, true, true) ->> 'next_step', null, 'until it is done');
select is(service.record_stripe_account(:'kilo', 'acct_new', false, true, true, now() - interval '1 hour') ->> 'charges_enabled', 'true', 'an older word changes nothing');
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select service.record_stripe_account(tests.id('kilo'), 'acct_other', true, true, true) $$, 409, 'stripe_account_taken', 'another account does not take its place'),
  ($$ select service.record_stripe_account(tests.id('lima'), 'acct_new', true, true, true) $$, 409, 'stripe_account_taken', 'nor is an account two organisations'''),
  ($$ select service.record_stripe_account(tests.id('kilo'), 'x', true, true, true) $$, 422, 'value_not_allowed', 'an account looks like one'),
  ($$ select service.record_stripe_account(tests.id('kilo'), null, true, true, true) $$, 422, 'value_not_allowed', 'and is one'),
  ($$ select service.record_stripe_account(gen_random_uuid(), 'acct_x', true, true, true) $$, 404, 'org_not_found', 'of an organisation')) as t (call, status, slug, title);

-- Payouts.
select tests.remember('payout', service.create_payout(:'kilo', '2026-10-01', '2026-10-31', 100000, 5000));
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select service.create_payout(tests.id('kilo'), '2026-10-01', '2026-10-31', 100000, 5000) $$, 409, 'payout_exists', 'a period is paid once'),
  ($$ select service.create_payout(tests.id('kilo'), '2026-10-31', '2026-10-01', 100000, 5000) $$, 422, 'value_not_allowed', 'a period goes forward'),
  ($$ select service.create_payout(tests.id('kilo'), '2026-11-01', '2026-11-30', 100, 101) $$, 422, 'value_not_allowed', 'the share is within the whole'),
  ($$ select service.create_payout(gen_random_uuid(), '2026-10-01', '2026-10-31', 100, 1) $$, 404, 'org_not_found', 'to an organisation'),
  ($$ select service.pay_payout(gen_random_uuid()) $$, 404, 'payout_not_found', 'no payout, no payment')) as t (call, status, slug, title);
select isnt(service.pay_payout(tests.id('payout'), 'NAB 123'), null, 'it is paid');
select is(service.pay_payout(tests.id('payout')), now(), 'once');
select is((status, net_amount_cents, payout_reference)::text, '(paid,95000,"NAB 123")', 'less the share') from service.list_payouts(:'kilo');
select tests.as_owner();
select is((type, amount_cents, payout_id)::text, ('PAYOUT', -95000, tests.id('payout'))::text, 'and booked') from public.money_events where payout_id = tests.id('payout');

-- The platform's page, and the owner's.
insert into public.platform_admins (user_id, email) values (tests.id('nobody'), 'nobody@nowhere.example');
select tests.sign_in('nobody@nowhere.example');
select lives_ok($$ insert into org_payouts (org_id, period_start, period_end, gross_amount_cents, commission_cents, net_amount_cents, status, payout_reference) values (tests.id('lima'), '2026-10-01', '2026-10-31', 200, 10, 190, 'processing', 'x') $$, 'a platform admin writes one');
select tests.refuses($$ insert into org_payouts (org_id, period_start, period_end, gross_amount_cents, commission_cents, net_amount_cents, status, payout_reference) values (tests.id('lima'), '2026-10-01', '2026-10-31', 200, 10, 190, 'processing', 'x') $$, 409, 'payout_exists', 'twice it is refused');
select lives_ok($$ update org_payouts set status = 'paid', paid_at = now() where org_id = tests.id('lima') $$, 'and marks it paid');
select tests.refuses($$ update org_payouts set status = 'pending' where org_id = tests.id('lima') $$, 409, 'payout_paid', 'what is paid stays so');
select tests.as_owner();
select is(sum(amount_cents)::text, '-190', 'booked once') from public.money_events where org_id = tests.id('lima') and type = 'PAYOUT';
select tests.sign_in('coach@kilo.example');
select is(count(*), 1::bigint, 'an owner sees their payouts, nobody else''s') from org_payouts;
select tests.changes_nothing($$ update org_payouts set paid_at = null where true $$, 'and changes none');
select lives_ok($$ insert into org_payout_settings (org_id, payout_method, bank_bsb) values (tests.id('kilo'), 'bank_transfer', '000-000') on conflict (org_id) do update set bank_bsb = excluded.bank_bsb $$, 'an owner says where to');
select tests.sign_in('manager@kilo.example');
select tests.changes_nothing($$ update org_payout_settings set bank_bsb = '111-111' where org_id = tests.id('kilo') $$, 'a manager does not');
select tests.sign_in('coach@lima.example');
select is_empty($$ select from org_payout_settings where org_id = tests.id('kilo') $$, 'another organisation does not see it');

select * from finish();
rollback;
