-- Sessions for operators: the same rules, without a signed-in person.

create function service.list_offers(p_org_id uuid)
returns table (offer_id uuid, name text, offer_type text, price_cents integer, currency text, sessions integer, is_active boolean)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select o.id, o.name, o.offer_type, o.price_cents, o.currency, coalesce(o.sessions_included, 1) + coalesce(o.bonus_sessions, 0), o.is_active
    from public.offers as o where o.org_id = p_org_id order by o.sort_order, o.name, o.id;
end;
$$;
comment on function service.list_offers is
  'An organisation''s offers; sessions include the bonus. Fails: org_not_found 404.';
revoke all on function service.list_offers(uuid) from public, anon, authenticated;
grant execute on function service.list_offers(uuid) to service_role;

create function service.list_packages(p_org_id uuid, p_client_id uuid default null, p_limit integer default 100)
returns table (purchase_id uuid, client_id uuid, client_name text, offer_name text, sessions_total integer, sessions_used integer, sessions_remaining integer, bookable integer, payment_status text, expires_at timestamptz, is_frozen boolean)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  if p_client_id is not null
     and not exists (select from public.clients as c where c.org_id = p_org_id and c.id = p_client_id) then
    perform private.refuse_client();
  end if;
  return query
  select p.id, p.client_id, c.full_name, o.name, p.sessions_total, p.sessions_used, p.sessions_remaining,
         public.bookable_sessions_remaining(p.id), p.payment_status, p.expires_at, upper_inf(p.frozen_periods)
    from public.client_purchases as p
    join public.clients as c on c.org_id = p.org_id and c.id = p.client_id
    join public.offers as o on o.org_id = p.org_id and o.id = p.offer_id
   where p.org_id = p_org_id and (p_client_id is null or p.client_id = p_client_id)
   order by p.purchased_at desc, p.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_packages is
  'An organisation''s or a client''s packages, newest first. Fails: org_not_found 404, client_not_found 404.';
revoke all on function service.list_packages(uuid, uuid, integer) from public, anon, authenticated;
grant execute on function service.list_packages(uuid, uuid, integer) to service_role;

