-- Who may see and write waivers: members. A visitor with a link comes through RPCs; evidence is written there alone.

alter table public.waiver_texts enable row level security;
alter table public.client_waivers enable row level security;
revoke all on public.waiver_texts, public.client_waivers from public, anon, authenticated, service_role;

grant select on public.waiver_texts to authenticated;
create policy waiver_texts_select_members on public.waiver_texts for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[]));
create trigger waiver_texts__append_only before update or delete on public.waiver_texts
  for each row execute function private.tg__append_only();
create trigger waiver_texts__no_truncate before truncate on public.waiver_texts
  for each statement execute function private.tg__append_only();

grant select on public.client_waivers to authenticated, service_role;
grant insert (org_id, client_id, name, status, sent_at) on public.client_waivers to authenticated;
grant update (status) on public.client_waivers to authenticated;
create policy client_waivers_select_members on public.client_waivers for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[]));
create policy client_waivers_insert_members on public.client_waivers for insert to authenticated
  with check (org_id = any ((select private.orgs_with('clients.write'))::uuid[]));
create policy client_waivers_update_members on public.client_waivers for update to authenticated
  using (org_id = any ((select private.orgs_with('clients.write'))::uuid[]));
create trigger client_waivers__audit after insert or update or delete on public.client_waivers
  for each row execute function private.tg__audit();
create trigger zz_refuse_clearly before insert or update on public.client_waivers
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
