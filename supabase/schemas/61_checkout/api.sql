-- Checkout for apps: the refund policy, refunds by hand, receipts, and what the pages of a deposit, a purchase and onboarding begin with.

create function public.set_refund_policy(p_org_id uuid, p_tiers jsonb)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_set_refund_policy(p_org_id, p_tiers);
end;
comment on function public.set_refund_policy is
  'Says what clients who cancel get back of a deposit: [{hours_before, percent}], at most ten tiers, no less for who cancels earlier; an empty array brings back the default (all of it outside cancel_notice_hours). Returns the policy. Needs settings.write. Fails: org_not_found 404, permission_missing 403, value_not_allowed 422.';
revoke all on function public.set_refund_policy(uuid, jsonb) from public, anon, service_role;
grant execute on function public.set_refund_policy(uuid, jsonb) to authenticated;
grant execute on function private.member_set_refund_policy(uuid, jsonb) to authenticated;

create function public.refund_payment(p_payment_id uuid, p_amount_cents bigint default null, p_note text default null, p_request_id uuid default null)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_refund_payment(p_payment_id, p_amount_cents, p_note, p_request_id);
end;
comment on function public.refund_payment is
  'Gives a payment (an INCOME row of money_events) back, in the currency''s minor unit, or all that is left of it; returns the refund''s id. By card it is carried to Stripe; cash is recorded as given. The same request id refunds once. Needs payments.refund. Fails: payment_not_found 404, permission_missing 403, value_not_allowed 422, refund_exceeds_payment 409, request_reused 409, request_in_progress 409.';
revoke all on function public.refund_payment(uuid, bigint, text, uuid) from public, anon, service_role;
grant execute on function public.refund_payment(uuid, bigint, text, uuid) to authenticated;
grant execute on function private.member_refund_payment(uuid, bigint, text, uuid) to authenticated;

create function public.issue_receipt(p_payment_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_issue_receipt(p_payment_id);
end;
comment on function public.issue_receipt is
  'The receipt of a payment or refund (a row of money_events), issued now where it has none: {receipt_id, number, kind, issuer_name, client_name, description, method, amount_cents, currency, amount, tax_cat, tax_cents, tax, paid_on, refunds_number}. Needs packages.sell. Fails: payment_not_found 404, permission_missing 403.';
revoke all on function public.issue_receipt(uuid) from public, anon, service_role;
grant execute on function public.issue_receipt(uuid) to authenticated;
grant execute on function private.member_issue_receipt(uuid) to authenticated;

create function public.show_receipt(p_receipt_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.show_receipt(p_receipt_id);
end;
comment on function public.show_receipt is
  'A receipt for whoever holds its id, as issue_receipt answers it. Fails: receipt_not_found 404, rate_limited 429.';
revoke all on function public.show_receipt(uuid) from public;
grant execute on function public.show_receipt(uuid) to anon, authenticated, service_role;
grant execute on function private.show_receipt(uuid) to anon, authenticated, service_role;

create function public.deposit_state(p_deposit_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.deposit_state(p_deposit_id);
end;
comment on function public.deposit_state is
  'What the page of a deposit shows, for whoever holds its id: {deposit_id, status: due | paid | expired | late, booking_id, amount_cents, currency, start_time, expires_at, refund_policy}. late: it was paid after the time was gone, and is paid back. Fails: deposit_not_found 404, rate_limited 429.';
revoke all on function public.deposit_state(uuid) from public;
grant execute on function public.deposit_state(uuid) to anon, authenticated, service_role;
grant execute on function private.deposit_state(uuid) to anon, authenticated, service_role;

create function public.portal_checkout(p_token text, p_offer_id uuid, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_checkout(p_token, p_offer_id, p_request_id);
end;
comment on function public.portal_checkout is
  'What the service makes a Checkout page from, for the link''s client: {account, mode, name, amount_cents, currency, application_fee_cents, …, metadata}. Pages call POST /api/portal/checkout. Fails: link_not_found 404, rate_limited 429, offer_not_found 404, offer_not_for_sale 409, payments_not_set_up 409, brake_on 423.';
revoke all on function public.portal_checkout(text, uuid, uuid) from public;
grant execute on function public.portal_checkout(text, uuid, uuid) to anon, authenticated, service_role;
grant execute on function private.portal_checkout(text, uuid, uuid) to anon, authenticated, service_role;

create function public.connect_begin(p_org_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_connect_begin(p_org_id);
end;
comment on function public.connect_begin is
  'What the service begins an organisation''s Stripe onboarding from: {org_id, name, account, idempotency_key, return_url}. Pages call POST /api/stripe/connect. Needs payouts.write. Fails: org_not_found 404, permission_missing 403, brake_on 423.';
revoke all on function public.connect_begin(uuid) from public, anon, service_role;
grant execute on function public.connect_begin(uuid) to authenticated;
grant execute on function private.member_connect_begin(uuid) to authenticated;

create function public.connect_status(p_org_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_connect_status(p_org_id);
end;
comment on function public.connect_status is
  'How far an organisation''s Stripe account is: {org_id, account, is_connected, details_submitted, charges_enabled, payouts_enabled, next_step: connect | continue | wait | null}. Needs money.read. Fails: org_not_found 404, permission_missing 403.';
revoke all on function public.connect_status(uuid) from public, anon, service_role;
grant execute on function public.connect_status(uuid) to authenticated;
grant execute on function private.member_connect_status(uuid) to authenticated;
