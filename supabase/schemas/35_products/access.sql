-- Who may see and write products: members. What a thing cost is nobody else's to know.

alter table public.products enable row level security;
revoke all on public.products from public, anon, authenticated, service_role;
grant select, delete on public.products to authenticated;
grant select on public.products to service_role;
grant insert (org_id, name, description, category, price_cents, cost_cents, currency, stock_quantity, sku, is_active) on public.products to authenticated;
grant update (org_id, name, description, category, price_cents, cost_cents, currency, stock_quantity, sku, is_active) on public.products to authenticated;
create policy products_select_members on public.products for select to authenticated
  using (org_id = any ((select private.orgs_with('offers.read'))::uuid[]));
create policy products_insert_members on public.products for insert to authenticated
  with check (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy products_update_members on public.products for update to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy products_delete_members on public.products for delete to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.products
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
