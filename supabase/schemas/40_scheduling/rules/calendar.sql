-- The calendar: one call for a view, its range computed here from view and date in the organisation's timezone; with p_since only
-- what changed, for the poll of 15 seconds.

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
         and (p_staff_id is null or b.staff_id = p_staff_id) and (p_since is null or b.updated_at > p_since)))
    -- What the view may still show although it is there no more: changed since then, and now outside of it.
    || case when p_since is null then jsonb_build_object(
         'blocks', (
           select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'staff_id', t.staff_id, 'reason', t.reason,
                    'start_time', lower(s.span), 'end_time', upper(s.span)) order by d, t.start_time, t.id), '[]')
             from generate_series(lower(v_days)::timestamp, upper(v_days)::timestamp - interval '1 day', interval '1 day') as d
             join public.blocked_times as t
               on t.org_id = p_org_id and (t.date = d::date or t.day_of_week = extract(dow from d)::integer)
              and (p_staff_id is null or t.staff_id is null or t.staff_id = p_staff_id)
            cross join lateral private.local_span(v_timezone, d::date + t.start_time, d::date + t.end_time) as s (span)
            where not isempty(s.span)),
         'free', (
           select coalesce(jsonb_agg(jsonb_build_object('staff_id', f.staff_id, 'start_time', lower(s), 'end_time', upper(s))
                                     order by f.staff_id, lower(s)), '[]')
             from private.free_time(p_org_id, v_staff_ids, lower(v_days), upper(v_days) - 1, null, p_now) as f
            cross join lateral unnest(f.free * tstzmultirange(v_range)) as s))
       else jsonb_build_object('left', (
         select coalesce(jsonb_agg(b.id order by b.id), '[]')
           from public.bookings as b
          where b.org_id = p_org_id and b.updated_at > p_since
            and not (b.start_time < upper(v_range) and b.end_time > lower(v_range)
                     and (p_staff_id is null or b.staff_id = p_staff_id)))) end
    into v_answer;
  return v_answer;
end;
$$;
comment on function private.calendar is 'The calendar of a view as one document; with p_since what changed after it, and the ids that are outside of it now.';

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
