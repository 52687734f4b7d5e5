-- Who may see and write clients. Ids, tokens' owners and the sign-in link are never written by an app.

alter table public.clients enable row level security;
revoke all on public.clients from public, anon, authenticated, service_role;

grant execute on function private.my_client_ids(), private.my_client_org_ids() to authenticated;

grant select on public.clients to authenticated, service_role;
grant insert (org_id, full_name, email, phone, status, date_of_birth, gender, height_cm, weight_kg, target_weight_kg, goals,
              health_conditions, injuries, medications, dietary_restrictions, experience_level, preferred_training_days,
              preferred_time_windows, emergency_contact_name, emergency_contact_phone, notes, address_line1, address_line2,
              city, state, postcode)
  on public.clients to authenticated;
grant update (full_name, email, phone, date_of_birth, gender, height_cm, weight_kg, target_weight_kg, goals, health_conditions,
              injuries, medications, dietary_restrictions, experience_level, preferred_training_days, preferred_time_windows,
              emergency_contact_name, emergency_contact_phone, notes, address_line1, address_line2, city, state, postcode,
              email_opt_in, sms_opt_in, sms_reminder_enabled, sms_followup_enabled, onboarding_sent_at, onboarding_token,
              portal_token)
  on public.clients to authenticated;
grant update (portal_token) on public.clients to service_role;

create policy clients_select_people on public.clients for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[]) or id = any ((select private.my_client_ids())::uuid[]));
create policy clients_insert_members on public.clients for insert to authenticated
  with check (org_id = any ((select private.orgs_with('clients.write'))::uuid[]));
create policy clients_update_people on public.clients for update to authenticated
  using (org_id = any ((select private.orgs_with('clients.write'))::uuid[]) or id = any ((select private.my_client_ids())::uuid[]));
