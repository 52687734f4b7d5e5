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

-- Money that came in, less what was returned on the day it was returned, whatever it had been paid for.
create function private.dashboard_revenue(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with periods as materialized (
    select v.name, d.days, private.local_range(p_org_id, d.days) as range
      from (values ('day'), ('week'), ('month')) as v (name)
     cross join lateral (select private.view_range(p_org_id, v.name, p_on) as days) as d),
  bounds as materialized (select min(lower(p.range)) as first, max(upper(p.range)) as last from periods as p),
  money as (
    select e.event_date, e.currency, e.type, e.amount_cents
      from public.money_events as e
     where e.org_id = p_org_id and e.event_date >= (select b.first from bounds as b) and e.event_date < (select b.last from bounds as b)
       and e.type in ('INCOME', 'REFUND', 'DISPUTE', 'ADJUSTMENT')),
  sums as (
    select p.name, m.currency, sum(m.amount_cents) filter (where m.type = 'INCOME') as gross,
           sum(m.amount_cents) filter (where m.type <> 'INCOME') as returned, sum(m.amount_cents) as net
      from periods as p
      join money as m on m.event_date >= lower(p.range) and m.event_date < upper(p.range)
     group by p.name, m.currency)
  select jsonb_object_agg(p.name, jsonb_build_object('from_on', lower(p.days), 'until_on', upper(p.days) - 1, 'amounts', (
           select coalesce(jsonb_agg(jsonb_build_object('currency', s.currency, 'gross_cents', coalesce(s.gross, 0), 'returned_cents', coalesce(s.returned, 0),
                                                        'net_cents', s.net) order by s.currency), '[]')
             from sums as s where s.name = p.name)))
    from periods as p;
$$;
comment on function private.dashboard_revenue is
  'Section revenue: {day, week, month: {from_on, until_on, amounts: [{currency, gross_cents, returned_cents: refunds, disputes and corrections on their own dates, as in the ledger negative, net_cents}]}}.';

-- Earned: the sessions that were held this month, as private.revenue has it. Forecast adds those that are booked in it, as far as their packages reach.
create function private.dashboard_earned(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with month as materialized (
    select m.days, private.local_range(p_org_id, m.days) as range from (select private.view_range(p_org_id, 'month', p_on) as days) as m),
  entries as materialized (
    select e.* from month as m cross join lateral private.package_earnings(p_org_id, private.packages_moved(p_org_id, m.range)) as e),
  earned as (
    select r.currency, sum(r.amount_cents) as cents, sum(r.sessions) as sessions
      from month as m
     cross join lateral (
       select e.currency, e.amount_cents, e.sessions from entries as e where e.on_at >= lower(m.range) and e.on_at < upper(m.range) and e.kind <> 'opening'
       union all
       select o.currency, o.amount_cents, 0 from private.other_earnings(p_org_id, m.range) as o) as r
     group by r.currency
    having count(*) filter (where r.amount_cents <> 0 or r.sessions <> 0) > 0),
  booked as materialized (
    select b.purchase_id as id, count(*) as n
      from month as m
      join public.bookings as b on b.org_id = p_org_id and b.start_time >= lower(m.range) and b.start_time < upper(m.range)
     where b.purchase_id is not null and (b.settlement = 'due' or b.settlement is null and b.status in ('pending', 'confirmed'))
     group by b.purchase_id),
  ahead as (
    select p.currency, sum(l.unearned_cents * least(k.n, p.sessions_remaining) / p.sessions_remaining) as cents,
           sum(least(k.n, p.sessions_remaining)) as sessions
      from booked as k
      join public.client_purchases as p on p.org_id = p_org_id and p.id = k.id and p.sessions_remaining > 0
      join (select distinct on (x.purchase_id) x.purchase_id, x.unearned_cents from entries as x order by x.purchase_id, x.nth desc) as l
        on l.purchase_id = p.id
     group by p.currency)
  select jsonb_build_object('from_on', lower(m.days), 'until_on', upper(m.days) - 1, 'amounts', (
           select coalesce(jsonb_agg(jsonb_build_object(
                    'currency', currency, 'earned_cents', coalesce(e.cents, 0), 'sessions_earned', coalesce(e.sessions, 0),
                    'forecast_cents', coalesce(e.cents, 0) + coalesce(a.cents, 0), 'sessions_booked', coalesce(a.sessions, 0)) order by currency), '[]')
             from earned as e full join ahead as a using (currency)))
    from month as m;
$$;
comment on function private.dashboard_earned is
  'Section earned: of the local month, {from_on, until_on, amounts: [{currency, earned_cents, sessions_earned, forecast_cents, sessions_booked}]}.';

-- What clients' subscriptions bring in a month, as they are now.
create function private.dashboard_mrr(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'active', coalesce(sum(s.n), 0), 'past_due', coalesce(sum(s.past_due), 0),
    'amounts', coalesce(jsonb_agg(jsonb_build_object('currency', s.currency, 'mrr_cents', s.cents) order by s.currency) filter (where s.n > 0), '[]'))
    from (select coalesce(x.currency, o.currency, 'aud') as currency, count(*) filter (where x.status = 'active') as n,
                 count(*) filter (where x.status = 'past_due') as past_due, coalesce(sum(x.price_cents) filter (where x.status = 'active'), 0) as cents
            from public.subscriptions as x
            left join public.offers as o on o.org_id = x.org_id and o.id = x.offer_id
           where x.org_id = p_org_id and x.status in ('active', 'past_due')
           group by 1) as s;
$$;
comment on function private.dashboard_mrr is
  'Section mrr: of active subscriptions, each for a month whatever it is billed by: {active, past_due: counted, not added, amounts: [{currency, mrr_cents}]}.';

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
        ('revenue', 'dashboard_revenue', 'finance.read'),
        ('earned', 'dashboard_earned', 'finance.read'),
        ('mrr', 'dashboard_mrr', 'finance.read'),
        ('outstanding', 'dashboard_outstanding', 'packages.read'),
        ('at_risk', 'dashboard_at_risk', 'clients.read')) as s (name, function, permission));
end;
$$;
comment on function private.member_dashboard is 'dashboard for a member. Fails: org_not_found 404, permission_missing 403, value_not_allowed 422.';
