-- Who may see and write what: members write settings, templates, schedules and conversations; the outbox is written by RPC alone.

alter table private.message_kinds enable row level security;
alter table private.phone_regions enable row level security;
alter table private.platform_settings enable row level security;
alter table private.unmatched_sms_events enable row level security;
alter table private.inbound_sids enable row level security;
revoke all on private.message_kinds, private.phone_regions, private.platform_settings, private.unmatched_sms_events,
  private.inbound_sids from public, anon, authenticated, service_role;
create policy message_kinds_select_nobody on private.message_kinds for select to service_role using (false);
create policy phone_regions_select_nobody on private.phone_regions for select to service_role using (false);
create policy platform_settings_select_nobody on private.platform_settings for select to service_role using (false);
create policy unmatched_sms_events_select_nobody on private.unmatched_sms_events for select to service_role using (false);
create policy inbound_sids_select_nobody on private.inbound_sids for select to service_role using (false);

alter table public.sms_settings enable row level security;
alter table public.sms_templates enable row level security;
alter table public.sms_schedules enable row level security;
alter table public.sms_suppression enable row level security;
alter table public.marketing_sends enable row level security;
alter table public.outbox_messages enable row level security;
alter table public.outbox_attempts enable row level security;
alter table public.outbox_events enable row level security;
alter table public.inbound_messages enable row level security;
alter table public.message_threads enable row level security;
alter table public.messages enable row level security;
alter table public.push_tokens enable row level security;
alter table public.client_communications enable row level security;
revoke all on public.sms_settings, public.sms_templates, public.sms_schedules, public.sms_suppression, public.marketing_sends,
  public.outbox_messages, public.outbox_attempts, public.outbox_events, public.inbound_messages, public.message_threads, public.messages,
  public.push_tokens, public.client_communications from public, anon, authenticated, service_role;

-- sms_settings: the account's secret is nobody's to read.
grant select (org_id, enabled, twilio_messaging_service_sid, twilio_phone_number, quiet_hours_start, quiet_hours_end, max_sms_per_hour,
              max_sms_per_client_per_day, send_booking_confirmations, send_session_reminders, send_feedback_requests, send_unconfirmed_nudges,
              low_package_sessions, falls_back_to_email, urgent_kinds, locale, phone_region, updated_at)
  on public.sms_settings to authenticated, service_role;
grant insert (org_id, enabled, quiet_hours_start, quiet_hours_end, max_sms_per_hour, max_sms_per_client_per_day, send_booking_confirmations,
              send_session_reminders, send_feedback_requests, send_unconfirmed_nudges, low_package_sessions, falls_back_to_email, urgent_kinds, locale,
              phone_region)
  on public.sms_settings to authenticated;
grant update (org_id, enabled, quiet_hours_start, quiet_hours_end, max_sms_per_hour, max_sms_per_client_per_day, send_booking_confirmations,
              send_session_reminders, send_feedback_requests, send_unconfirmed_nudges, low_package_sessions, falls_back_to_email, urgent_kinds, locale,
              phone_region)
  on public.sms_settings to authenticated;
create policy sms_settings_select_members on public.sms_settings for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy sms_settings_insert_members on public.sms_settings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy sms_settings_update_members on public.sms_settings for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger sms_settings__keep_org before update of org_id on public.sms_settings
  for each row when (old.org_id <> new.org_id) execute function private.tg__keep_org();
create trigger sms_settings__audit after insert or update on public.sms_settings
  for each row execute function private.tg__audit();

grant select on public.sms_templates to authenticated, service_role;
grant insert (org_id, template_key, name, description, body, is_active) on public.sms_templates to authenticated;
grant update (is_active, name, description) on public.sms_templates to authenticated;
create policy sms_templates_select_members on public.sms_templates for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy sms_templates_insert_members on public.sms_templates for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy sms_templates_update_members on public.sms_templates for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger sms_templates__audit after insert or update on public.sms_templates
  for each row execute function private.tg__audit();

