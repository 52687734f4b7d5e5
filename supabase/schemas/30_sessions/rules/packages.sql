-- What else happens to a package: sold, frozen, unfrozen, extended, corrected on purpose.
-- Each takes the package's lock and is safe to repeat.

-- Sells one offer to one client at the offer's own price, sessions and expiry.
create function private.sell_package(
  p_org_id uuid, p_client_id uuid, p_offer_id uuid, p_payment_method text, p_payment_status text, p_promo_code_id uuid,
  p_request_id uuid, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_offer public.offers;
  v_promo public.promo_codes;
  v_discount integer := 0;
  v_sale public.client_purchases;
begin
  select p.* into v_sale from public.client_purchases as p where p.org_id = p_org_id and p.request_id = p_request_id;
  if not found then
    perform from public.clients as c where c.org_id = p_org_id and c.id = p_client_id;
    if not found then
      perform private.refuse_client();
    end if;
    select o.* into v_offer from public.offers as o where o.org_id = p_org_id and o.id = p_offer_id;
    select c.* into v_promo from public.promo_codes as c where c.org_id = p_org_id and c.id = p_promo_code_id;
    if found then
      v_discount := private.discount_cents(v_promo, v_offer.price_cents);
    end if;
    perform private.require_value(coalesce(p_payment_method, 'cash') in ('cash', 'card', 'bank_transfer', 'stripe'), 'payment_method');
    perform private.require_value(p_payment_status in ('pending', 'succeeded', 'failed'), 'payment_status');
    insert into public.client_purchases (
      org_id, client_id, offer_id, amount_paid_cents, currency, payment_status, payment_method, promo_code_id, discount_cents,
      purchased_at, request_id)
    values (
      p_org_id, p_client_id, p_offer_id, coalesce(v_offer.price_cents - v_discount, 0), coalesce(v_offer.currency, 'aud'),
      p_payment_status, p_payment_method, p_promo_code_id, v_discount, p_now, p_request_id)
    on conflict (org_id, request_id) where request_id is not null do nothing
    returning * into v_sale;
    -- Two calls with one id at once: the other one sold it, and this one undoes what it counted.
    if not found then
      perform private.fail(409, 'request_in_progress', 'The same request is being answered.', 'Ask again with the same request id.');
    end if;
  end if;
  if (v_sale.client_id, v_sale.offer_id) <> (p_client_id, p_offer_id) then
    perform private.refuse_request();
  end if;
  return v_sale.id;
end;
$$;
comment on function private.sell_package is
  'Sells an offer to a client and returns the package''s id. Fails: client_not_found 404, offer_not_found 404, promo_code_not_found 404, promo_code_unavailable 409, value_not_allowed 422, request_reused 409, request_in_progress 409.';

create function private.refuse_client()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
$$;
comment on function private.refuse_client is 'Refuses an unknown client, or another tenant''s: client_not_found 404.';

-- For parameters of functions, what a check constraint is for columns.
create function private.require_value(p_is_allowed boolean, p_name text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_is_allowed is not true then
    perform private.fail(422, 'value_not_allowed', 'A value is not one that is allowed here.', format('Check %s.', p_name));
  end if;
end;
$$;
comment on function private.require_value is 'Refuses a parameter outside its range: value_not_allowed 422.';

-- Frozen from now on; a package that is frozen already stays so.
create function private.freeze_package(p_org_id uuid, p_purchase_id uuid, p_now timestamptz default clock_timestamp())
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
begin
  if not upper_inf(v_package.frozen_periods) or isempty(v_package.frozen_periods) then
    perform private.require_live(v_package, p_now);
    update public.client_purchases as p
       set frozen_periods = p.frozen_periods + tstzmultirange(tstzrange(p_now, null))
     where p.org_id = p_org_id and p.id = p_purchase_id
    returning p.* into v_package;
  end if;
  return (select lower(r) from unnest(v_package.frozen_periods) as r where upper_inf(r));
end;
$$;
comment on function private.freeze_package is 'Freezes a package and returns since when it is frozen. Fails: package_ended 409.';

-- The expiry moves by as long as the package was frozen.
create function private.unfreeze_package(p_org_id uuid, p_purchase_id uuid, p_now timestamptz default clock_timestamp())
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
begin
  if upper_inf(v_package.frozen_periods) then
    update public.client_purchases as p
       set frozen_periods = p.frozen_periods - tstzmultirange(tstzrange(p_now, null)),
           expires_at = p.expires_at + (p_now - (select lower(r) from unnest(p.frozen_periods) as r where upper_inf(r)))
     where p.org_id = p_org_id and p.id = p_purchase_id
    returning p.* into v_package;
  end if;
  return v_package.expires_at;
end;
$$;
comment on function private.unfreeze_package is 'Ends a freeze, moves the expiry by its length and returns the expiry (null: never).';

create function private.extend_package(p_org_id uuid, p_purchase_id uuid, p_expires_at timestamptz)
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
begin
  if v_package.expires_at is null or p_expires_at is null or p_expires_at < v_package.expires_at
     or p_expires_at > now() + interval '20 years' then
    perform private.fail(422, 'expiry_not_later', 'The new expiry must be later than the present one.', 'Choose a later date.');
  end if;
  update public.client_purchases as p set expires_at = p_expires_at where p.org_id = p_org_id and p.id = p_purchase_id;
  return p_expires_at;
end;
$$;
comment on function private.extend_package is 'Sets a later expiry and returns it; the same again changes nothing. Fails: expiry_not_later 422.';

create function private.require_live(p_package public.client_purchases, p_now timestamptz)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_package.payment_status in ('failed', 'refunded') or p_package.expires_at <= p_now then
    perform private.fail(409, 'package_ended', 'This package has expired, failed or was refunded.', 'Extend it, or sell a new one.');
  end if;
end;
$$;
comment on function private.require_live is 'Refuses a package that has expired, failed or was refunded: package_ended 409.';

-- Sets the counters on purpose: unlike the editor's write it is never taken for a stale page.
create function private.correct_package(
  p_org_id uuid, p_purchase_id uuid, p_sessions_used integer, p_sessions_total integer, p_request_id uuid, p_actor_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
  v_used integer := coalesce(p_sessions_used, v_package.sessions_used);
  v_total integer := coalesce(p_sessions_total, v_package.sessions_total);
  v_answer integer := private.first_answer(p_org_id, p_request_id, 'correction', p_purchase_id, null);
begin
  if v_answer is not null then
    if p_sessions_used <> v_answer then
      perform private.refuse_request();
    end if;
    return v_answer;
  elsif v_used < 0 or v_used > coalesce(v_total, 0) or v_total > 20000 or v_package.sessions_total is null then
    perform private.refuse_sessions_range();
  elsif p_request_id is null and (v_used, v_total) = (v_package.sessions_used, v_package.sessions_total) then
    return v_used;
  end if;
  return private.enter_session(v_package, 'correction', v_used - v_package.sessions_used, 'correction', p_actor_id, clock_timestamp(),
                               p_request_id => p_request_id, p_answer => v_used, p_total_delta => v_total - v_package.sessions_total);
end;
$$;
comment on function private.correct_package is
  'Sets used and total sessions by a ledgered correction and returns sessions_used; null leaves a value as it is. Fails: sessions_out_of_range 422, request_reused 409.';

-- Who may: members, each with the permission that the act needs.
create function private.member_sell_package(
  p_client_id uuid, p_offer_id uuid, p_payment_method text, p_payment_status text, p_promo_code_id uuid, p_request_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select c.org_id into v_org_id from public.clients as c
   where c.id = p_client_id and c.org_id = any (private.orgs_with('clients.read'));
  if not found then
    perform private.refuse_client();
  end if;
  perform private.require_org(v_org_id, 'packages.sell');
  return private.sell_package(v_org_id, p_client_id, p_offer_id, p_payment_method, p_payment_status, p_promo_code_id, p_request_id);
end;
$$;
comment on function private.member_sell_package is 'sell_package for a member with packages.sell.';

create function private.member_freeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.freeze_package(private.member_package_org(p_purchase_id, 'packages.correct'), p_purchase_id);
$$;
comment on function private.member_freeze_package is 'freeze_package for a member with packages.correct.';

create function private.member_unfreeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.unfreeze_package(private.member_package_org(p_purchase_id, 'packages.correct'), p_purchase_id);
$$;
comment on function private.member_unfreeze_package is 'unfreeze_package for a member with packages.correct.';

create function private.member_extend_package(p_purchase_id uuid, p_expires_at timestamptz)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.extend_package(private.member_package_org(p_purchase_id, 'packages.correct'), p_purchase_id, p_expires_at);
$$;
comment on function private.member_extend_package is 'extend_package for a member with packages.correct.';

create function private.member_correct_package(p_purchase_id uuid, p_sessions_used integer, p_sessions_total integer, p_request_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.correct_package(private.member_package_org(p_purchase_id, 'packages.correct'), p_purchase_id, p_sessions_used,
                                 p_sessions_total, p_request_id, (select auth.uid()));
$$;
comment on function private.member_correct_package is 'correct_package for a member with packages.correct.';
