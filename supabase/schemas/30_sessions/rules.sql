-- Session rules for direct writes by apps: a sale is checked against its offer, an editor's absolute counter becomes a
-- ledgered correction, a package with history is never deleted.
-- The rules that take and give back sessions are in rules/.

-- Writes one entry, then moves the counter by it; the caller holds the package's lock. Returns the new sessions_used.
create function private.enter_session(
  p_package public.client_purchases, p_kind text, p_used_delta integer, p_reason text, p_actor_id uuid, p_now timestamptz,
  p_booking_id uuid default null, p_charge_no integer default null, p_released_entry_id uuid default null,
  p_request_id uuid default null, p_answer integer default null, p_total_delta integer default 0)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_used integer;
begin
  insert into public.session_entries (
    org_id, purchase_id, kind, used_delta, total_delta, booking_id, charge_no, released_entry_id, request_id, answer, reason,
    actor_id, created_at)
  values (
    p_package.org_id, p_package.id, p_kind, p_used_delta, p_total_delta, p_booking_id, p_charge_no, p_released_entry_id,
    p_request_id, case when p_request_id is not null then p_answer end, p_reason, p_actor_id, p_now)
  on conflict (org_id, request_id) where request_id is not null do nothing;
  -- Under the package's lock only a request id can collide: with the same id on another package, a moment ago.
  if not found then
    perform private.refuse_request();
  end if;
  update public.client_purchases as p
     set sessions_used = p.sessions_used + p_used_delta,
         sessions_total = p.sessions_total + p_total_delta,
         entry_count = p.entry_count + 1
   where p.org_id = p_package.org_id and p.id = p_package.id
  returning p.sessions_used into v_used;
  return v_used;
end;
$$;
comment on function private.enter_session is 'Adds one ledger entry and moves the counter by it; returns the new sessions_used.';

create function private.refuse_request()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'request_reused', 'This request id was already used for something else.',
                      'Make a new request id for each click.');
$$;
comment on function private.refuse_request is 'Refuses a request id that is bound to other arguments: request_reused 409.';

-- Null when this request is new. A request id binds to its kind, package and booking.
create function private.first_answer(p_org_id uuid, p_request_id uuid, p_kind text, p_purchase_id uuid, p_booking_id uuid)
returns integer
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_entry public.session_entries;
begin
  if p_request_id is null then
    return null;
  end if;
  select e.* into v_entry from public.session_entries as e where e.org_id = p_org_id and e.request_id = p_request_id;
  if found and (v_entry.kind, v_entry.purchase_id, v_entry.booking_id) is distinct from (p_kind, p_purchase_id, p_booking_id) then
    perform private.refuse_request();
  end if;
  return v_entry.answer;
end;
$$;
comment on function private.first_answer is 'What this request was answered the first time; null when it is new. Fails: request_reused 409.';

create function private.lock_package(p_org_id uuid, p_purchase_id uuid)
returns public.client_purchases
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases;
begin
  -- The package row is the lock: two check-ins queue here instead of both seeing the last session.
  select p.* into v_package
    from public.client_purchases as p
   where p.org_id = p_org_id and p.id = p_purchase_id
     for no key update;
  if not found then
    perform private.refuse_purchase();
  end if;
  return v_package;
end;
$$;
comment on function private.lock_package is 'Locks and returns the package. Lock order everywhere: package, then booking.';

create function private.refuse_purchase()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'purchase_not_found', 'There is no such package.', 'Reload the client''s packages.');
$$;
comment on function private.refuse_purchase is 'Refuses an unknown package, or another tenant''s: purchase_not_found 404.';

