-- The calendar: one call for a view, its range computed here from view and date in the organisation's timezone; with p_since only
-- what changed, for the poll of 15 seconds.
-- What changed is read off bookings and holds; what they do not tell (hours, blocks, the timezone, a deleted row) is noted in
-- private.calendar_changes, by adding rows: nobody who books waits for somebody who edits hours, nor the other way round.

create function private.view_range(p_org_id uuid, p_view text, p_on date)
returns daterange
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_value(p_view in ('day', 'week', 'month'), 'view');
  perform private.require_value(p_on between '2000-01-01' and '2100-01-01', 'on');
  return case p_view
    when 'day' then daterange(p_on, p_on + 1)
    when 'week' then daterange(date_trunc('week', p_on::timestamp)::date, date_trunc('week', p_on::timestamp)::date + 7)
    else daterange(date_trunc('month', p_on::timestamp)::date, (date_trunc('month', p_on::timestamp) + interval '1 month')::date) end;
end;
$$;
comment on function private.view_range is 'The local dates of a view; a week begins on Monday. Fails: value_not_allowed 422.';

create function private.calendar(
  p_org_id uuid, p_view text, p_on date, p_staff_id uuid, p_since timestamptz, p_now timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(p_org_id);
  -- Where too much has changed to be told piece by piece, or it is told no longer, the answer is whole again.
  v_since timestamptz := case when p_since >= p_now - interval '7 days' and not exists (
    select from private.calendar_changes as x
     where x.org_id = p_org_id and x.kind = 'timezone' and x.changed_at > p_since) then p_since end;
  v_days daterange := private.view_range(p_org_id, p_view, coalesce(p_on, private.org_today(p_org_id, p_now)));
  v_range tstzrange := tstzrange(private.local_to_instant(v_timezone, lower(v_days)::timestamp),
                                 private.local_to_instant(v_timezone, upper(v_days)::timestamp));
  v_staff_ids uuid[];
  v_answer jsonb;
begin
  select coalesce(array_agg(s.id), '{}') into v_staff_ids
    from public.staff as s where s.org_id = p_org_id and s.is_active and (p_staff_id is null or s.id = p_staff_id);
  select jsonb_build_object(
    'view', p_view, 'from_on', lower(v_days), 'until_on', upper(v_days) - 1, 'from', lower(v_range), 'until', upper(v_range),
    'timezone', v_timezone,
    -- Ten seconds back: a change that is being committed at this moment is in the next poll, and twice is harmless.
    'as_of', p_now - interval '10 seconds',
    'bookings', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'id', b.id, 'client_id', b.client_id, 'client_name', c.full_name, 'staff_id', b.staff_id, 'location_id', b.location_id,
               'session_type', b.session_type, 'session_type_id', b.session_type_id, 'series_id', b.series_id,
               'purchase_id', b.purchase_id, 'start_time', b.start_time, 'end_time', b.end_time,
               'local_start', to_char(b.start_time at time zone v_timezone, 'YYYY-MM-DD"T"HH24:MI'),
               'local_end', to_char(b.end_time at time zone v_timezone, 'YYYY-MM-DD"T"HH24:MI'),
               'status', b.status, 'settlement', b.settlement, 'client_confirmed', b.client_confirmed, 'updated_at', b.updated_at)
             order by b.start_time, b.id), '[]')
        from public.bookings as b
        join public.clients as c on c.org_id = b.org_id and c.id = b.client_id
       where b.org_id = p_org_id and b.start_time < upper(v_range) and b.start_time >= lower(v_range) - interval '24 hours'
         and b.end_time > lower(v_range)
         and (p_staff_id is null or b.staff_id = p_staff_id) and (v_since is null or b.updated_at > v_since)))
    -- What the view may still show although it is there no more: changed since then and now outside of it, or deleted.
    || case when v_since is null then '{}' else jsonb_build_object('left', (
         select coalesce(jsonb_agg(l.id order by l.id), '[]')
           from (select b.id
                   from public.bookings as b
                  where b.org_id = p_org_id and b.updated_at > v_since
                    and not (b.start_time < upper(v_range) and b.end_time > lower(v_range)
                             and (p_staff_id is null or b.staff_id = p_staff_id))
                 union all
                 select x.booking_id
                   from private.calendar_changes as x
                  where x.org_id = p_org_id and x.kind = 'removed' and x.changed_at > v_since) as l)) end
    || case when v_since is null or private.is_calendar_changed(p_org_id, '{blocks}', v_since) then jsonb_build_object('blocks', (
         select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'staff_id', t.staff_id, 'reason', t.reason,
                  'start_time', lower(s.span), 'end_time', upper(s.span)) order by d, t.start_time, t.id), '[]')
           from generate_series(lower(v_days)::timestamp, upper(v_days)::timestamp - interval '1 day', interval '1 day') as d
           join public.blocked_times as t
             on t.org_id = p_org_id and (t.date = d::date or t.day_of_week = extract(dow from d)::integer)
            and (p_staff_id is null or t.staff_id is null or t.staff_id = p_staff_id)
          cross join lateral private.local_span(v_timezone, d::date + t.start_time, d::date + t.end_time) as s (span)
          where not isempty(s.span))) else '{}' end
    || case when v_since is null or private.is_free_time_changed(p_org_id, v_since, p_now) then jsonb_build_object('free', (
         select coalesce(jsonb_agg(jsonb_build_object('staff_id', f.staff_id, 'start_time', lower(s), 'end_time', upper(s))
                                   order by f.staff_id, lower(s)), '[]')
           from private.free_time(p_org_id, v_staff_ids, lower(v_days), upper(v_days) - 1, null, p_now) as f
          cross join lateral unnest(f.free * tstzmultirange(v_range)) as s)) else '{}' end
    into v_answer;
  return v_answer;
