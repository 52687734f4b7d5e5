-- Who may see and write the tables of tenancy directly. Everything else goes through an RPC.

alter table public.orgs enable row level security;
alter table public.roles enable row level security;
alter table public.role_permissions enable row level security;
alter table public.org_members enable row level security;
alter table public.profiles enable row level security;
alter table public.branding enable row level security;
revoke all on public.orgs, public.roles, public.role_permissions, public.org_members, public.profiles, public.branding
  from public, anon, authenticated, service_role;

grant execute on function private.orgs_with(text), private.shown_org_ids(), private.founds(uuid), private.has_members(uuid) to authenticated;

-- orgs: a member, a client of it, its founder before the first membership, a platform admin. The founder is told by the row's own
-- column: the insert asks for the row back, and no function can see it yet.
grant select, insert (name, slug, commission_rate) on public.orgs to authenticated;
grant update (name, commission_rate, waiver_template, proforma_disclaimer, onboarding_completed, allows_support) on public.orgs to authenticated;
grant select on public.orgs to service_role;
create policy orgs_select_people on public.orgs for select to authenticated
  using (id = any ((select private.orgs_with('org.read'))::uuid[])
         or id = any ((select private.my_client_org_ids())::uuid[])
         or (created_by = (select auth.uid()) and not private.has_members(id))
         or (select private.is_platform_admin()));
create policy orgs_insert_founder on public.orgs for insert to authenticated
  with check (created_by = (select auth.uid()));
create policy orgs_update_members on public.orgs for update to authenticated
  using (id = any ((select private.orgs_with('org.write'))::uuid[]) or (select private.may_operate('orgs.write')));

-- roles, role_permissions: the same for everyone who signs in.
grant select on public.roles, public.role_permissions to authenticated, service_role;
create policy roles_select_all on public.roles for select to authenticated using ((select auth.uid()) is not null);
create policy role_permissions_select_all on public.role_permissions for select to authenticated
  using ((select auth.uid()) is not null);

-- org_members: one's own row of the active organisation; the founder's own insert (guarded by trigger).
grant select, insert (org_id, user_id, role) on public.org_members to authenticated;
grant select on public.org_members to service_role;
create policy org_members_select_self on public.org_members for select to authenticated
  using (user_id = (select auth.uid()) and org_id = any ((select private.shown_org_ids())::uuid[])
         and (ends_at is null or ends_at > now()));
create policy org_members_insert_founder on public.org_members for insert to authenticated
  with check (user_id = (select auth.uid()) and role = 'owner');

-- profiles: one's own.
grant select, update (full_name) on public.profiles to authenticated;
grant select on public.profiles to service_role;
create policy profiles_select_self on public.profiles for select to authenticated using (id = (select auth.uid()));
create policy profiles_update_self on public.profiles for update to authenticated using (id = (select auth.uid()));

-- branding: members read, owners and managers write, the founder inserts.
grant select, insert (org_id, display_name, primary_color), update (display_name, primary_color) on public.branding to authenticated;
grant select on public.branding to service_role;
create policy branding_select_people on public.branding for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy branding_insert_members on public.branding for insert to authenticated
  with check (org_id = any ((select private.orgs_with('org.write'))::uuid[]) or private.founds(org_id));
create policy branding_update_members on public.branding for update to authenticated
  using (org_id = any ((select private.orgs_with('org.write'))::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.orgs
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert on public.org_members
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.branding
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before update on public.profiles
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- locations and their hours: members read, owners and managers write, a client reads.
alter table public.locations enable row level security;
alter table public.location_hours enable row level security;
revoke all on public.locations, public.location_hours from public, anon, authenticated, service_role;
grant select, insert (org_id, name, address), update (name, address, is_active) on public.locations to authenticated;
grant select, insert (org_id, location_id, day_of_week, opens_time, closes_time), update (opens_time, closes_time), delete
  on public.location_hours to authenticated;
grant select on public.locations, public.location_hours to service_role;
create policy locations_select_people on public.locations for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy locations_insert_members on public.locations for insert to authenticated
  with check (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create policy locations_update_members on public.locations for update to authenticated
  using (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create policy location_hours_select_people on public.location_hours for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy location_hours_insert_members on public.location_hours for insert to authenticated
  with check (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create policy location_hours_update_members on public.location_hours for update to authenticated
  using (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create policy location_hours_delete_members on public.location_hours for delete to authenticated
  using (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.locations
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.location_hours
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
