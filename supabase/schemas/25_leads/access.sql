-- Who may see and write leads and referrals. Counters, rewards and history are written by rules alone; a visitor reaches no table.

alter table public.inquiries enable row level security;
alter table public.inquiry_events enable row level security;
alter table public.referral_links enable row level security;
alter table public.referrals enable row level security;
alter table public.referral_rewards enable row level security;
alter table public.credit_entries enable row level security;
alter table private.referral_codes enable row level security;
alter table private.referral_clicks enable row level security;
revoke all on public.inquiries, public.inquiry_events, public.referral_links, public.referrals, public.referral_rewards, public.credit_entries,
  private.referral_codes, private.referral_clicks from public, anon, authenticated, service_role;
create policy referral_codes_select_nobody on private.referral_codes for select to service_role using (false);
create policy referral_clicks_select_nobody on private.referral_clicks for select to service_role using (false);

grant select, delete on public.inquiries to authenticated;
grant select on public.inquiries to service_role;
grant insert (org_id, name, email, phone, source, message, status, services_interested, follow_up_date, assigned_to, expected_value)
  on public.inquiries to authenticated;
grant insert (org_id, name, email, phone, source, message, status) on public.inquiries to service_role;
grant update (name, email, phone, message, status, services_interested, follow_up_date, assigned_to, expected_value, converted_client_id)
  on public.inquiries to authenticated;
create policy inquiries_select_members on public.inquiries for select to authenticated
  using (org_id = any ((select private.orgs_with('leads.read'))::uuid[]));
create policy inquiries_insert_members on public.inquiries for insert to authenticated
  with check (org_id = any ((select private.orgs_with('leads.write'))::uuid[]));
create policy inquiries_update_members on public.inquiries for update to authenticated
  using (org_id = any ((select private.orgs_with('leads.write'))::uuid[]));
create policy inquiries_delete_members on public.inquiries for delete to authenticated
  using (org_id = any ((select private.orgs_with('leads.write'))::uuid[]));
create trigger inquiries__audit after delete on public.inquiries
  for each row execute function private.tg__audit();
create trigger zz_refuse_clearly before insert or update on public.inquiries
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select on public.inquiry_events to authenticated;
create policy inquiry_events_select_members on public.inquiry_events for select to authenticated
  using (org_id = any ((select private.orgs_with('leads.read'))::uuid[]));

grant select on public.referral_links to authenticated, service_role;
grant insert (org_id, code, name, description, reward_type, reward_value, referrer_reward_type, referrer_reward_value, is_active, expires_at)
  on public.referral_links to authenticated;
grant update (name, description, is_active, expires_at) on public.referral_links to authenticated;
create policy referral_links_select_members on public.referral_links for select to authenticated
  using (org_id = any ((select private.orgs_with('leads.read'))::uuid[]));
create policy referral_links_insert_members on public.referral_links for insert to authenticated
  with check (org_id = any ((select private.orgs_with('leads.write'))::uuid[]));
create policy referral_links_update_members on public.referral_links for update to authenticated
  using (org_id = any ((select private.orgs_with('leads.write'))::uuid[]));
create trigger referral_links__audit after insert or update on public.referral_links
  for each row execute function private.tg__audit('clicks', 'signups', 'conversions');
create trigger referral_links__touch before update on public.referral_links
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger zz_refuse_clearly before insert or update on public.referral_links
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select on public.referrals, public.referral_rewards to authenticated;
grant select on public.referrals to service_role;
create policy referrals_select_members on public.referrals for select to authenticated
  using (org_id = any ((select private.orgs_with('leads.read'))::uuid[]));
create policy referral_rewards_select_members on public.referral_rewards for select to authenticated
  using (org_id = any ((select private.orgs_with('leads.read'))::uuid[]));

-- credit_entries: members, and a client their own.
grant select on public.credit_entries to authenticated;
create policy credit_entries_select_people on public.credit_entries for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create trigger credit_entries__append_only before update or delete on public.credit_entries
  for each row execute function private.tg__append_only();
create trigger credit_entries__no_truncate before truncate on public.credit_entries
  for each statement execute function private.tg__append_only();
