-- Revenue as it is earned: a package is paid once and earned session by session.
-- What a package has earned after n of its sessions is n shares of what it cost, rounded down; all of what was paid for it and not
-- returned once the last session is used; and never more than that. Each session earns the difference, so the cents always add up, and
-- what comes later (a correction, a refund) is earned or taken back at its own date and leaves earlier months as they were.

-- Every change of what these packages have earned, in the order in which it was written; on_at is when it counts: a session's at its
-- booking's start, else at the click; a refund's when the money moved. Null: all of the organisation's packages.
create function private.package_earnings(p_org_id uuid, p_purchase_ids uuid[] default null)
returns table (
  purchase_id uuid, client_id uuid, booking_id uuid, kind text, nth bigint, on_at timestamptz, sessions integer, amount_cents bigint,
  unearned_cents bigint, currency text)
language sql stable security definer set search_path = ''
as $$
  with packages as materialized (
    select p.id, p.client_id, p.currency, p.purchased_at,
           p.sessions_total - (select coalesce(sum(e.total_delta), 0) from public.session_entries as e
                                where e.org_id = p.org_id and e.purchase_id = p.id) as sold,
           -- A package that came from another system has no money here; what was paid for it is what it says.
           coalesce((select sum(m.amount_cents) from public.money_events as m
                      where m.org_id = p.org_id and m.purchase_id = p.id and m.type = 'INCOME'),
                    case when p.payment_status = 'succeeded' then p.amount_paid_cents else 0 end)::bigint as paid
      from unnest(coalesce(p_purchase_ids, array(select x.id from public.client_purchases as x where x.org_id = p_org_id))) as w (id)
      join public.client_purchases as p on p.org_id = p_org_id and p.id = w.id),
  -- Looked up package by package, by index: what is asked for is a handful among all there are.
  moves as (
    select k.*, null::uuid as booking_id, 'sale' as kind, k.purchased_at as on_at, '-infinity'::timestamptz as written_at, 0::bigint as no,
           0 as used_delta, 0 as total_delta, 0::bigint as returned
      from packages as k
    union all
    select k.*, e.booking_id, e.kind,
           coalesce((select b.start_time from public.bookings as b where b.org_id = p_org_id and b.id = e.booking_id), e.created_at),
           e.created_at, e.entry_no, e.used_delta, e.total_delta, 0
      from packages as k
     cross join lateral (select * from public.session_entries as x
                          where x.org_id = p_org_id and x.purchase_id = k.id and (x.used_delta <> 0 or x.total_delta <> 0) offset 0) as e
    union all
    select k.*, m.booking_id, lower(m.type::text), m.event_date, m.created_at, 0, 0, 0, -m.amount_cents
      from packages as k
     cross join lateral (select * from public.money_events as x
                          where x.org_id = p_org_id and x.purchase_id = k.id and x.type in ('REFUND', 'DISPUTE', 'ADJUSTMENT') offset 0) as m),
  states as (
    select m.*, sum(m.used_delta) over w as used, m.sold + sum(m.total_delta) over w as total, m.paid - sum(m.returned) over w as kept
      from moves as m
    window w as (partition by m.id order by m.written_at, m.no, m.kind)),
  earned as (
    select s.*, case when coalesce(s.sold, 0) <= 0 or s.used > 0 and s.used >= s.total then greatest(s.kept, 0)
                     else greatest(least(s.paid * least(s.used, s.sold) / s.sold, s.kept), 0) end::bigint as so_far
      from states as s)
  select e.id, e.client_id, e.booking_id, e.kind, row_number() over w, e.on_at, e.used_delta,
         e.so_far - coalesce(lag(e.so_far) over w, 0), greatest(e.kept, 0) - e.so_far, e.currency
    from earned as e
  window w as (partition by e.id order by e.written_at, e.no, e.kind);
