-- Scheduling for members: who may, in front of the rules that book, hold, move and list.

-- The organisation of a session type, client or the like is the one the member names; the rest must be in it.
create function private.require_booking_in_org(p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'bookings.write');
  if not exists (select from public.clients as c where c.org_id = p_org_id and c.id = p_client_id) then
    perform private.refuse_client();
  end if;
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, p_location_id);
end;
$$;
comment on function private.require_booking_in_org is
  'Refuses unless the person may book there and everything named is the organisation''s. Fails: org_not_found 404, permission_missing 403, client_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404.';

create function private.require_duration(p_duration_mins integer)
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.require_value(coalesce(p_duration_mins, 60) between 5 and 1440, 'duration_mins');
$$;
comment on function private.require_duration is 'Refuses a length outside 5 minutes to a day: value_not_allowed 422.';

-- A listing looks at two months at the most.
create function private.listing_range(p_org_id uuid, p_on date, p_until date)
returns tstzrange
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_value(p_on is not null and coalesce(p_until, p_on) between p_on and p_on + 62
                                and p_on between '2000-01-01' and '2100-01-01', 'until');
  return tstzrange(private.local_to_instant(p_org_id, p_on, '00:00'),
                   private.local_to_instant(p_org_id, coalesce(p_until, p_on) + 1, '00:00') - interval '1 second');
end;
$$;
comment on function private.listing_range is 'The instants of some local days, at most 63. Fails: value_not_allowed 422.';

create function private.member_find_slots(
  p_org_id uuid, p_on date, p_until date, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid, p_duration_mins integer)
returns table (start_time timestamptz, end_time timestamptz, staff_id uuid, rank integer, seats_left integer)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'bookings.read');
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  return query
  select s.start_time, s.end_time, s.staff_id, s.rank, s.seats_left
    from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id,
                               private.listing_range(p_org_id, p_on, p_until), 'coach') as s
   order by s.start_time, s.rank, s.staff_id;
end;
$$;
comment on function private.member_find_slots is 'offered_slots for a member with bookings.read.';

create function private.member_book(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid,
  p_purchase_id uuid, p_duration_mins integer, p_notes text, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_booking_in_org(p_org_id, p_client_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 20000, 'notes');
  return private.book(p_org_id, p_client_id, p_session_type_id, p_start_time, p_duration_mins, p_staff_id, p_location_id, p_purchase_id,
                      'coach', 'trainer', p_notes, auth.uid(), p_request_id);
end;
$$;
comment on function private.member_book is 'book for a member with bookings.write.';

create function private.member_hold(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid,
  p_duration_mins integer, p_minutes integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_hold private.holds;
begin
  perform private.require_booking_in_org(p_org_id, p_client_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(coalesce(p_minutes, 10) between 1 and 1440, 'minutes');
  -- Asked again for a client who holds that start already: it is theirs, not taken. Two clicks queue here.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_client_id::text || extract(epoch from p_start_time), 2));
  select h.* into v_hold
    from private.holds as h
   where h.org_id = p_org_id and h.client_id = p_client_id and h.start_time = p_start_time and h.status = 'held' and h.expires_at > now()
     and (h.session_type_id, h.location_id) is not distinct from (p_session_type_id, p_location_id)
     and (p_staff_id is null or h.staff_id = p_staff_id)
     and (p_duration_mins is null or h.end_time = p_start_time + make_interval(mins => p_duration_mins))
   order by h.created_at, h.id limit 1;
  if found then
    return private.held(v_hold);
  end if;
  return private.hold_slot(p_org_id, p_client_id, p_session_type_id, p_start_time, p_duration_mins, p_staff_id, p_location_id, 'coach',
                           p_minutes);
end;
$$;
comment on function private.member_hold is 'hold_slot for a member with bookings.write.';

create function private.member_confirm_hold(p_org_id uuid, p_hold_id uuid, p_purchase_id uuid, p_notes text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'bookings.write');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 20000, 'notes');
  return private.confirm_hold(
    p_org_id, p_hold_id, (select h.client_id from private.holds as h where h.org_id = p_org_id and h.id = p_hold_id),
    p_purchase_id, 'coach', 'trainer', p_notes, auth.uid());
end;
$$;
comment on function private.member_confirm_hold is 'confirm_hold for a member with bookings.write.';

