-- Checkout: what a client may buy from their portal, at what price, on whose account. SQL decides the terms; the service makes the
-- page at Stripe. Nothing is kept: a page that is never paid leaves nothing behind, and the webhook books what is paid.

-- Where the organisation passes fees on, the client pays so much more that after Stripe's fee the price is left.
create function private.checkout_total(p_price_cents bigint, p_is_grossed_up boolean)
returns bigint
language sql immutable security invoker set search_path = ''
as $$
  select case when p_is_grossed_up then round((p_price_cents + 30) / (1 - 0.0175))::bigint else p_price_cents end;
$$;
comment on function private.checkout_total is 'What a checkout asks for a price, in the minor unit: with fees passed on (price + 30) / (1 - 0.0175).';

create function private.checkout_terms(p_org_id uuid, p_client_id uuid, p_offer_id uuid, p_request_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_offer public.offers;
  v_account text;
  v_total bigint;
  v_fee bigint;
begin
  select o.* into v_offer from public.offers as o where o.org_id = p_org_id and o.id = p_offer_id and o.is_active is not false;
  if not found then
    perform private.fail(404, 'offer_not_found', 'There is no such offer.', 'Reload the price list.');
  elsif v_offer.price_cents = 0 or (v_offer.offer_type = 'subscription' and v_offer.billing_period is null) then
    perform private.fail(409, 'offer_not_for_sale', 'This offer cannot be bought here.', 'Ask your coach for it.');
  end if;
  v_account := private.require_card_account(p_org_id);
  v_total := private.checkout_total(v_offer.price_cents, (private.settings_of(p_org_id)).pass_stripe_fees);
  v_fee := private.application_fee(p_org_id, v_offer.price_cents);
  return jsonb_build_object(
    'account', v_account, 'mode', case v_offer.offer_type when 'subscription' then 'subscription' else 'payment' end,
    'name', v_offer.name, 'amount_cents', v_total, 'currency', v_offer.currency, 'application_fee_cents', v_fee,
    'application_fee_percent', round(100.0 * v_fee / v_total, 2),
    'interval', case v_offer.billing_period when 'weekly' then 'week' when 'fortnightly' then 'week' when 'yearly' then 'year' else 'month' end,
    'interval_count', case v_offer.billing_period when 'fortnightly' then 2 when 'quarterly' then 3 else 1 end,
    'client_email', (select nullif(btrim(c.email), '') from public.clients as c where c.org_id = p_org_id and c.id = p_client_id and c.email like '%@%'),
    'idempotency_key', case when p_request_id is not null then 'checkout-' || p_client_id || '-' || p_offer_id || '-' || p_request_id end,
    'metadata', jsonb_build_object('org_id', p_org_id, 'client_id', p_client_id, 'offer_id', v_offer.id));
end;
$$;
comment on function private.checkout_terms is
  'What Checkout is made from: {account, mode: payment | subscription, name, amount_cents, currency, application_fee_cents, application_fee_percent, interval, interval_count, client_email, idempotency_key, metadata}. Fails: offer_not_found 404, offer_not_for_sale 409, payments_not_set_up 409, brake_on 423.';

create function private.portal_checkout(p_token text, p_offer_id uuid, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  elsif not private.is_within_rate('portal_checkout', v_client.id::text, 20, '10 minutes') then
    return private.rate_limited();
  end if;
  return private.checkout_terms(v_client.org_id, v_client.id, p_offer_id, p_request_id)
         || jsonb_build_object('portal_path', '/portal/' || v_client.portal_token,
                               'portal_url', private.app_link('/portal/' || v_client.portal_token));
end;
$$;
comment on function private.portal_checkout is 'checkout_terms for the token''s client, with where the page leads back to.';