$$;
comment on function private.package_earnings is
  'What packages earned, session by session: {purchase_id, client_id, booking_id, kind: sale | opening | use | release | correction | refund | dispute | adjustment, nth, on_at, sessions (−1 when given back), amount_cents, unearned_cents: what is paid and still to be earned after it, currency}. Opening is what was used before the package came here.';

-- What is earned without a package: a payment for one booking, at its start once that is over; any other income when it came.
create function private.other_earnings(p_org_id uuid, p_range tstzrange)
returns table (client_id uuid, booking_id uuid, kind text, on_at timestamptz, amount_cents bigint, currency text)
language sql stable security definer set search_path = ''
as $$
  select m.client_id, m.booking_id, lower(m.type::text), m.event_date, m.amount_cents, m.currency
    from public.money_events as m
    left join public.bookings as b on b.org_id = m.org_id and b.id = m.booking_id
   where m.org_id = p_org_id and m.event_date >= lower(p_range) and m.event_date < upper(p_range)
     and m.purchase_id is null and m.type in ('INCOME', 'REFUND', 'DISPUTE', 'ADJUSTMENT')
     and (b.id is null or b.start_time <= m.event_date and b.status in ('completed', 'no_show', 'cancelled'))
  union all
  -- Paid ahead: found by the booking it is for.
  select m.client_id, m.booking_id, lower(m.type::text), b.start_time, m.amount_cents, m.currency
    from public.bookings as b
    join public.money_events as m on m.org_id = b.org_id and m.booking_id = b.id
   where b.org_id = p_org_id and b.start_time >= lower(p_range) and b.start_time < upper(p_range) and b.status in ('completed', 'no_show', 'cancelled')
     and m.event_date < b.start_time and m.purchase_id is null and m.type in ('INCOME', 'REFUND', 'DISPUTE', 'ADJUSTMENT');
$$;
comment on function private.other_earnings is
  'What was earned in a range without a package: {client_id, booking_id, kind: income | refund | dispute | adjustment, on_at, amount_cents, currency}.';

-- Packages that may have earned something in a range: those with a booking in it, with an entry written in it or later, or with money returned in it.
create function private.packages_moved(p_org_id uuid, p_range tstzrange)
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(x.id), '{}')
    from (select b.purchase_id as id from public.bookings as b
           where b.org_id = p_org_id and b.start_time >= lower(p_range) and b.start_time < upper(p_range) and b.purchase_id is not null
          union
          select p.id from public.client_purchases as p
           where p.org_id = p_org_id and p.entry_count > 0
             and exists (select from public.session_entries as e
                          where e.org_id = p.org_id and e.purchase_id = p.id and e.created_at >= lower(p_range))
          union
          select p.id from public.client_purchases as p
           where p.org_id = p_org_id and p.purchased_at >= lower(p_range) and p.purchased_at < upper(p_range)
          union
          select m.purchase_id from public.money_events as m
           where m.org_id = p_org_id and m.event_date >= lower(p_range) and m.event_date < upper(p_range) and m.purchase_id is not null) as x;
$$;
comment on function private.packages_moved is 'The packages whose earnings in a range can be other than nothing; some more may be among them.';

create function private.revenue(p_org_id uuid, p_range tstzrange)
returns table (
  on_at timestamptz, kind text, client_id uuid, purchase_id uuid, booking_id uuid, sessions integer, amount_cents bigint, currency text)
language sql stable security definer set search_path = ''
as $$
  select e.on_at, e.kind, e.client_id, e.purchase_id, e.booking_id, e.sessions, e.amount_cents, e.currency
    from private.package_earnings(p_org_id, private.packages_moved(p_org_id, p_range)) as e
   where e.on_at >= lower(p_range) and e.on_at < upper(p_range) and e.kind <> 'opening'
     and (e.amount_cents <> 0 or e.sessions <> 0)
  union all
  select o.on_at, o.kind, o.client_id, null, o.booking_id, 0, o.amount_cents, o.currency
    from private.other_earnings(p_org_id, p_range) as o;
$$;
comment on function private.revenue is 'What an organisation earned in a range, entry by entry; what was used before a package came here is no revenue of now.';
