-- Who may see and write the tables of payments directly. Money is never written by hand: no role may insert a money event.

alter table public.stripe_accounts enable row level security;
alter table public.money_events enable row level security;
alter table public.subscriptions enable row level security;
alter table public.disputes enable row level security;
alter table public.org_payouts enable row level security;
alter table public.org_payout_settings enable row level security;
alter table private.stripe_events enable row level security;
alter table private.stripe_fetches enable row level security;
alter table private.stripe_cursors enable row level security;
alter table private.stripe_payments enable row level security;
revoke all on public.stripe_accounts, public.money_events, public.subscriptions, public.disputes, public.org_payouts,
  public.org_payout_settings from public, anon, authenticated, service_role;
revoke all on private.stripe_events, private.stripe_fetches, private.stripe_cursors, private.stripe_payments
  from public, anon, authenticated, service_role;

-- stripe_accounts, money_events, disputes: members who may see money.
grant select on public.stripe_accounts, public.money_events, public.disputes to authenticated, service_role;
create policy stripe_accounts_select_members on public.stripe_accounts for select to authenticated
  using (org_id = any ((select private.orgs_with('money.read'))::uuid[]));
create policy money_events_select_members on public.money_events for select to authenticated
  using (org_id = any ((select private.orgs_with('money.read'))::uuid[]));
create policy disputes_select_members on public.disputes for select to authenticated
  using (org_id = any ((select private.orgs_with('money.read'))::uuid[]));

-- subscriptions: members, and the client whose it is.
grant select on public.subscriptions to authenticated, service_role;
create policy subscriptions_select_people on public.subscriptions for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));

-- org_payouts: the platform's admins write, members who may see payouts read.
grant select on public.org_payouts to authenticated, service_role;
grant insert (org_id, period_start, period_end, gross_amount_cents, commission_cents, net_amount_cents, status, payout_reference),
      update (status, paid_at) on public.org_payouts to authenticated;
create policy org_payouts_select_people on public.org_payouts for select to authenticated
  using (org_id = any ((select private.orgs_with('finance.read'))::uuid[]) or (select private.is_platform_admin()));
create policy org_payouts_insert_platform on public.org_payouts for insert to authenticated
  with check ((select private.is_platform_admin()));
create policy org_payouts_update_platform on public.org_payouts for update to authenticated
  using ((select private.is_platform_admin()));

-- org_payout_settings: the owner writes; a platform admin opens an empty row for a new organisation.
grant select on public.org_payout_settings to authenticated, service_role;
grant insert (org_id, payout_method, bank_account_name, bank_bsb, bank_account_number, paypal_email, payout_frequency, updated_at),
      update (org_id, payout_method, bank_account_name, bank_bsb, bank_account_number, paypal_email, payout_frequency, updated_at)
  on public.org_payout_settings to authenticated;
create policy org_payout_settings_select_people on public.org_payout_settings for select to authenticated
  using (org_id = any ((select private.orgs_with('finance.read'))::uuid[]) or (select private.is_platform_admin()));
create policy org_payout_settings_insert_people on public.org_payout_settings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('payouts.write'))::uuid[]) or (select private.is_platform_admin()));
create policy org_payout_settings_update_owners on public.org_payout_settings for update to authenticated
  using (org_id = any ((select private.orgs_with('payouts.write'))::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.org_payouts
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.org_payout_settings
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly('upserted');

-- Row level security without a policy that lets anybody in: only definers of the owner reach these.
create policy stripe_events_select_nobody on private.stripe_events for select to service_role using (false);
create policy stripe_fetches_select_nobody on private.stripe_fetches for select to service_role using (false);
create policy stripe_cursors_select_nobody on private.stripe_cursors for select to service_role using (false);
create policy stripe_payments_select_nobody on private.stripe_payments for select to service_role using (false);
