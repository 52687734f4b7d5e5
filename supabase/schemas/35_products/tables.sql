-- Products: goods an organisation sells beside its sessions.
-- Not here: sessions and subscriptions (offers, 30_sessions), money taken for goods (60_payments).

create table public.products (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  description text,
  category text,
  price_cents integer not null default 0,
  cost_cents integer,
  currency text not null default 'aud',
  stock_quantity integer,
  sku text,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint products_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint products_description_length check (char_length(description) <= 5000),
  constraint products_category_length check (char_length(category) <= 100),
  constraint products_price_cents_range check (price_cents between 0 and 100000000),
  constraint products_cost_cents_range check (cost_cents between 0 and 100000000),
  constraint products_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint products_stock_quantity_range check (stock_quantity between -1000000 and 1000000),
  constraint products_sku_length check (char_length(sku) <= 100)
);
comment on table public.products is 'Goods that an organisation sells: price, cost and how many are in stock.';
comment on column public.products.price_cents is 'In the minor unit of `currency`, as is cost_cents.';
comment on column public.products.stock_quantity is 'Null: not counted; below zero: sold before it was counted.';
create index products_id_idx on public.products (id);
create index products_name_idx on public.products (org_id, name);
