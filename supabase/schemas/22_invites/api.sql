-- Invites for apps: a client's code, a member's link.

create function public.client_invite(p_code text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.client_invite(p_code);
end;
comment on function public.client_invite is
  'What the app shows of an invite before its holder signs up: {first_name, org_name, expires_at}. Case, spaces and dashes of the code do not matter. Fails: invite_not_found 404, invite_expired 410, invite_used 410, rate_limited 429.';
revoke all on function public.client_invite(text) from public, anon, authenticated, service_role;
grant execute on function public.client_invite(text) to anon, authenticated, service_role;
grant execute on function private.client_invite(text) to anon, authenticated, service_role;

create function public.redeem_client_invite(p_code text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.person_redeem_client_invite(p_code);
end;
comment on function public.redeem_client_invite is
  'Makes you the client of a code, once: {outcome: redeemed, invite_id, client_id, org_id, redeemed_at}; again answers you the same. Fails: invite_not_found 404, invite_expired 410, invite_used 410, client_linked 409, rate_limited 429.';
revoke all on function public.redeem_client_invite(text) from public, anon, authenticated, service_role;
grant execute on function public.redeem_client_invite(text) to authenticated;
grant execute on function private.person_redeem_client_invite(text) to authenticated;

create function public.create_client_invite(p_client_id uuid, p_days integer default 14)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_create_client_invite(p_client_id, p_days);
end;
comment on function public.create_client_invite is
  'The open invite of a client into the app, or a new one for so many days (1 to 90): {invite_id, invite_code, expires_at}. Needs clients.write. Fails: client_not_found 404, client_linked 409, value_not_allowed 422, permission_missing 403, support_access_limited 403.';
revoke all on function public.create_client_invite(uuid, integer) from public, anon, authenticated, service_role;
grant execute on function public.create_client_invite(uuid, integer) to authenticated;
grant execute on function private.member_create_client_invite(uuid, integer) to authenticated;

create function public.revoke_client_invite(p_invite_id uuid)
returns boolean
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_revoke_client_invite(p_invite_id);
end;
comment on function public.revoke_client_invite is
  'Takes a client''s invite back; false when it was used or taken back already. Needs clients.write. Fails: invite_not_found 404, permission_missing 403.';
revoke all on function public.revoke_client_invite(uuid) from public, anon, authenticated, service_role;
grant execute on function public.revoke_client_invite(uuid) to authenticated;
grant execute on function private.member_revoke_client_invite(uuid) to authenticated;

create function public.invite_member(p_org_id uuid, p_email text, p_role text, p_days integer default 7)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_invite_member(p_org_id, p_email, p_role, p_days);
end;
comment on function public.invite_member is
  'Invites a person by email to join with a role, for so many days (1 to 30): {invite_id, email, role, expires_at, email_queued}. An open invite of that email is sent anew with a new link. Needs members.write, and owners.write for an owner. Fails: org_not_found 404, already_member 409, value_not_allowed 422, permission_missing 403, rate_limited 429, support_access_limited 403.';
revoke all on function public.invite_member(uuid, text, text, integer) from public, anon, authenticated, service_role;
grant execute on function public.invite_member(uuid, text, text, integer) to authenticated;
grant execute on function private.member_invite_member(uuid, text, text, integer) to authenticated;

create function public.accept_invite(p_token text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.person_accept_invite(p_token);
end;
comment on function public.accept_invite is
  'Joins the organisation that invited your email, once: {outcome: joined, org_id, member_id, role}; again answers the same. Your email must be confirmed. Fails: invite_not_found 404, invite_other_email 403, invite_expired 410, invite_used 410, rate_limited 429.';
revoke all on function public.accept_invite(text) from public, anon, authenticated, service_role;
grant execute on function public.accept_invite(text) to authenticated;
grant execute on function private.person_accept_invite(text) to authenticated;

create function public.revoke_invite(p_invite_id uuid)
returns boolean
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_revoke_invite(p_invite_id);
end;
comment on function public.revoke_invite is
  'Takes a member''s invite back, and its email where it has not left; false when it was accepted or taken back already. Needs members.write. Fails: invite_not_found 404, permission_missing 403.';
revoke all on function public.revoke_invite(uuid) from public, anon, authenticated, service_role;
grant execute on function public.revoke_invite(uuid) to authenticated;
grant execute on function private.member_revoke_invite(uuid) to authenticated;
