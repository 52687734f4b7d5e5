-- Who may see and write progress: the client whose it is, and those who train them. The desk and the accountant see none of it.

alter table public.activity_events enable row level security;
alter table public.habits enable row level security;
alter table public.client_habits enable row level security;
alter table public.measurement_types enable row level security;
alter table public.client_measurements enable row level security;
alter table public.checkin_photos enable row level security;
revoke all on public.activity_events, public.habits, public.client_habits, public.measurement_types, public.client_measurements,
  public.checkin_photos from public, anon, authenticated, service_role;

-- activity_events: the client reports, a coach may for them.
grant select on public.activity_events to authenticated, service_role;
grant insert (org_id, client_id, type, payload, photo_paths) on public.activity_events to authenticated;
create policy activity_events_select_people on public.activity_events for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy activity_events_insert_people on public.activity_events for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));

-- habits and who keeps them: coaches write, a client sees their own.
grant select, insert (org_id, name), update (name, is_active) on public.habits to authenticated;
grant select on public.habits to service_role;
create policy habits_select_people on public.habits for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[])
         or id in (select h.habit_id from public.client_habits as h where h.client_id = any ((select private.my_client_ids())::uuid[])));
create policy habits_insert_members on public.habits for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));
create policy habits_update_members on public.habits for update to authenticated
  using (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));

grant select, insert (org_id, client_id, habit_id), delete on public.client_habits to authenticated;
grant select on public.client_habits to service_role;
create policy client_habits_select_people on public.client_habits for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy client_habits_insert_members on public.client_habits for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));
create policy client_habits_delete_members on public.client_habits for delete to authenticated
  using (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));

-- measurement_types: the same for everyone who signs in.
grant select on public.measurement_types to authenticated, service_role;
create policy measurement_types_select_all on public.measurement_types for select to authenticated
  using ((select auth.uid()) is not null);

grant select, insert (org_id, client_id, measurement_type, value, unit, notes, measured_at), delete on public.client_measurements to authenticated;
grant select on public.client_measurements to service_role;
create policy client_measurements_select_people on public.client_measurements for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy client_measurements_insert_members on public.client_measurements for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));
create policy client_measurements_delete_members on public.client_measurements for delete to authenticated
  using (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));

-- checkin_photos: a client adds and takes away their own, a coach who takes the picture does too.
grant select, insert (org_id, client_id, activity_event_id, storage_path, photo_type), delete on public.checkin_photos to authenticated;
grant select on public.checkin_photos to service_role;
create policy checkin_photos_select_people on public.checkin_photos for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy checkin_photos_insert_people on public.checkin_photos for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy checkin_photos_delete_people on public.checkin_photos for delete to authenticated
  using (org_id = any ((select private.orgs_with('progress.write'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));

create trigger zz_refuse_clearly before insert on public.activity_events
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.habits
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert on public.client_habits
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert on public.client_measurements
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert on public.checkin_photos
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- The pictures themselves, where Supabase Storage is there: a private bucket whose folders are clients.
grant execute on function private.photo_client(text) to authenticated;
do $$
declare
  v_is_allowed constant text := $allowed$(
        private.photo_client(name) = any ((select private.my_client_ids())::uuid[])
        or exists (select from public.clients as c
                    where c.id = private.photo_client(objects.name) and c.org_id = any ((select private.orgs_with(%L))::uuid[])))$allowed$;
begin
  if to_regclass('storage.objects') is null or to_regclass('storage.buckets') is null then
    return;
  end if;
  insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
  values ('progress-photos', 'progress-photos', false, 10485760, '{image/jpeg,image/png,image/webp,image/heic}')
  on conflict (id) do update
     set public = false, file_size_limit = excluded.file_size_limit, allowed_mime_types = excluded.allowed_mime_types;
  execute format($policy$
    create policy progress_photos_select_people on storage.objects for select to authenticated
      using (bucket_id = 'progress-photos' and %1$s);
    create policy progress_photos_insert_people on storage.objects for insert to authenticated
      with check (bucket_id = 'progress-photos' and %2$s);
    create policy progress_photos_update_people on storage.objects for update to authenticated
      using (bucket_id = 'progress-photos' and %2$s) with check (bucket_id = 'progress-photos' and %2$s);
    create policy progress_photos_delete_people on storage.objects for delete to authenticated
      using (bucket_id = 'progress-photos' and %2$s) $policy$,
    format(v_is_allowed, 'progress.read'), format(v_is_allowed, 'progress.write'));
end;
$$;
