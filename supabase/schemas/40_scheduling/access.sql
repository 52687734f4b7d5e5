-- Who may see and write settings, staff, hours, session types and bookings directly.

alter table public.booking_settings enable row level security;
alter table public.session_types enable row level security;
alter table public.bookings enable row level security;
revoke all on public.booking_settings, public.session_types, public.bookings from public, anon, authenticated, service_role;

-- booking_settings: members, the founder's first insert; a client reads the rules they book by.
grant select, insert (org_id, timezone) on public.booking_settings to authenticated;
grant select on public.booking_settings to service_role;
grant update (allow_client_booking, buffer_between_mins, early_cutoff_before_hour, early_cutoff_time, gst_registered, late_notice_hours,
              max_advance_days, min_notice_hours, pass_stripe_fees, slot_duration_mins, timezone,
              session_click_window_secs, hold_mins, waitlist_offer_mins, no_show_policy, late_cancellation_policy, cancel_notice_hours, allow_client_cancel,
              send_receipts)
  on public.booking_settings to authenticated;
create policy booking_settings_select_people on public.booking_settings for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy booking_settings_insert_members on public.booking_settings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]) or private.founds(org_id));
create policy booking_settings_update_members on public.booking_settings for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));

-- session_types: members write, a client reads.
grant select, delete on public.session_types to authenticated;
grant select on public.session_types to service_role;
grant insert (org_id, name, slug, description, duration_mins, price_cents, currency, deposit_cents, deposit_percent, color, is_active,
              allow_online_booking, buffer_before_mins, buffer_after_mins, max_per_day, capacity, sort_order)
  on public.session_types to authenticated;
grant update (name, slug, description, duration_mins, price_cents, currency, deposit_cents, deposit_percent, color, is_active,
              allow_online_booking, buffer_before_mins, buffer_after_mins, max_per_day, capacity, updated_at)
  on public.session_types to authenticated;
create policy session_types_select_people on public.session_types for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy session_types_insert_members on public.session_types for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy session_types_update_members on public.session_types for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy session_types_delete_members on public.session_types for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));

-- bookings: members write (triggers guard), a client reads and cancels their own; the portal's server has its own columns.
grant select on public.bookings to authenticated, service_role;
grant insert (org_id, client_id, start_time, end_time, duration_mins, offer_id, session_type, purchase_id, location_type, status,
              booked_by, booking_source, notes, client_notes)
  on public.bookings to authenticated;
grant update (client_id, start_time, end_time, duration_mins, session_type, status, cancelled_at, notes, client_confirmed,
              confirmation_sent_at, reminder_sent)
  on public.bookings to authenticated;
grant insert (org_id, client_id, purchase_id, start_time, end_time, duration_mins, session_type, location_type, status, booking_source,
              booked_by)
  on public.bookings to service_role;
