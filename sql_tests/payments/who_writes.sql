-- who_writes: money is never written by hand; payouts are the platform's, the account they go to is the owner's.
begin;
select plan(31);

select tests.open_payments();
select tests.join_org('kilo', 'coach2@kilo.example', 'coach', 'kilo_coach');
select tests.sign_up('admin@platform.example', 'admin') as admin \gset
insert into public.platform_admins (user_id, email) values (:'admin', 'admin@platform.example');

-- Reading.
create function pg_temp.sees(p_email text, p_table text) returns bigint language plpgsql as $$
declare
  v_rows bigint;
begin
  perform tests.sign_in(p_email);
  execute format('select count(*) from public.%I where org_id = tests.id(''kilo'')', p_table) into v_rows;
  perform tests.as_owner();
  return v_rows;
end;
$$;
select is((select string_agg(t, ' ' order by n) from unnest(array['stripe_accounts', 'money_events', 'subscriptions', 'disputes', 'org_payouts', 'org_payout_settings'])
             with ordinality as u (t, n) where pg_temp.sees(e, t) > 0), w, format('%s sees: %s', e, w))
  from (values
    ('coach@kilo.example', 'stripe_accounts money_events subscriptions disputes org_payouts org_payout_settings'),
    ('manager@kilo.example', 'stripe_accounts money_events subscriptions disputes org_payouts org_payout_settings'),
    ('accountant@kilo.example', 'stripe_accounts money_events subscriptions disputes org_payouts org_payout_settings'),
    ('coach2@kilo.example', 'stripe_accounts money_events subscriptions disputes'),
    ('desk@kilo.example', 'subscriptions'), ('client@kilo.example', 'subscriptions'), ('nobody@nowhere.example', null),
    ('coach@lima.example', null), ('admin@platform.example', 'org_payouts org_payout_settings')) as p (e, w);
select tests.sign_out();
select tests.forbids(format('select from public.%I', t), format('a visitor reads no %s', t))
  from unnest(array['money_events', 'subscriptions', 'stripe_accounts']) as t;

-- Money.
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ insert into public.money_events (org_id, event_date, type, amount_cents, source, reference_id)
                        values (tests.id('kilo'), now(), 'INCOME', 1, 'manual', 'x') $$, 'an owner writes no money event');
select tests.forbids($$ update public.money_events set amount_cents = 1 where org_id = tests.id('kilo') $$, 'nor changes one');
select tests.forbids($$ delete from public.money_events where org_id = tests.id('kilo') $$, 'nor deletes one');
select tests.forbids($$ update public.stripe_accounts set charges_enabled = true where org_id = tests.id('kilo') $$, 'nor opens an account');
select tests.forbids($$ update public.subscriptions set status = 'active' where org_id = tests.id('kilo') $$, 'nor a subscription');
select tests.as_service();
select tests.forbids($$ insert into public.money_events (org_id, event_date, type, amount_cents, source, reference_id)
                        values (tests.id('kilo'), now(), 'INCOME', 1, 'manual', 'x') $$, 'nor does the service, but by its functions');
select tests.as_owner();
select tests.refuses($$ update public.money_events set notes = 'x' where org_id = tests.id('kilo') $$, 403, 'ledger_append_only',
                     'nobody changes an entry');
select tests.refuses($$ delete from public.money_events where org_id = tests.id('kilo') $$, 403, 'ledger_append_only', 'or deletes one');

-- Payouts.
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ insert into public.org_payouts (org_id, period_start, period_end, gross_amount_cents, commission_cents, net_amount_cents)
                        values (tests.id('kilo'), '2026-12-01', '2026-12-31', 1, 0, 1) $$, 'an owner pays nothing out to themselves');
select tests.changes_nothing($$ update public.org_payouts set status = 'paid' where org_id = tests.id('kilo') $$, 'nor says it was paid');
select tests.sign_in('admin@platform.example');
select lives_ok($$ insert into public.org_payouts (org_id, period_start, period_end, gross_amount_cents, commission_cents, net_amount_cents, status, payout_reference)
                   values (tests.id('kilo'), '2026-12-01', '2026-12-31', 100, 5, 95, 'processing', 'R1') $$, 'a platform admin pays out');
select lives_ok($$ update public.org_payouts set status = 'paid', paid_at = now() where payout_reference = 'R1' $$, 'and says when');
select tests.refuses($$ insert into public.org_payouts (org_id, period_start, period_end, gross_amount_cents, commission_cents, net_amount_cents)
                        values (tests.id('kilo'), '2026-12-31', '2026-12-01', 1, 0, 1) $$, 422, 'value_not_allowed', 'for a period that has an order');

-- Where it goes.
select tests.changes_nothing($$ update public.org_payout_settings set bank_account_number = '1' where org_id = tests.id('kilo') $$,
                             'a platform admin does not redirect it');
select lives_ok($$ insert into public.org_payout_settings (org_id) values (tests.id('lima')) $$, 'but opens an empty row');
select tests.as_owner();
delete from public.org_payout_settings where org_id = :'lima';
select tests.sign_in('admin@platform.example');
select tests.refuses($$ insert into public.org_payout_settings (org_id, bank_account_number) values (tests.id('lima'), '1') $$,
                     403, 'payout_account_protected', 'that names no account');
select tests.sign_in('manager@kilo.example');
select tests.changes_nothing($$ update public.org_payout_settings set bank_account_number = '1' where org_id = tests.id('kilo') $$,
                             'a manager does not either');
select tests.sign_in('coach@kilo.example');
select lives_ok($$ insert into public.org_payout_settings (org_id, payout_method, bank_account_name, bank_bsb, bank_account_number, paypal_email, payout_frequency, updated_at)
                   values (tests.id('kilo'), 'bank_transfer', 'Kilo', '062000', '12345678', null, 'weekly', now())
                   on conflict (org_id) do update set (org_id, bank_account_number, updated_at) = (excluded.org_id, excluded.bank_account_number, excluded.updated_at) $$,
                'the owner says where, as the settings page does');
select results_eq($$ select changed_columns from public.audit_log where subject_type = 'org_payout_settings' and action = 'update' $$,
                  $$ values ('{bank_account_number}'::text[]) $$, 'and the audit names the column, not the number');

select * from finish();
rollback;
