-- Scheduling for sweeps and operators, first cut.

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
   limit least(greatest(p_limit, 1), 1000);
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
  'Frees holds that have run out, at most p_limit (1 to 100000) a call, and offers their times to the waitlist; call again until nothing comes back. A dry run changes nothing. Fails: value_not_allowed 422.';
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
