-- dashboard: an organisation's figures around one of its local days. Every day and month is the organisation's own: bounds are local dates
-- that are converted once, so a day has 23 or 25 hours where it has, and begins at 01:00 where it does.

create function private.local_range(p_org_id uuid, p_days daterange)
returns tstzrange
language sql stable security definer set search_path = ''
as $$
  select tstzrange(private.local_to_instant(t.timezone, lower(p_days)::timestamp), private.local_to_instant(t.timezone, upper(p_days)::timestamp))
    from (select private.org_timezone(p_org_id) as timezone) as t;
$$;
comment on function private.local_range is 'The instants of an organisation''s local dates: [first moment of the first, first moment after the last).';

-- A booking belongs to the day it starts on.
create function private.booking_figures(p_org_id uuid, p_days daterange, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'from_on', lower(p_days), 'until_on', upper(p_days) - 1, 'from', lower(r.range), 'until', upper(r.range),
    'sessions', count(b.id) filter (where b.status <> 'cancelled'),
    'completed', count(b.id) filter (where b.status = 'completed'),
    'no_shows', count(b.id) filter (where b.status = 'no_show'),
    'upcoming', count(b.id) filter (where b.status in ('pending', 'confirmed') and b.start_time > p_now),
    'cancelled', count(b.id) filter (where b.status = 'cancelled'))
    from (select private.local_range(p_org_id, p_days) as range offset 0) as r
    left join public.bookings as b on b.org_id = p_org_id and b.start_time >= lower(r.range) and b.start_time < upper(r.range)
   group by r.range;
$$;
comment on function private.booking_figures is
  'Bookings that start on these local dates: {from_on, until_on, from, until, sessions (all that are not cancelled), completed, no_shows, upcoming, cancelled}.';

create function private.dashboard_today(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.booking_figures(p_org_id, daterange(p_on, p_on + 1), p_now);
$$;
comment on function private.dashboard_today is 'Section today: booking_figures of the local day.';

create function private.dashboard_week(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.booking_figures(p_org_id, private.view_range(p_org_id, 'week', p_on), p_now);
$$;
comment on function private.dashboard_week is 'Section week: booking_figures of the local week, which begins on Monday.';

-- Of the sessions that came to an end one way or the other; a cancelled one was not missed.
create function private.dashboard_no_show(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'from_on', f ->> 'from_on', 'until_on', f ->> 'until_on', 'no_shows', f -> 'no_shows',
    'denominator', (f ->> 'completed')::integer + (f ->> 'no_shows')::integer, 'denominator_is', 'completed and no_show',
    'rate', round((f ->> 'no_shows')::numeric / nullif((f ->> 'completed')::integer + (f ->> 'no_shows')::integer, 0), 4))
    from private.booking_figures(p_org_id, daterange(p_on - 29, p_on + 1), p_now) as f;
$$;
comment on function private.dashboard_no_show is
  'Section no_show: over the 30 local days up to the date, {no_shows, denominator: completed and no-shows, rate: null when there were none}.';

create function private.dashboard_outstanding(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('sessions', coalesce(sum(p.sessions_remaining), 0), 'packages', count(*), 'clients', count(distinct p.client_id))
    from public.client_purchases as p
   where p.org_id = p_org_id and p.payment_status = 'succeeded' and p.sessions_remaining > 0
     and (p.expires_at is null or p.expires_at > p_now);
$$;
comment on function private.dashboard_outstanding is
  'Section outstanding: sessions that are paid, not used and not expired, frozen ones too: {sessions, packages, clients}.';

-- Of the day that was scored last: a client who was not scored on it is nobody's worry of today.
create function private.dashboard_at_risk(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with latest as (
    select max(r.as_of_date) as on_date from public.client_risk as r where r.org_id = p_org_id),
  risks as (
    select r.client_id, r.score, r.tier, r.reasons
      from public.client_risk as r
     where r.org_id = p_org_id and r.as_of_date = (select l.on_date from latest as l) and r.tier <> 'green')
  select jsonb_build_object(
    'as_of_date', (select l.on_date from latest as l),
    'red', count(*) filter (where r.tier = 'red'), 'amber', count(*) filter (where r.tier = 'amber'),
    'clients', (
      select coalesce(jsonb_agg(jsonb_build_object('client_id', w.client_id, 'full_name', c.full_name, 'score', w.score, 'tier', w.tier,
                                                   'reasons', to_jsonb(w.reasons)) order by w.score desc, w.client_id), '[]')
        from (select * from risks as x order by x.score desc, x.client_id limit 20) as w
        join public.clients as c on c.org_id = p_org_id and c.id = w.client_id))
    from risks as r;
$$;
comment on function private.dashboard_at_risk is
  'Section at_risk: of the latest scored day alone, {as_of_date, red, amber, clients: the 20 with the highest scores, green ones left out}.';

create function private.member_dashboard(p_org_id uuid, p_on date, p_now timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_on date;
begin
  perform private.require_org(p_org_id, 'org.read');
  v_on := coalesce(p_on, private.org_today(p_org_id, p_now));
  perform private.require_value(v_on between '2000-01-01' and '2100-01-01', 'on');
  return (
    select jsonb_build_object('org_id', p_org_id, 'on', v_on, 'timezone', private.org_timezone(p_org_id), 'as_of', p_now, 'sections', jsonb_object_agg(
             s.name, private.section(s.function, p_org_id = any (private.orgs_with(s.permission)), p_org_id, v_on::text, p_now)))
      from (values
        ('today', 'dashboard_today', 'bookings.read'),
        ('week', 'dashboard_week', 'bookings.read'),
        ('no_show', 'dashboard_no_show', 'bookings.read'),
        ('outstanding', 'dashboard_outstanding', 'packages.read'),
        ('at_risk', 'dashboard_at_risk', 'clients.read')) as s (name, function, permission));
end;
$$;
comment on function private.member_dashboard is 'dashboard for a member. Fails: org_not_found 404, permission_missing 403, value_not_allowed 422.';