grant update (status, cancelled_at, confirmation_sent_at, client_confirmed) on public.bookings to service_role;
create policy bookings_select_people on public.bookings for select to authenticated
  using (org_id = any ((select private.orgs_with('bookings.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));
create policy bookings_insert_people on public.bookings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('bookings.write'))::uuid[])
              or client_id = any ((select private.my_client_ids())::uuid[]));
create policy bookings_update_people on public.bookings for update to authenticated
  using (org_id = any ((select private.orgs_with('bookings.write'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.booking_settings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.session_types
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.bookings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- Staff, hours and blocks: members write as their role allows; a client reads who works when, not what is blocked.
alter table public.staff enable row level security;
alter table public.staff_locations enable row level security;
alter table public.session_type_staff enable row level security;
alter table public.session_type_prices enable row level security;
alter table public.availability enable row level security;
alter table public.blocked_times enable row level security;
alter table public.booking_series enable row level security;
alter table public.waitlist_entries enable row level security;
alter table private.occupancies enable row level security;
alter table private.holds enable row level security;
revoke all on public.staff, public.staff_locations, public.session_type_staff, public.session_type_prices, public.availability, public.blocked_times, public.booking_series, public.waitlist_entries
  from public, anon, authenticated, service_role;
revoke all on private.occupancies, private.holds from public, anon, authenticated, service_role;
create policy occupancies_select_nobody on private.occupancies for select to service_role using (false);
create policy holds_select_nobody on private.holds for select to service_role using (false);

grant select on public.staff to authenticated;
grant select on public.staff to service_role;
grant insert (org_id, user_id, full_name, email) on public.staff to authenticated;
grant update (user_id, full_name, email) on public.staff to authenticated;
create policy staff_select_people on public.staff for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy staff_insert_members on public.staff for insert to authenticated
  with check (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create policy staff_update_members on public.staff for update to authenticated
  using (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.staff
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.staff_locations to authenticated;
grant select on public.staff_locations to service_role;
grant insert (org_id, staff_id, location_id) on public.staff_locations to authenticated;
create policy staff_locations_select_people on public.staff_locations for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy staff_locations_insert_members on public.staff_locations for insert to authenticated
  with check (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create policy staff_locations_delete_members on public.staff_locations for delete to authenticated
  using (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.staff_locations
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.session_type_staff to authenticated;
grant select on public.session_type_staff to service_role;
grant insert (org_id, session_type_id, staff_id) on public.session_type_staff to authenticated;
create policy session_type_staff_select_people on public.session_type_staff for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy session_type_staff_insert_members on public.session_type_staff for insert to authenticated
  with check (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create policy session_type_staff_delete_members on public.session_type_staff for delete to authenticated
  using (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.session_type_staff
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.session_type_prices to authenticated;
grant select on public.session_type_prices to service_role;
grant insert (org_id, session_type_id, location_id, price_cents) on public.session_type_prices to authenticated;
grant update (price_cents) on public.session_type_prices to authenticated;
create policy session_type_prices_select_people on public.session_type_prices for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy session_type_prices_insert_members on public.session_type_prices for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy session_type_prices_update_members on public.session_type_prices for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy session_type_prices_delete_members on public.session_type_prices for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.session_type_prices
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.availability to authenticated;
grant select on public.availability to service_role;
grant insert (org_id, user_id, staff_id, day_of_week, start_time, end_time, specific_date, is_available) on public.availability to authenticated;
create policy availability_select_people on public.availability for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy availability_insert_members on public.availability for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy availability_delete_members on public.availability for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.availability
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.blocked_times to authenticated;
grant select on public.blocked_times to service_role;
grant insert (org_id, user_id, staff_id, date, day_of_week, start_time, end_time, reason) on public.blocked_times to authenticated;
grant update (date, day_of_week, start_time, end_time, reason) on public.blocked_times to authenticated;
create policy blocked_times_select_members on public.blocked_times for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy blocked_times_insert_members on public.blocked_times for insert to authenticated
  with check (org_id = any ((select private.orgs_with('bookings.write'))::uuid[]));
create policy blocked_times_update_members on public.blocked_times for update to authenticated
  using (org_id = any ((select private.orgs_with('bookings.write'))::uuid[]));
create policy blocked_times_delete_members on public.blocked_times for delete to authenticated
  using (org_id = any ((select private.orgs_with('bookings.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.blocked_times
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- Series and the waitlist are written by RPC alone.
grant select on public.booking_series, public.waitlist_entries to authenticated, service_role;
create policy booking_series_select_people on public.booking_series for select to authenticated
  using (org_id = any ((select private.orgs_with('bookings.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));
create policy waitlist_entries_select_people on public.waitlist_entries for select to authenticated
  using (org_id = any ((select private.orgs_with('bookings.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));

alter table private.calendar_changes enable row level security;
alter table private.calendar_feeds enable row level security;
alter table private.calendar_feed_tokens enable row level security;
revoke all on private.calendar_changes, private.calendar_feeds, private.calendar_feed_tokens from public, anon, authenticated, service_role;
create policy calendar_changes_select_nobody on private.calendar_changes for select to service_role using (false);
create policy calendar_feeds_select_nobody on private.calendar_feeds for select to service_role using (false);
create policy calendar_feed_tokens_select_nobody on private.calendar_feed_tokens for select to service_role using (false);

-- Who may listen: members with bookings.read, to their organisation's topic. Only where Realtime exists.
do $$
begin
  if to_regclass('realtime.messages') is not null then
    execute $policy$
      create policy calendar_topic_select_members on realtime.messages for select to authenticated
        using (realtime.topic() = any (select 'calendar:' || o.id from unnest((select private.orgs_with('bookings.read'))) as o (id)))
    $policy$;
  end if;
end;
$$;
