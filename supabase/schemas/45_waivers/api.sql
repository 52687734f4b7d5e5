-- Waivers and onboarding for apps: the pages of a link, and what members send.

create function public.waiver_form(p_token text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.waiver_form(p_token);
end;
comment on function public.waiver_form is
  'What the signing page of a link shows: {org_id, org_name, branding, name, status, expires_at, signed_at, signer_name, version, text, client}; client is there until it is signed. Fails: link_not_found 404, link_expired 410, rate_limited 429.';
revoke all on function public.waiver_form(text) from public, anon, authenticated, service_role;
grant execute on function public.waiver_form(text) to anon, authenticated, service_role;
grant execute on function private.waiver_form(text) to anon, authenticated, service_role;

create function public.sign_waiver(p_token text, p_signer_name text, p_version integer)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.sign_waiver(p_token, p_signer_name, p_version);
end;
comment on function public.sign_waiver is
  'Signs by a link, once: {outcome: signed, signed_at, version, bookings_confirmed}. p_version is that of the text that waiver_form showed. The same signer again is answered the same. Confirms the bookings that waited for it. Fails: link_not_found 404, link_expired 410, waiver_signed 409, waiver_changed 409, waiver_text_missing 409, value_not_allowed 422, rate_limited 429.';
revoke all on function public.sign_waiver(text, text, integer) from public, anon, authenticated, service_role;
grant execute on function public.sign_waiver(text, text, integer) to anon, authenticated, service_role;
grant execute on function private.sign_waiver(text, text, integer) to anon, authenticated, service_role;

create function public.onboarding_form(p_token text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.onboarding_form(p_token);
end;
comment on function public.onboarding_form is
  'What the onboarding page of a link shows: {org_id, org_name, branding, expires_at, waiver: {version, text} or null, client: its fields as they are}. Fails: link_not_found 404, link_expired 410, rate_limited 429.';
revoke all on function public.onboarding_form(text) from public, anon, authenticated, service_role;
grant execute on function public.onboarding_form(text) to anon, authenticated, service_role;
grant execute on function private.onboarding_form(text) to anon, authenticated, service_role;

create function public.submit_onboarding(
  p_token text, p_answers jsonb, p_signer_name text default null, p_waiver_version integer default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.submit_onboarding(p_token, p_answers, p_signer_name, p_waiver_version);
end;
comment on function public.submit_onboarding is
  'Takes in an onboarding form, once: {outcome: submitted, client_id, org_id, waiver_signed}; the link opens nothing afterwards. p_answers: any of the fields of onboarding_form, and no others; what is left out stays. Where there is a waiver, its version as shown and the signer''s name. Fails: link_not_found 404, link_expired 410, waiver_changed 409, value_not_allowed 422, rate_limited 429.';
revoke all on function public.submit_onboarding(text, jsonb, text, integer) from public, anon, authenticated, service_role;
grant execute on function public.submit_onboarding(text, jsonb, text, integer) to anon, authenticated, service_role;
grant execute on function private.submit_onboarding(text, jsonb, text, integer) to anon, authenticated, service_role;

create function public.send_waiver(p_client_id uuid, p_name text default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_waiver(p_client_id, p_name);
end;
comment on function public.send_waiver is
  'Makes a waiver for a client and texts its link: {waiver_id, token, signing_url, expires_at, sms_sent, outcome}; twice within a minute is once. Needs clients.write. Fails: client_not_found 404, waiver_text_missing 409, value_not_allowed 422, permission_missing 403, support_access_limited 403.';
revoke all on function public.send_waiver(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.send_waiver(uuid, text) to authenticated;
grant execute on function private.member_send_waiver(uuid, text) to authenticated;

create function public.send_onboarding(p_client_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_onboarding(p_client_id);
end;
comment on function public.send_onboarding is
  'Texts a client the link of their onboarding form: {onboarding_url, onboarding_token, sms_sent, outcome}. A link that is open stays, for thirty days more. Needs clients.write. Fails: client_not_found 404, permission_missing 403, support_access_limited 403.';
revoke all on function public.send_onboarding(uuid) from public, anon, authenticated, service_role;
grant execute on function public.send_onboarding(uuid) to authenticated;
grant execute on function private.member_send_onboarding(uuid) to authenticated;
