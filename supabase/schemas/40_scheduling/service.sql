-- Scheduling for sweeps, calendar files and operators.

create function service.sweep_overdue_bookings(
  p_limit integer default 5000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (completed integer, charged integer, uncovered integer, skipped integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select s.completed, s.charged, s.uncovered, s.skipped
                 from private.sweep_overdue_bookings(p_limit, coalesce(p_now, now()), coalesce(p_dry_run, false)) as s;
end;
$$;
comment on function service.sweep_overdue_bookings is
  'Completes bookings that are over and settles what stayed due for two minutes, at most p_limit (1 to 100000) a call; call again until nothing comes back. skipped are held by somebody else and left for the next call. A dry run changes nothing. Fails: value_not_allowed 422.';
revoke all on function service.sweep_overdue_bookings(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_overdue_bookings(integer, timestamptz, boolean) to service_role;

create function service.list_bookings(
  p_org_id uuid, p_from timestamptz default null, p_until timestamptz default null,
  p_limit integer default 100)
returns table (booking_id uuid, client_id uuid, client_name text, starts_local text, start_time timestamptz, status text, settlement text, purchase_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select b.id, b.client_id, c.full_name, to_char(b.start_time at time zone private.org_timezone(p_org_id), 'YYYY-MM-DD HH24:MI'),
         b.start_time, b.status, b.settlement, b.purchase_id
    from public.bookings as b
    join public.clients as c on c.org_id = b.org_id and c.id = b.client_id
   where b.org_id = p_org_id and b.start_time >= coalesce(p_from, '-infinity') and b.start_time < coalesce(p_until, 'infinity')
   order by b.start_time desc, b.id
   limit least(greatest(coalesce(p_limit, 100), 1), 1000);
end;
$$;
comment on function service.list_bookings is
  'An organisation''s bookings, latest first, with their start in its timezone. Fails: org_not_found 404.';
revoke all on function service.list_bookings(uuid, timestamptz, timestamptz, integer) from public, anon, authenticated;
grant execute on function service.list_bookings(uuid, timestamptz, timestamptz, integer) to service_role;

create function service.complete_booking(p_booking_id uuid)
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.complete_booking(private.booking_org(p_booking_id), p_booking_id, null);
$$;
comment on function service.complete_booking is
  'public.complete_booking for operators. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409.';
revoke all on function service.complete_booking(uuid) from public, anon, authenticated;
grant execute on function service.complete_booking(uuid) to service_role;

create function service.undo_completion(p_booking_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.undo_completion(private.booking_org(p_booking_id), p_booking_id, null);
$$;
comment on function service.undo_completion is
  'public.undo_completion for operators. Fails: booking_not_found 404, booking_not_completed 409, booking_moving 409.';
revoke all on function service.undo_completion(uuid) from public, anon, authenticated;
grant execute on function service.undo_completion(uuid) to service_role;

create function service.sweep_expired_holds(
  p_limit integer default 1000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (expired integer, offered integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select s.expired, s.offered
                 from private.sweep_expired_holds(p_limit, coalesce(p_now, now()), coalesce(p_dry_run, false)) as s;
end;
$$;
comment on function service.sweep_expired_holds is
  'Frees holds that have run out, about p_limit (1 to 100000) a call, those of one session together, and offers their times to the waitlist; call again until nothing comes back. What somebody else is at work on is left for the next call. A dry run changes nothing. Fails: value_not_allowed 422.';
revoke all on function service.sweep_expired_holds(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_expired_holds(integer, timestamptz, boolean) to service_role;

create function service.calendar_feed(p_token text)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.feed(p_token);
$$;
comment on function service.calendar_feed is
  'The bookings behind a feed''s token, from 90 days back to a year ahead: {name, events: [{uid, sequence, start_time, end_time, status, summary, location, organizer, created_at, updated_at}]}. Fails: feed_not_found 404.';
revoke all on function service.calendar_feed(text) from public, anon, authenticated;
grant execute on function service.calendar_feed(text) to service_role;

create function service.booking_event(p_booking_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_booking public.bookings;
begin
  select b.* into v_booking from public.bookings as b where b.id = p_booking_id;
  if not found then
    perform private.refuse_booking();
  end if;
  return private.booking_event(v_booking, false);
end;
$$;
comment on function service.booking_event is 'One booking as a calendar event, as a client''s feed has it. Fails: booking_not_found 404.';
revoke all on function service.booking_event(uuid) from public, anon, authenticated;
grant execute on function service.booking_event(uuid) to service_role;

create function service.list_staff(p_org_id uuid)
returns table (staff_id uuid, full_name text, email text, is_member boolean, is_active boolean, upcoming integer, deactivated_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select s.id, s.full_name, s.email, s.user_id is not null, s.is_active,
         (select count(*)::integer from public.bookings as b
           where b.org_id = s.org_id and b.staff_id = s.id and b.status in ('pending', 'confirmed') and b.start_time > now()),
         s.deactivated_at
    from public.staff as s
   where s.org_id = p_org_id
   order by s.is_active desc, s.full_name, s.id;
end;
$$;
comment on function service.list_staff is
  'An organisation''s staff, the active first, with how many bookings lie ahead of each. Fails: org_not_found 404.';
revoke all on function service.list_staff(uuid) from public, anon, authenticated;
grant execute on function service.list_staff(uuid) to service_role;

create function service.create_staff(
  p_org_id uuid, p_full_name text, p_email text default null,
  p_member_email text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user_id uuid := case when p_member_email is not null then private.user_by_email(p_member_email) end;
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(char_length(btrim(p_full_name)) between 1 and 200, 'full_name');
  perform private.require_value(coalesce(char_length(p_email) <= 320 and position('@' in p_email) > 1, p_email is null), 'email');
  insert into public.staff (org_id, full_name, email, user_id) values (p_org_id, btrim(p_full_name), p_email, v_user_id)
  on conflict (org_id, user_id) where user_id is not null do nothing
  returning id into v_id;
  if v_id is null then
    perform private.fail(409, 'value_taken', 'There is already one with this value.', 'This member has a calendar: see the staff.');
  end if;
  return v_id;
end;
$$;
comment on function service.create_staff is
  'Adds a staff member, linked to a member of the organisation or not, and returns their id. Fails: org_not_found 404, user_not_found 404, staff_not_member 422, value_taken 409, value_not_allowed 422.';
revoke all on function service.create_staff(uuid, text, text, text) from public, anon, authenticated;
grant execute on function service.create_staff(uuid, text, text, text) to service_role;

create function service.link_staff(p_staff_id uuid, p_member_email text default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.staff_org(p_staff_id);
begin
  perform private.link_staff(v_org_id, p_staff_id, case when p_member_email is not null then private.user_by_email(p_member_email) end);
end;
$$;
comment on function service.link_staff is
  'Links a staff member to the member who signs in as them; without an email, to nobody. Their hours and blocks follow. Fails: staff_not_found 404, user_not_found 404, staff_not_member 422, value_taken 409.';
revoke all on function service.link_staff(uuid, text) from public, anon, authenticated;
grant execute on function service.link_staff(uuid, text) to service_role;

create function service.deactivate_staff(p_staff_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.deactivate_staff(private.staff_org(p_staff_id), p_staff_id);
$$;
comment on function service.deactivate_staff is
  'public.deactivate_staff for operators. Fails: staff_not_found 404.';
revoke all on function service.deactivate_staff(uuid) from public, anon, authenticated;
grant execute on function service.deactivate_staff(uuid) to service_role;

create function service.reactivate_staff(p_staff_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.reactivate_staff(private.staff_org(p_staff_id), p_staff_id);
$$;
comment on function service.reactivate_staff is
  'public.reactivate_staff for operators. Fails: staff_not_found 404.';
revoke all on function service.reactivate_staff(uuid) from public, anon, authenticated;
grant execute on function service.reactivate_staff(uuid) to service_role;

create function service.find_session_type(p_org_id uuid, p_type text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  -- A slug may look like another type's id: the id wins.
  select t.id into v_id
    from public.session_types as t
   where t.org_id = p_org_id and (t.slug = p_type or t.id::text = p_type)
   order by (t.id::text = p_type) desc limit 1;
  if not found then
    perform private.fail(404, 'session_type_not_found', 'There is no such session type.', 'Reload the session types.');
  end if;
  return v_id;
end;
$$;
comment on function service.find_session_type is
  'The id of an organisation''s session type with this slug or id. Fails: org_not_found 404, session_type_not_found 404.';
revoke all on function service.find_session_type(uuid, text) from public, anon, authenticated;
grant execute on function service.find_session_type(uuid, text) to service_role;

create function service.find_slots(
  p_org_id uuid, p_on date, p_until date default null,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_duration_mins integer default null, p_limit integer default 100)
returns table (starts_local text, start_time timestamptz, end_time timestamptz, staff_id uuid, staff_name text, rank integer, seats_left integer)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  return query
  select to_char(o.start_time at time zone private.org_timezone(p_org_id), 'YYYY-MM-DD HH24:MI'), o.start_time, o.end_time,
         o.staff_id, s.full_name, o.rank, o.seats_left
    from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id,
                               private.listing_range(p_org_id, p_on, p_until), 'coach') as o
    join public.staff as s on s.org_id = p_org_id and s.id = o.staff_id
   order by o.start_time, o.rank, o.staff_id
   limit least(greatest(coalesce(p_limit, 100), 1), 1000);
end;
$$;
comment on function service.find_slots is
  'public.find_slots for operators, with local starts and the staff''s names, at most p_limit (1 to 1000). Fails: org_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404, value_not_allowed 422.';
revoke all on function service.find_slots(uuid, date, date, uuid, uuid, uuid, integer, integer) from public, anon, authenticated;
grant execute on function service.find_slots(uuid, date, date, uuid, uuid, uuid, integer, integer) to service_role;

create function service.book(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_purchase_id uuid default null, p_duration_mins integer default null, p_notes text default null,
  p_request_id uuid default null)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  if not exists (select from public.clients as c where c.org_id = p_org_id and c.id = p_client_id) then
    perform private.refuse_client();
  end if;
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 20000, 'notes');
  return private.book(p_org_id, p_client_id, p_session_type_id, p_start_time, p_duration_mins, p_staff_id, p_location_id, p_purchase_id,
                      'coach', 'system', p_notes, null, p_request_id);
end;
$$;
comment on function service.book is
  'public.book for operators, with the same outcomes. Fails: org_not_found 404, client_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404, purchase_not_found 404, value_not_allowed 422, request_reused 409, request_in_progress 409.';
revoke all on function service.book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) from public, anon, authenticated;
grant execute on function service.book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) to service_role;

create function service.reschedule_booking(p_booking_id uuid, p_start_time timestamptz, p_staff_id uuid default null)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.booking_org(p_booking_id);
begin
  perform private.require_in_org(v_org_id, null, p_staff_id, null);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  return private.reschedule(v_org_id, p_booking_id, p_start_time, p_staff_id, 'coach');
end;
$$;
comment on function service.reschedule_booking is
  'public.reschedule_booking for operators, with the same outcomes. Fails: booking_not_found 404, booking_not_confirmed 409, staff_not_found 404, value_not_allowed 422.';
revoke all on function service.reschedule_booking(uuid, timestamptz, uuid) from public, anon, authenticated;
grant execute on function service.reschedule_booking(uuid, timestamptz, uuid) to service_role;

create function service.cancel_booking(p_booking_id uuid, p_reason text default null, p_is_charged boolean default false)
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.cancel_booking(private.booking_org(p_booking_id), p_booking_id, p_reason, coalesce(p_is_charged, false), null);
$$;
comment on function service.cancel_booking is
  'public.cancel_booking for operators. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409.';
revoke all on function service.cancel_booking(uuid, text, boolean) from public, anon, authenticated;
grant execute on function service.cancel_booking(uuid, text, boolean) to service_role;
