-- Who may see invites. A client's codes are the members' to hand over, a member's token is the email's alone; all is written by RPCs.

alter table public.client_invites enable row level security;
alter table public.member_invites enable row level security;
alter table private.allow_list enable row level security;
revoke all on public.client_invites, public.member_invites, private.allow_list from public, anon, authenticated, service_role;
create policy allow_list_select_nobody on private.allow_list for select to service_role using (false);

-- Whoever has redeemed a code sees it: the app finds its client by it. What it writes there is what redeem_client_invite wrote.
grant execute on function private.my_invite_id() to authenticated;
grant select on public.client_invites to authenticated;
grant update (redeemed_at, redeemed_by) on public.client_invites to authenticated;
create policy client_invites_select_people on public.client_invites for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.write'))::uuid[]) or id = (select private.my_invite_id()));
create policy client_invites_update_redeemer on public.client_invites for update to authenticated
  using (id = (select private.my_invite_id()));
create trigger client_invites__audit after insert or update or delete on public.client_invites
  for each row execute function private.tg__audit();

grant select (org_id, id, email, role, expires_at, accepted_at, accepted_by, revoked_at, created_by, created_at, updated_at)
  on public.member_invites to authenticated;
create policy member_invites_select_members on public.member_invites for select to authenticated
  using (org_id = any ((select private.orgs_with('members.write'))::uuid[]));
create trigger member_invites__audit after insert or update or delete on public.member_invites
  for each row execute function private.tg__audit('token_hash', 'expires_at');
