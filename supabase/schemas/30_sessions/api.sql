-- Sessions for apps. Each is a face: the rule and the right to use it stand behind it in `private`.

create function public.use_session(p_purchase_id uuid, p_booking_id uuid default null, p_request_id uuid default null)
returns boolean
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_take_session(p_purchase_id, p_booking_id, p_request_id);
end;
comment on function public.use_session is
  'Takes one session from a package: true when it was taken (or had been), false when none is left or the package is expired, refunded, unpaid or frozen. With a booking: that booking''s session, once (again only when named after a release). With a request id: that click takes one, ever. With neither: the package''s oldest completed, uncharged booking is settled first; else a second click of the same person within the organisation''s click window is the same click. Needs sessions.use. Fails: purchase_not_found 404, booking_not_found 404, booking_not_in_package 422, booking_not_chargeable 409, request_reused 409, permission_missing 403.';
revoke all on function public.use_session(uuid, uuid, uuid) from public, anon, service_role;
grant execute on function public.use_session(uuid, uuid, uuid) to authenticated;
grant execute on function private.member_take_session(uuid, uuid, uuid) to authenticated;

create function public.release_session(p_purchase_id uuid, p_booking_id uuid default null, p_request_id uuid default null)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_give_session_back(p_purchase_id, p_booking_id, p_request_id);
end;
comment on function public.release_session is
  'Gives back the very session that was taken: the booking''s when one is named, else the latest not given back yet; returns the new sessions_used, or -1 when there is nothing to give back. Once per click (request id, or the click window). Giving back a booking''s session waives the booking: the sweep does not take it again. Needs sessions.release. Fails: purchase_not_found 404, booking_not_found 404, booking_not_in_package 422, request_reused 409, permission_missing 403.';
revoke all on function public.release_session(uuid, uuid, uuid) from public, anon, service_role;
grant execute on function public.release_session(uuid, uuid, uuid) to authenticated;
grant execute on function private.member_give_session_back(uuid, uuid, uuid) to authenticated;

-- Runs with the caller's own rights: row level security decides whose package it may count.
create function public.bookable_sessions_remaining(p_purchase_id uuid)
returns integer
language sql stable security invoker set search_path = ''
begin atomic
  select case when p.valid_during @> now() then greatest(p.sessions_remaining - (
           select count(*)
             from public.bookings as b
            where b.org_id = p.org_id and b.purchase_id = p.id
              and (b.settlement = 'due' or (b.settlement is null and b.status in ('pending', 'confirmed'))))::integer, 0)
         else 0 end
    from public.client_purchases as p
   where p.id = p_purchase_id;
end;
comment on function public.bookable_sessions_remaining is
  'Sessions of a package that may still be booked: remaining minus every booking of it that is not settled yet, also one that has ended; 0 when the package is not valid now; null when there is no such package for the caller.';
revoke all on function public.bookable_sessions_remaining(uuid) from public, anon;
grant execute on function public.bookable_sessions_remaining(uuid) to authenticated, service_role;

create function public.sell_package(
  p_client_id uuid, p_offer_id uuid, p_payment_method text default null, p_payment_status text default 'succeeded',
  p_promo_code_id uuid default null, p_request_id uuid default null)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_sell_package(p_client_id, p_offer_id, p_payment_method, p_payment_status, p_promo_code_id, p_request_id);
end;
comment on function public.sell_package is
  'Sells an offer to a client at its price, less a promo code''s discount, and returns the package''s id; the same request id sells once. Needs packages.sell. Fails: client_not_found 404, offer_not_found 404, promo_code_not_found 404, promo_code_unavailable 409, value_not_allowed 422, request_reused 409, request_in_progress 409, permission_missing 403.';
revoke all on function public.sell_package(uuid, uuid, text, text, uuid, uuid) from public, anon, service_role;
grant execute on function public.sell_package(uuid, uuid, text, text, uuid, uuid) to authenticated;
grant execute on function private.member_sell_package(uuid, uuid, text, text, uuid, uuid) to authenticated;

create function public.freeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_freeze_package(p_purchase_id);
end;
comment on function public.freeze_package is
  'Freezes a package from now on and returns since when it is frozen; nothing can be taken from it until it is unfrozen. Needs packages.correct. Fails: purchase_not_found 404, package_ended 409, permission_missing 403.';
revoke all on function public.freeze_package(uuid) from public, anon, service_role;
grant execute on function public.freeze_package(uuid) to authenticated;
grant execute on function private.member_freeze_package(uuid) to authenticated;

create function public.unfreeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_unfreeze_package(p_purchase_id);
end;
comment on function public.unfreeze_package is
  'Ends a package''s freeze, moves its expiry by as long as it was frozen and returns the expiry (null: never). Needs packages.correct. Fails: purchase_not_found 404, permission_missing 403.';
revoke all on function public.unfreeze_package(uuid) from public, anon, service_role;
grant execute on function public.unfreeze_package(uuid) to authenticated;
grant execute on function private.member_unfreeze_package(uuid) to authenticated;

create function public.extend_package(p_purchase_id uuid, p_expires_at timestamptz)
returns timestamptz
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_extend_package(p_purchase_id, p_expires_at);
end;
comment on function public.extend_package is
  'Moves a package''s expiry to a later instant and returns it. Needs packages.correct. Fails: purchase_not_found 404, expiry_not_later 422, permission_missing 403.';
revoke all on function public.extend_package(uuid, timestamptz) from public, anon, service_role;
grant execute on function public.extend_package(uuid, timestamptz) to authenticated;
grant execute on function private.member_extend_package(uuid, timestamptz) to authenticated;

create function public.correct_package(
  p_purchase_id uuid, p_sessions_used integer default null, p_sessions_total integer default null, p_request_id uuid default null)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_correct_package(p_purchase_id, p_sessions_used, p_sessions_total, p_request_id);
end;
comment on function public.correct_package is
  'Sets the used and total sessions of a package on purpose, by a ledgered correction, and returns sessions_used; null leaves a value as it is. Needs packages.correct. Fails: purchase_not_found 404, sessions_out_of_range 422, request_reused 409, permission_missing 403.';
revoke all on function public.correct_package(uuid, integer, integer, uuid) from public, anon, service_role;
grant execute on function public.correct_package(uuid, integer, integer, uuid) to authenticated;
grant execute on function private.member_correct_package(uuid, integer, integer, uuid) to authenticated;

-- The app embeds `offer_id(name, …)`: PostgREST finds a relation by a column's name only on a single-column key.
create function public.offer_id(p_purchase public.client_purchases)
returns setof public.offers rows 1
language sql stable security invoker set search_path = ''
begin atomic
  select o.* from public.offers as o where o.org_id = p_purchase.org_id and o.id = p_purchase.offer_id;
end;
comment on function public.offer_id is 'Computed relationship: the offer of a package, for embeds written `offer_id(…)`.';
revoke all on function public.offer_id(public.client_purchases) from public, anon;
grant execute on function public.offer_id(public.client_purchases) to authenticated, service_role;
