-- Product rules: a product stays where it is; the app sends org_id with every change.

create trigger products__keep_org before update of org_id on public.products
  for each row when (new.org_id is distinct from old.org_id) execute function private.tg__keep_org();
create trigger products__touch before update on public.products
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger products__audit after insert or update or delete on public.products
  for each row execute function private.tg__audit('stock_quantity');