grant select, delete on public.sms_schedules to authenticated;
grant select on public.sms_schedules to service_role;
grant insert (org_id, type, label, mins_offset, body, enabled, sort_order) on public.sms_schedules to authenticated;
grant update (label, mins_offset, body, enabled, sort_order, updated_at) on public.sms_schedules to authenticated;
create policy sms_schedules_select_members on public.sms_schedules for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy sms_schedules_insert_members on public.sms_schedules for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy sms_schedules_update_members on public.sms_schedules for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy sms_schedules_delete_members on public.sms_schedules for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger sms_schedules__audit after insert or update or delete on public.sms_schedules
  for each row execute function private.tg__audit();

-- sms_suppression: an opt-out is lifted by the person alone, what a coach wrote by a coach.
grant select, delete on public.sms_suppression to authenticated;
grant select on public.sms_suppression to service_role;
create policy sms_suppression_select_members on public.sms_suppression for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy sms_suppression_delete_members on public.sms_suppression for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]) and reason in ('manual', 'invalid_number'));
create trigger sms_suppression__audit after insert or delete on public.sms_suppression
  for each row execute function private.tg__audit();

grant select on public.marketing_sends, public.outbox_messages, public.outbox_attempts, public.outbox_events, public.inbound_messages
  to authenticated, service_role;
create policy marketing_sends_select_members on public.marketing_sends for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy outbox_messages_select_members on public.outbox_messages for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy outbox_attempts_select_members on public.outbox_attempts for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy outbox_events_select_members on public.outbox_events for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy inbound_messages_select_members on public.inbound_messages for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));

-- Conversations: members, and the client whose it is.
grant select on public.message_threads to authenticated, service_role;
grant insert (org_id, client_id) on public.message_threads to authenticated, service_role;
grant update (trainer_last_read_at) on public.message_threads to authenticated;
create policy message_threads_select_people on public.message_threads for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy message_threads_insert_people on public.message_threads for insert to authenticated
  with check (org_id = any ((select private.orgs_with('messages.write'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy message_threads_update_members on public.message_threads for update to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));

grant select on public.messages to authenticated, service_role;
grant insert (org_id, thread_id, sender_type, body) on public.messages to authenticated, service_role;
create policy messages_select_people on public.messages for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[])
         or thread_id in (select t.id from public.message_threads as t where t.client_id = any ((select private.my_client_ids())::uuid[])));
create policy messages_insert_people on public.messages for insert to authenticated
  with check (org_id = any ((select private.orgs_with('messages.write'))::uuid[])
              or thread_id in (select t.id from public.message_threads as t where t.client_id = any ((select private.my_client_ids())::uuid[])));

grant select on public.push_tokens to authenticated, service_role;
grant insert (org_id, client_id, expo_token, device_id, updated_at), update (org_id, client_id, expo_token, device_id, updated_at)
  on public.push_tokens to authenticated;
grant delete on public.push_tokens to authenticated;
create policy push_tokens_select_clients on public.push_tokens for select to authenticated
  using (client_id = any ((select private.my_client_ids())::uuid[]));
create policy push_tokens_insert_clients on public.push_tokens for insert to authenticated
  with check (client_id = any ((select private.my_client_ids())::uuid[]));
create policy push_tokens_update_clients on public.push_tokens for update to authenticated
  using (client_id = any ((select private.my_client_ids())::uuid[]));
create policy push_tokens_delete_clients on public.push_tokens for delete to authenticated
  using (client_id = any ((select private.my_client_ids())::uuid[]));
create trigger push_tokens__keep_org before update of org_id on public.push_tokens
  for each row when (old.org_id <> new.org_id) execute function private.tg__keep_org();

grant select on public.client_communications to authenticated, service_role;
grant insert (org_id, client_id, user_id, type, direction, subject, content) on public.client_communications to authenticated, service_role;
create policy client_communications_select_members on public.client_communications for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy client_communications_insert_members on public.client_communications for insert to authenticated
  with check (org_id = any ((select private.orgs_with('messages.write'))::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.sms_settings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly('upserted');
create trigger zz_refuse_clearly before insert or update on public.sms_templates
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.sms_schedules
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.message_threads
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.messages
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.client_communications
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- The apps listen to new messages where Supabase Realtime is there.
do $$
begin
  if exists (select from pg_catalog.pg_publication as p where p.pubname = 'supabase_realtime' and not p.puballtables) then
    execute 'alter publication supabase_realtime add table public.messages';
  end if;
end;
$$;
