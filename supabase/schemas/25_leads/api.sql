-- Leads for apps: the form and the referral page for visitors, the pipeline and credit for members and clients.

create function public.capture_inquiry(
  p_org_slug text, p_name text, p_email text default null, p_phone text default null, p_message text default null,
  p_source text default null, p_services text[] default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.capture_inquiry(p_org_slug, p_name, p_email, p_phone, p_message, p_source, p_services);
end;
comment on function public.capture_inquiry is
  'Takes in what somebody asks through a form: {outcome: captured, inquiry_id}, or {outcome: known, inquiry_id} where they have an open inquiry, to which this is added. Needs an email or a phone. Fails: page_not_found 404, rate_limited 429, value_not_allowed 422.';
revoke all on function public.capture_inquiry(text, text, text, text, text, text, text[]) from public, anon, authenticated, service_role;
grant execute on function public.capture_inquiry(text, text, text, text, text, text, text[]) to anon, authenticated, service_role;
grant execute on function private.capture_inquiry(text, text, text, text, text, text, text[]) to anon, authenticated, service_role;

create function public.referral_page(p_code text, p_visitor_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.referral_page(p_code, p_visitor_id);
end;
comment on function public.referral_page is
  'What the page of a referral link shows: {code, name, description, reward_type, reward_value, expires_at, org_name, org_slug, branding, offers}. Counts the visitor once: send an id that the page keeps. Fails: referral_not_found 404, rate_limited 429.';
revoke all on function public.referral_page(text, uuid) from public, anon, authenticated, service_role;
grant execute on function public.referral_page(text, uuid) to anon, authenticated, service_role;
grant execute on function private.referral_page(text, uuid) to anon, authenticated, service_role;

create function public.refer(
  p_code text, p_name text, p_email text, p_phone text default null, p_message text default null, p_services text[] default null,
  p_referred_by text default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.refer(p_code, p_name, p_email, p_phone, p_message, p_services, p_referred_by);
end;
comment on function public.refer is
  'Takes in somebody who came by a referral link and counts their sign-up once: {outcome: captured | known, inquiry_id}. p_referred_by is the link''s ?by=. Fails: referral_not_found 404, rate_limited 429, value_not_allowed 422.';
revoke all on function public.refer(text, text, text, text, text, text[], text) from public, anon, authenticated, service_role;
grant execute on function public.refer(text, text, text, text, text, text[], text) to anon, authenticated, service_role;
grant execute on function private.refer(text, text, text, text, text, text[], text) to anon, authenticated, service_role;

create function public.convert_inquiry(p_inquiry_id uuid, p_client_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_convert_inquiry(p_inquiry_id, p_client_id);
end;
comment on function public.convert_inquiry is
  'Makes a lead a client: {outcome: converted, client_id, is_new, was_converted}. Whoever has the lead''s email (or, without one, phone) is that client, else a new one is made; the lead stays, WON, and what they asked is in the client''s log. Again answers the same client. Rewards a referral. Needs leads.write and clients.write. Fails: inquiry_not_found 404, client_not_found 404, inquiry_converted 409, permission_missing 403.';
revoke all on function public.convert_inquiry(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.convert_inquiry(uuid, uuid) to authenticated;
grant execute on function private.member_convert_inquiry(uuid, uuid) to authenticated;

create function public.inquiry_pipeline(p_org_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_inquiry_pipeline(p_org_id);
end;
comment on function public.inquiry_pipeline is
  'How many leads stand where: {NEW: {count, expected_value}, CONTACTED, BOOKED, WON, LOST}. Needs leads.read. Fails: org_not_found 404, permission_missing 403.';
revoke all on function public.inquiry_pipeline(uuid) from public, anon, authenticated, service_role;
grant execute on function public.inquiry_pipeline(uuid) to authenticated;
grant execute on function private.member_inquiry_pipeline(uuid) to authenticated;

create function public.client_referral_link(p_client_id uuid, p_referral_link_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.person_referral_link(p_client_id, p_referral_link_id);
end;
comment on function public.client_referral_link is
  'The link a client hands on: {referral_link_id, code, name, referral_code, url}; of the newest open link where none is named. For members with clients.read, and for the client. Fails: client_not_found 404, referral_not_found 404, permission_missing 403.';
revoke all on function public.client_referral_link(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.client_referral_link(uuid, uuid) to authenticated;
grant execute on function private.person_referral_link(uuid, uuid) to authenticated;

create function public.credit_balance(p_client_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_credit_balance(p_client_id);
end;
comment on function public.credit_balance is
  'A client''s credit: {balance_cents, currency}. For members with clients.read, and for the client. Fails: client_not_found 404, permission_missing 403.';
revoke all on function public.credit_balance(uuid) from public, anon, authenticated, service_role;
grant execute on function public.credit_balance(uuid) to authenticated;
grant execute on function private.member_credit_balance(uuid) to authenticated;

create function public.spend_credit(p_client_id uuid, p_amount_cents bigint, p_note text default null, p_request_id uuid default null)
returns bigint
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_spend_credit(p_client_id, p_amount_cents, p_note, p_request_id);
end;
comment on function public.spend_credit is
  'Takes credit from a client and returns what is left, in cents; the same request id takes once. Needs packages.sell. Fails: client_not_found 404, credit_exhausted 409, request_reused 409, value_not_allowed 422, permission_missing 403.';
revoke all on function public.spend_credit(uuid, bigint, text, uuid) from public, anon, authenticated, service_role;
grant execute on function public.spend_credit(uuid, bigint, text, uuid) to authenticated;
grant execute on function private.member_spend_credit(uuid, bigint, text, uuid) to authenticated;