create function service.get_package(p_purchase_id uuid)
returns table (
  purchase_id uuid, org_id uuid, client_id uuid, client_name text, offer_id uuid, offer_name text, amount_paid_cents integer,
  currency text, payment_status text, payment_method text, sessions_total integer, sessions_used integer,
  sessions_remaining integer, bookable integer, purchased_at timestamptz, expires_at timestamptz, frozen_since timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.package_org(p_purchase_id);
begin
  return query
  select p.id, p.org_id, p.client_id, c.full_name, p.offer_id, o.name, p.amount_paid_cents, p.currency, p.payment_status,
         p.payment_method, p.sessions_total, p.sessions_used, p.sessions_remaining, public.bookable_sessions_remaining(p.id),
         p.purchased_at, p.expires_at, (select lower(r) from unnest(p.frozen_periods) as r where upper_inf(r))
    from public.client_purchases as p
    join public.clients as c on c.org_id = p.org_id and c.id = p.client_id
    join public.offers as o on o.org_id = p.org_id and o.id = p.offer_id
   where p.org_id = v_org_id and p.id = p_purchase_id;
end;
$$;
comment on function service.get_package is
  'One package: whose, what was paid, what is used, left and bookable, and since when it is frozen. Fails: purchase_not_found 404.';
revoke all on function service.get_package(uuid) from public, anon, authenticated;
grant execute on function service.get_package(uuid) to service_role;

create function service.list_session_entries(p_purchase_id uuid, p_limit integer default 200)
returns table (entry_id uuid, kind text, used_delta integer, total_delta integer, reason text, booking_id uuid, actor_id uuid, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.package_org(p_purchase_id);
  return query
  select e.id, e.kind, e.used_delta, e.total_delta, e.reason, e.booking_id, e.actor_id, e.created_at
    from public.session_entries as e
   where e.org_id = private.package_org(p_purchase_id) and e.purchase_id = p_purchase_id
   order by e.entry_no desc
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_session_entries is
  'A package''s ledger, latest first. Fails: purchase_not_found 404.';
revoke all on function service.list_session_entries(uuid, integer) from public, anon, authenticated;
grant execute on function service.list_session_entries(uuid, integer) to service_role;

create function service.use_session(
  p_purchase_id uuid, p_booking_id uuid default null, p_request_id uuid default null)
returns boolean
language sql volatile security definer set search_path = ''
as $$
  select private.take_session(private.package_org(p_purchase_id), p_purchase_id, p_booking_id, p_request_id, null);
$$;
comment on function service.use_session is
  'public.use_session for operators, without a click window. Fails: purchase_not_found 404, booking_not_found 404, booking_not_in_package 422, booking_not_chargeable 409, request_reused 409.';
revoke all on function service.use_session(uuid, uuid, uuid) from public, anon, authenticated;
grant execute on function service.use_session(uuid, uuid, uuid) to service_role;

create function service.release_session(
  p_purchase_id uuid, p_booking_id uuid default null, p_request_id uuid default null)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.give_session_back(private.package_org(p_purchase_id), p_purchase_id, p_booking_id, p_request_id, null);
$$;
comment on function service.release_session is
  'public.release_session for operators, without a click window. Fails: purchase_not_found 404, booking_not_found 404, booking_not_in_package 422, request_reused 409.';
revoke all on function service.release_session(uuid, uuid, uuid) from public, anon, authenticated;
grant execute on function service.release_session(uuid, uuid, uuid) to service_role;

create function service.sell_package(
  p_org_id uuid, p_client_id uuid, p_offer_id uuid,
  p_payment_method text default null, p_payment_status text default 'succeeded', p_promo_code_id uuid default null,
  p_request_id uuid default null)
returns uuid
language sql volatile security definer set search_path = ''
as $$
  select private.sell_package(p_org_id, p_client_id, p_offer_id, p_payment_method, p_payment_status, p_promo_code_id, p_request_id);
$$;
comment on function service.sell_package is
  'public.sell_package for operators; the client and the offer are looked for in the organisation named. Fails: client_not_found 404, offer_not_found 404, promo_code_not_found 404, promo_code_unavailable 409, value_not_allowed 422, request_reused 409, request_in_progress 409.';
revoke all on function service.sell_package(uuid, uuid, uuid, text, text, uuid, uuid) from public, anon, authenticated;
grant execute on function service.sell_package(uuid, uuid, uuid, text, text, uuid, uuid) to service_role;

create function service.freeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.freeze_package(private.package_org(p_purchase_id), p_purchase_id);
$$;
comment on function service.freeze_package is
  'public.freeze_package for operators. Fails: purchase_not_found 404, package_ended 409.';
revoke all on function service.freeze_package(uuid) from public, anon, authenticated;
grant execute on function service.freeze_package(uuid) to service_role;

create function service.unfreeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.unfreeze_package(private.package_org(p_purchase_id), p_purchase_id);
$$;
comment on function service.unfreeze_package is
  'public.unfreeze_package for operators. Fails: purchase_not_found 404.';
revoke all on function service.unfreeze_package(uuid) from public, anon, authenticated;
grant execute on function service.unfreeze_package(uuid) to service_role;

create function service.extend_package(p_purchase_id uuid, p_expires_at timestamptz)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.extend_package(private.package_org(p_purchase_id), p_purchase_id, p_expires_at);
$$;
comment on function service.extend_package is
  'public.extend_package for operators. Fails: purchase_not_found 404, expiry_not_later 422.';
revoke all on function service.extend_package(uuid, timestamptz) from public, anon, authenticated;
grant execute on function service.extend_package(uuid, timestamptz) to service_role;

create function service.correct_package(
  p_purchase_id uuid, p_sessions_used integer default null, p_sessions_total integer default null,
  p_request_id uuid default null)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.correct_package(private.package_org(p_purchase_id), p_purchase_id, p_sessions_used, p_sessions_total, p_request_id, null);
$$;
comment on function service.correct_package is
  'public.correct_package for operators. Fails: purchase_not_found 404, sessions_out_of_range 422, request_reused 409.';
revoke all on function service.correct_package(uuid, integer, integer, uuid) from public, anon, authenticated;
grant execute on function service.correct_package(uuid, integer, integer, uuid) to service_role;