end;
$$;
comment on function private.calendar is
  'The calendar of a view as one document. With p_since what changed after it: bookings, the ids that are outside of it or gone, and blocks and free whole where they changed; whole again, without `left`, when p_since is more than seven days back or the timezone changed.';

create function private.is_calendar_changed(p_org_id uuid, p_kinds text[], p_since timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (
    select from private.calendar_changes as x
     where x.org_id = p_org_id and x.changed_at > p_since and x.kind = any (p_kinds));
$$;
comment on function private.is_calendar_changed is 'True when something of these kinds was noted after an instant.';

-- A booking that left the view has freed time in it: any that changed counts. A hold takes time, and gives it back when it runs out.
create function private.is_free_time_changed(p_org_id uuid, p_since timestamptz, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select private.is_calendar_changed(p_org_id, '{blocks,free,removed}', p_since)
      or exists (select from public.bookings as b where b.org_id = p_org_id and b.updated_at > p_since)
      or exists (select from private.holds as h where h.org_id = p_org_id and h.updated_at > p_since)
      or exists (select from private.holds as h
                  where h.org_id = p_org_id and h.status = 'held' and h.expires_at > p_since and h.expires_at <= p_now);
$$;
comment on function private.is_free_time_changed is 'True when an organisation''s hours, blocks, bookings or holds changed after an instant.';

create trigger holds__touch before update on private.holds
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

-- Argument: the kind. One row a transaction, but for bookings, which are named. What is older than any p_since that is answered in
-- part goes; rows that somebody else is removing are left to them.
create function private.tg__note_calendar()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := case when tg_op = 'DELETE' then old.org_id else new.org_id end;
begin
  -- An organisation that is being deleted needs no notes.
  insert into private.calendar_changes (org_id, kind, booking_id)
  select o.id, tg_argv[0], case when tg_argv[0] = 'removed' then old.id end
    from public.orgs as o
   where o.id = v_org_id
     and (tg_argv[0] = 'removed'
          or not exists (select from private.calendar_changes as x
                          where x.org_id = o.id and x.kind = tg_argv[0] and x.changed_at = now()));
  if found then
    delete from private.calendar_changes as x
     where x.org_id = v_org_id
       and x.id in (select y.id from private.calendar_changes as y
                     where y.org_id = v_org_id and y.changed_at < now() - interval '8 days' for update skip locked);
  end if;
  return null;
end;
$$;
comment on function private.tg__note_calendar is 'Notes for open calendars that hours, blocks or the timezone changed, or that a booking was deleted.';
create trigger availability__note_calendar after insert or update or delete on public.availability
  for each row execute function private.tg__note_calendar('free');
create trigger blocked_times__note_calendar after insert or update or delete on public.blocked_times
  for each row execute function private.tg__note_calendar('blocks');
create trigger staff__note_calendar after insert or delete on public.staff
  for each row execute function private.tg__note_calendar('free');
create trigger staff__note_activity after update on public.staff
  for each row when (old.is_active is distinct from new.is_active) execute function private.tg__note_calendar('free');
create trigger booking_settings__note_calendar after insert or delete on public.booking_settings
  for each row execute function private.tg__note_calendar('timezone');
create trigger booking_settings__note_timezone after update on public.booking_settings
  for each row when (old.timezone is distinct from new.timezone) execute function private.tg__note_calendar('timezone');
create trigger bookings__note_calendar after delete on public.bookings
  for each row execute function private.tg__note_calendar('removed');
create trigger holds__note_calendar after delete on private.holds
  for each row execute function private.tg__note_calendar('free');

create function private.member_calendar(p_org_id uuid, p_view text, p_on date, p_staff_id uuid, p_since timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'bookings.read');
  perform private.require_in_org(p_org_id, null, p_staff_id, null);
  return private.calendar(p_org_id, p_view, p_on, p_staff_id, p_since);
end;
$$;
comment on function private.member_calendar is 'calendar for a member with bookings.read.';