create function private.member_reschedule(p_booking_id uuid, p_start_time timestamptz, p_staff_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_booking_org(p_booking_id, 'bookings.write');
begin
  perform private.require_in_org(v_org_id, null, p_staff_id, null);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  return private.reschedule(v_org_id, p_booking_id, p_start_time, p_staff_id, 'coach');
end;
$$;
comment on function private.member_reschedule is 'reschedule for a member with bookings.write.';

create function private.member_cancel_booking(p_booking_id uuid, p_reason text, p_is_charged boolean)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.cancel_booking(private.member_booking_org(p_booking_id, 'bookings.write'), p_booking_id, p_reason,
                                coalesce(p_is_charged, false), auth.uid());
end;
$$;
comment on function private.member_cancel_booking is 'cancel_booking for a member with bookings.write.';

create function private.member_book_series(
  p_org_id uuid, p_client_id uuid, p_from date, p_time time, p_interval_weeks integer, p_count integer, p_session_type_id uuid,
  p_staff_id uuid, p_location_id uuid, p_purchase_id uuid, p_duration_mins integer, p_is_partial boolean, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_booking_in_org(p_org_id, p_client_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  return private.book_series(p_org_id, p_client_id, p_session_type_id, p_from, p_time, p_interval_weeks, p_count, p_duration_mins,
                             p_staff_id, p_location_id, p_purchase_id, coalesce(p_is_partial, true), auth.uid(), p_request_id);
end;
$$;
comment on function private.member_book_series is 'book_series for a member with bookings.write.';

create function private.member_series_org(p_series_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select s.org_id into v_org_id
    from public.booking_series as s where s.id = p_series_id and s.org_id = any (private.orgs_with('bookings.read'));
  if not found then
    perform private.fail(404, 'series_not_found', 'There is no such series.', 'Reload the calendar.');
  end if;
  perform private.require_org(v_org_id, 'bookings.write');
  return v_org_id;
end;
$$;
comment on function private.member_series_org is
  'The organisation of a series in which the person has bookings.write. Fails: series_not_found 404, permission_missing 403.';

create function private.member_move_series(p_series_id uuid, p_from date, p_shift_days integer, p_time time, p_staff_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_series_org(p_series_id);
begin
  perform private.require_in_org(v_org_id, null, p_staff_id, null);
  return private.move_series(v_org_id, p_series_id, p_from, coalesce(p_shift_days, 0), p_time, p_staff_id);
end;
$$;
comment on function private.member_move_series is 'move_series for a member with bookings.write.';

create function private.member_end_series(p_series_id uuid, p_from date)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.end_series(private.member_series_org(p_series_id), p_series_id, p_from, auth.uid());
end;
$$;
comment on function private.member_end_series is 'end_series for a member with bookings.write.';

create function private.member_join_waitlist(
  p_org_id uuid, p_client_id uuid, p_on date, p_session_type_id uuid, p_staff_id uuid, p_start_time timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_booking_in_org(p_org_id, p_client_id, p_session_type_id, p_staff_id, null);
  return private.join_waitlist(p_org_id, p_client_id, p_on, p_session_type_id, p_staff_id, p_start_time);
end;
$$;
comment on function private.member_join_waitlist is 'join_waitlist for a member with bookings.write.';

create function private.member_staff_org(p_staff_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select s.org_id into v_org_id from public.staff as s where s.id = p_staff_id and s.org_id = any (private.orgs_with('org.read'));
  if not found then
    perform private.fail(404, 'staff_not_found', 'There is no such staff member.', 'Reload the staff.');
  end if;
  perform private.require_org(v_org_id, 'staff.write');
  return v_org_id;
end;
$$;
comment on function private.member_staff_org is
  'The organisation of a staff member in which the person has staff.write. Fails: staff_not_found 404, permission_missing 403.';

create function private.member_deactivate_staff(p_staff_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.deactivate_staff(private.member_staff_org(p_staff_id), p_staff_id);
$$;
comment on function private.member_deactivate_staff is 'deactivate_staff for a member with staff.write.';

create function private.member_reactivate_staff(p_staff_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.reactivate_staff(private.member_staff_org(p_staff_id), p_staff_id);
$$;
comment on function private.member_reactivate_staff is 'reactivate_staff for a member with staff.write.';

-- The contract's question, for members and for the portal's server (which holds the secret key).
create function private.is_slot_free(p_org_id uuid, p_start_time timestamptz, p_end_time timestamptz, p_exclude_booking_id uuid)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select coalesce(p_org_id = any (private.orgs_with('bookings.read')) or auth.role() = 'service_role', false)
     and coalesce(p_end_time > p_start_time, false)
     and exists (
       select
         from public.staff as s
        where s.org_id = p_org_id and s.is_active
          and not exists (
            select from private.occupancies as o
             where o.org_id = p_org_id and o.staff_id = s.id and o.seats > 0 and coalesce(o.expires_at > now(), true)
               and o.blocked && tstzrange(p_start_time, p_end_time)
               and not exists (select from public.bookings as b
                                where b.org_id = p_org_id and b.id = p_exclude_booking_id and b.occupancy_id = o.id))
          and not exists (
            select
              from public.blocked_times as t
             cross join lateral (select private.org_timezone(p_org_id) as name) as z
             cross join lateral generate_series((p_start_time at time zone z.name)::date::timestamp,
                                                (p_end_time at time zone z.name)::date::timestamp, interval '1 day') as d
             where t.org_id = p_org_id and (t.staff_id is null or t.staff_id = s.id)
               and (t.date = d::date or t.day_of_week = extract(dow from d)::integer)
               and private.local_span(z.name, d::date + t.start_time, d::date + t.end_time) && tstzrange(p_start_time, p_end_time)));
$$;
comment on function private.is_slot_free is 'True when somebody on the staff has that time neither booked, held nor blocked, and the caller may know.';