-- For operators: whose package it is.
create function private.package_org(p_purchase_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select p.org_id into v_org_id from public.client_purchases as p where p.id = p_purchase_id;
  if not found then
    perform private.refuse_purchase();
  end if;
  return v_org_id;
end;
$$;
comment on function private.package_org is 'The organisation of a package. Fails: purchase_not_found 404.';

-- Whose package is it: 404 unless the person belongs there, 403 when their role does not suffice.
create function private.member_package_org(p_purchase_id uuid, p_permission text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select p.org_id into v_org_id from public.client_purchases as p where p.id = p_purchase_id;
  if v_org_id = any (private.orgs_with(p_permission)) then
    return v_org_id;
  end if;
  if v_org_id = any (private.orgs_with('packages.read')) then
    perform private.refuse_permission(v_org_id);
  end if;
  perform private.refuse_purchase();
end;
$$;
comment on function private.member_package_org is
  'The organisation of a package in which the signed-in person has the permission. Fails: purchase_not_found 404, permission_missing 403.';

-- What a promo code takes off a price, in the price's minor unit.
create function private.discount_cents(p_promo public.promo_codes, p_price_cents integer)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select case p_promo.discount_type
           when 'percentage' then round(p_price_cents * p_promo.discount_value / 100)
           else least(p_price_cents, round(p_promo.discount_value * 100)) end::integer;
$$;
comment on function private.discount_cents is 'The discount of a promo code on a price, in minor units, never above the price.';

-- Counts one use of a promo code within its limit; the row is the lock, so the last use is given once.
create function private.redeem_promo_code(p_org_id uuid, p_promo_code_id uuid, p_now timestamptz)
returns public.promo_codes
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_today date := (p_now at time zone private.org_timezone(p_org_id))::date;
  v_promo public.promo_codes;
begin
  update public.promo_codes as c
     set times_used = c.times_used + 1
   where c.org_id = p_org_id and c.id = p_promo_code_id and c.is_active
     and v_today >= coalesce(c.valid_from, v_today) and v_today <= coalesce(c.valid_until, v_today)
     and c.times_used < coalesce(c.max_uses, c.times_used + 1)
  returning c.* into v_promo;
  if found then
    return v_promo;
  end if;
  perform from public.promo_codes as c where c.org_id = p_org_id and c.id = p_promo_code_id;
  if not found then
    perform private.fail(404, 'promo_code_not_found', 'There is no such promo code.', 'Reload the promo codes.');
  end if;
  perform private.fail(409, 'promo_code_unavailable', 'This promo code is inactive, out of its dates or used up.',
                       'Sell without it, or change the code.');
end;
$$;
comment on function private.redeem_promo_code is
  'Counts one use of a promo code, or refuses: promo_code_not_found 404, promo_code_unavailable 409.';

-- A manual sale says what its offer says. Sales made by rules (stripe, import) compute the same and carry their source.
create function private.tg_client_purchases__check_sale()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_offer public.offers;
  v_discount integer := 0;
  v_sessions integer;
  v_expires_at timestamptz;
begin
  -- Asked first: what follows would tell people outside the organisation its prices.
  if auth.role() = 'authenticated' and not new.org_id = any (private.orgs_with('packages.sell')) then
    perform private.refuse_permission(new.org_id);
  end if;
  select o.* into v_offer from public.offers as o where o.org_id = new.org_id and o.id = new.offer_id;
  if not found then
    perform private.fail(404, 'offer_not_found', 'There is no such offer.', 'Reload the price list.');
  end if;
  if new.payment_status = 'refunded' then
    perform private.fail(422, 'sale_status_invalid', 'A sale does not begin refunded.', 'Send pending, succeeded or failed.');
  end if;
  if new.currency <> v_offer.currency then
    perform private.fail(422, 'sale_currency_mismatch', 'The currency is not the offer''s.', 'Sell in the offer''s currency.');
  end if;
  if new.promo_code_id is not null then
    v_discount := private.discount_cents(private.redeem_promo_code(new.org_id, new.promo_code_id, now()), v_offer.price_cents);
  end if;
  if new.discount_cents <> v_discount or new.amount_paid_cents <> v_offer.price_cents - v_discount then
    perform private.fail(422, 'sale_price_mismatch', 'The amount is not the offer''s price less the promo code''s discount.',
                         'Reload the offer and the promo code, then sell again.');
  end if;

  -- An offer that includes no number holds one session, a subscription without one may hold none.
  v_sessions := coalesce(v_offer.sessions_included, 1) + coalesce(v_offer.bonus_sessions, 0);
  if v_offer.offer_type <> 'subscription' or v_offer.sessions_included is not null then
    new.sessions_total := coalesce(new.sessions_total, v_sessions);
  end if;
  if new.sessions_total <> v_sessions then
    perform private.fail(422, 'sale_sessions_mismatch', 'The number of sessions is not the offer''s.', 'Reload the offer, then sell again.');
  end if;
  if new.sessions_used < 0 or new.sessions_used > coalesce(new.sessions_total, 0) then
    perform private.refuse_sessions_range();
  end if;

  -- The app's clock and calendar may differ from ours by a day; an expiry that it leaves out is the offer's.
  v_expires_at := new.purchased_at + make_interval(days => v_offer.pack_validity_days);
  new.expires_at := coalesce(new.expires_at, v_expires_at);
  if new.expires_at is distinct from v_expires_at
     and coalesce(new.expires_at not between v_expires_at - interval '36 hours' and v_expires_at + interval '36 hours', true) then
    perform private.fail(422, 'sale_expiry_mismatch', 'The expiry is not the offer''s.', 'Sell it first, then extend the package.');
  end if;
  new.session_duration_mins := coalesce(new.session_duration_mins, v_offer.session_duration_mins);
  return new;
end;
$$;
comment on function private.tg_client_purchases__check_sale is 'Checks a manual sale against its offer and counts the promo code''s use.';
create trigger client_purchases__check_sale before insert on public.client_purchases
  for each row when (new.source = 'manual') execute function private.tg_client_purchases__check_sale();

create function private.refuse_sessions_range()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(422, 'sessions_out_of_range', 'Used sessions must stay between zero and the total.',
                      'Send a total and a number used that fit each other.');
$$;
comment on function private.refuse_sessions_range is 'Refuses a counter below zero or above the total: sessions_out_of_range 422.';

-- Sessions already used when a package is written into the books: the ledger opens with them.
create function private.tg_client_purchases__open_ledger()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.session_entries (org_id, purchase_id, kind, used_delta, reason, actor_id)
  values (new.org_id, new.id, 'opening', new.sessions_used, case new.source when 'import' then 'imported' else 'sold_with_used' end, auth.uid());
  return null;
end;
$$;
create trigger client_purchases__open_ledger after insert on public.client_purchases
  for each row when (new.sessions_used <> 0) execute function private.tg_client_purchases__open_ledger();

create function private.tg_client_purchases__count_opening()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.entry_count := case when new.sessions_used <> 0 then 1 else 0 end;
  return new;
end;
$$;
create trigger client_purchases__count_opening before insert on public.client_purchases
  for each row execute function private.tg_client_purchases__count_opening();

-- A value the counter held within the last hour: written by a page that was opened before a take or a correction.
create function private.held_recently(p_package public.client_purchases, p_column text, p_value integer, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (
    select
      from (select case p_column
                     when 'sessions_used' then p_package.sessions_used
                       - sum(e.used_delta) over (order by e.entry_no desc)
                     else p_package.sessions_total
                       - sum(e.total_delta) over (order by e.entry_no desc) end as value
              from public.session_entries as e
             where e.org_id = p_package.org_id and e.purchase_id = p_package.id
               and e.kind <> 'opening' and e.created_at > p_now - interval '1 hour') as held
     where held.value = p_value);
$$;
comment on function private.held_recently is 'True when the counter held this value within the last hour.';

-- The package editor writes absolute counters. Rules raise entry_count with them, so what arrives here came from outside.
create function private.tg_client_purchases__correct()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if auth.role() = 'authenticated' and not new.org_id = any (private.orgs_with('packages.correct')) then
    perform private.refuse_permission(new.org_id);
  end if;
  if private.held_recently(old, 'sessions_used', new.sessions_used, now()) then
    new.sessions_used := old.sessions_used;
  end if;
  if private.held_recently(old, 'sessions_total', new.sessions_total, now()) then
    new.sessions_total := old.sessions_total;
  end if;
  if (new.sessions_used, new.sessions_total) is not distinct from (old.sessions_used, old.sessions_total) then
    return new;
  end if;
  if new.sessions_used is null or new.sessions_used < 0 or new.sessions_used > coalesce(new.sessions_total, 0)
     or new.sessions_total > 20000 or (new.sessions_total is null) <> (old.sessions_total is null) then
    perform private.refuse_sessions_range();
  end if;
  insert into public.session_entries (org_id, purchase_id, kind, used_delta, total_delta, reason, actor_id)
  values (new.org_id, new.id, 'correction', new.sessions_used - old.sessions_used,
          coalesce(new.sessions_total - old.sessions_total, 0), 'editor', auth.uid());
  new.entry_count := old.entry_count + 1;
  return new;
end;
$$;
comment on function private.tg_client_purchases__correct is
  'Turns a direct write of sessions_used or sessions_total into a ledgered correction, or into nothing when the value is stale.';
create trigger client_purchases__correct before update of sessions_used, sessions_total on public.client_purchases
  for each row when (new.entry_count = old.entry_count
                     and (new.sessions_used is distinct from old.sessions_used
                          or new.sessions_total is distinct from old.sessions_total))
  execute function private.tg_client_purchases__correct();

create function private.tg_client_purchases__guard_delete()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if exists (select from public.session_entries as e where e.org_id = old.org_id and e.purchase_id = old.id)
     or exists (select from public.bookings as b where b.org_id = old.org_id and b.client_id = old.client_id and b.purchase_id = old.id)
  then
    perform private.fail(409, 'purchase_in_use', 'A package with sessions taken or booked keeps its history.',
                         'Refund it, or let it expire.');
  end if;
  return old;
end;
$$;
comment on function private.tg_client_purchases__guard_delete is 'Refuses to delete a package with history: purchase_in_use 409.';
create trigger client_purchases__guard_delete before delete on public.client_purchases
  for each row execute function private.tg_client_purchases__guard_delete();

-- The RPC's rule binds the editor too: a role that may sell but not correct leaves the expiry alone.
create function private.tg_client_purchases__guard_expiry()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.org_id = any (private.orgs_with('packages.correct')) then
    perform private.refuse_permission(new.org_id);
  end if;
  return new;
end;
$$;
comment on function private.tg_client_purchases__guard_expiry is 'Lets members with packages.correct alone change an expiry: permission_missing 403.';
create trigger client_purchases__guard_expiry before update of expires_at on public.client_purchases
  for each row when (current_user in ('anon', 'authenticated') and new.expires_at is distinct from old.expires_at)
  execute function private.tg_client_purchases__guard_expiry();

create trigger client_purchases__audit after update of payment_status, payment_method, expires_at, frozen_periods on public.client_purchases
  for each row when ((old.payment_status, old.payment_method, old.expires_at, old.frozen_periods)
                     is distinct from (new.payment_status, new.payment_method, new.expires_at, new.frozen_periods))
  execute function private.tg__audit('sessions_used', 'sessions_remaining', 'sessions_total', 'entry_count', 'valid_during');
create trigger client_purchases__audit_delete after delete on public.client_purchases
  for each row execute function private.tg__audit();

-- The app adds to a stale copy of times_used after each sale; the sale itself has counted, as the owner.
create function private.tg_promo_codes__keep_count()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  new.times_used := case tg_op when 'INSERT' then 0 else old.times_used end;
  return new;
end;
$$;
comment on function private.tg_promo_codes__keep_count is 'Drops what an app writes into times_used: the sales count it.';
create trigger promo_codes__keep_count before insert or update of times_used on public.promo_codes
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg_promo_codes__keep_count();

create trigger offers__keep_org before update of org_id on public.offers
  for each row when (new.org_id is distinct from old.org_id) execute function private.tg__keep_org();
create trigger promo_codes__keep_org before update of org_id on public.promo_codes
  for each row when (new.org_id is distinct from old.org_id) execute function private.tg__keep_org();

create trigger offers__refuse_delete_in_use before delete on public.offers
  for each row execute function private.tg__refuse_delete_in_use('client_purchases', 'offer_id', 'offer_in_use');
create trigger offers__refuse_delete_booked before delete on public.offers
  for each row execute function private.tg__refuse_delete_in_use('bookings', 'offer_id', 'offer_in_use');
create trigger promo_codes__refuse_delete_in_use before delete on public.promo_codes
  for each row execute function private.tg__refuse_delete_in_use('client_purchases', 'promo_code_id', 'promo_code_in_use');

create trigger session_entries__append_only before update or delete on public.session_entries
  for each row execute function private.tg__append_only();
create trigger session_entries__no_truncate before truncate on public.session_entries
  for each statement execute function private.tg__append_only();

create trigger offers__touch before update on public.offers
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger promo_codes__touch before update on public.promo_codes
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
