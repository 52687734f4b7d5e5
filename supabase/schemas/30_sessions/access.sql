-- Who may see and write offers, promo codes, packages and the ledger directly.
-- Counters, entries and settlement are never granted: sessions_used and sessions_total are, and a trigger corrects by ledger.

alter table public.offers enable row level security;
alter table public.promo_codes enable row level security;
alter table public.client_purchases enable row level security;
alter table public.session_entries enable row level security;
revoke all on public.offers, public.promo_codes, public.client_purchases, public.session_entries
  from public, anon, authenticated, service_role;

-- offers: members read and write, a client reads their organisation's.
grant select, delete on public.offers to authenticated;
grant select on public.offers to service_role;
grant insert (org_id, name, description, offer_type, price_cents, currency, billing_period, sessions_included, bonus_sessions,
              pack_validity_days, session_duration_mins, included_items, is_featured, is_active, sort_order, updated_at)
  on public.offers to authenticated;
grant update (org_id, name, description, offer_type, price_cents, currency, billing_period, sessions_included, bonus_sessions,
              pack_validity_days, session_duration_mins, included_items, is_featured, is_active, updated_at)
  on public.offers to authenticated;
create policy offers_select_people on public.offers for select to authenticated
  using (org_id = any ((select private.orgs_with('offers.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy offers_insert_members on public.offers for insert to authenticated
  with check (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy offers_update_members on public.offers for update to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy offers_delete_members on public.offers for delete to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));

-- promo_codes: members.
grant select, delete on public.promo_codes to authenticated;
grant select on public.promo_codes to service_role;
grant insert (org_id, code, discount_type, discount_value, valid_from, valid_until, max_uses, times_used, is_active)
  on public.promo_codes to authenticated;
grant update (org_id, code, discount_type, discount_value, valid_from, valid_until, max_uses, times_used, is_active)
  on public.promo_codes to authenticated;
create policy promo_codes_select_members on public.promo_codes for select to authenticated
  using (org_id = any ((select private.orgs_with('offers.read'))::uuid[]));
create policy promo_codes_insert_members on public.promo_codes for insert to authenticated
  with check (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
-- A front desk that sells writes times_used after each sale, as the app does; the trigger keeps the count.
create policy promo_codes_update_members on public.promo_codes for update to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy promo_codes_delete_members on public.promo_codes for delete to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));

-- client_purchases: members sell and edit (triggers check), a client reads their own.
grant select, delete on public.client_purchases to authenticated;
grant select on public.client_purchases to service_role;
grant insert (org_id, client_id, offer_id, amount_paid_cents, currency, sessions_total, sessions_used, expires_at, payment_status,
              payment_method, promo_code_id, discount_cents)
  on public.client_purchases to authenticated;
grant update (sessions_total, sessions_used, expires_at, payment_status, payment_method) on public.client_purchases to authenticated;
create policy client_purchases_select_people on public.client_purchases for select to authenticated
  using (org_id = any ((select private.orgs_with('packages.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));
create policy client_purchases_insert_members on public.client_purchases for insert to authenticated
  with check (org_id = any ((select private.orgs_with('packages.sell'))::uuid[]));
create policy client_purchases_update_members on public.client_purchases for update to authenticated
  using (org_id = any ((select private.orgs_with('packages.sell'))::uuid[]));
create policy client_purchases_delete_members on public.client_purchases for delete to authenticated
  using (org_id = any ((select private.orgs_with('packages.correct'))::uuid[]));

-- session_entries: read only.
grant select on public.session_entries to authenticated, service_role;
create policy session_entries_select_people on public.session_entries for select to authenticated
  using (org_id = any ((select private.orgs_with('packages.read'))::uuid[])
         or purchase_id in (select p.id from public.client_purchases as p
                             where p.client_id = any ((select private.my_client_ids())::uuid[])));

create trigger zz_refuse_clearly before insert or update on public.offers
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.promo_codes
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.client_purchases
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
