"""What holds over every row of a database, whatever happened to it: each rule is a query for the rows that break it."""

from tests.harness.database import Database

# Bookings that take place, each with the session type that it names by id or by slug.
LIVE = """
    select b.org_id, b.id, b.staff_id, b.start_time, b.end_time, t.id as kind, coalesce(t.capacity, 1) as capacity
      from public.bookings as b
      left join public.session_types as t
        on t.org_id = b.org_id and (t.id = b.session_type_id or b.session_type_id is null and t.slug = b.session_type)
     where b.status <> 'cancelled'"""

BROKEN_BY = {
    "a package's counters are its ledger's sums": """
        select p.id, p.sessions_used, p.entry_count, l.used, l.entries
          from public.client_purchases as p
         cross join lateral (select coalesce(sum(e.used_delta), 0) as used, count(*) as entries
                               from public.session_entries as e
                              where e.org_id = p.org_id and e.purchase_id = p.id) as l
         where (p.sessions_used, p.entry_count) is distinct from (l.used, l.entries)""",
    "a package's total is what its offer holds and what was corrected": """
        select p.id, p.sessions_total, l.corrected
          from public.client_purchases as p
          join public.offers as o on o.org_id = p.org_id and o.id = p.offer_id
         cross join lateral (select coalesce(sum(e.total_delta), 0) as corrected
                               from public.session_entries as e
                              where e.org_id = p.org_id and e.purchase_id = p.id) as l
         where p.sessions_total is distinct from
               coalesce(o.sessions_included, 1) + coalesce(o.bonus_sessions, 0) + l.corrected""",
    "nothing is below zero or above the total": """
        select p.id from public.client_purchases as p
         where p.sessions_used < 0 or p.sessions_used > p.sessions_total""",
    "a booking has one unreleased charge when it is charged, on its own package, else none": """
        select b.id, b.status, b.settlement, c.held
          from public.bookings as b
         cross join lateral (
           select count(*) as held, bool_and(u.purchase_id = b.purchase_id) as own
             from public.session_entries as u
            where u.org_id = b.org_id and u.booking_id = b.id and u.kind = 'use' and u.used_delta = 1
              and not exists (select from public.session_entries as r
                               where r.org_id = u.org_id and r.released_entry_id = u.id)) as c
         where c.held <> case when b.settlement = 'charged' then 1 else 0 end or not c.own""",
    "a booking's charges are numbered from one without a gap": """
        select e.org_id, e.booking_id, array_agg(e.charge_no order by e.charge_no)
          from public.session_entries as e
         where e.charge_no is not null
         group by e.org_id, e.booking_id
        having (min(e.charge_no), max(e.charge_no)) <> (1, count(*))""",
    "a release gives back a session taken from the same package": """
        select r.id
          from public.session_entries as r
          join public.session_entries as u on u.org_id = r.org_id and u.id = r.released_entry_id
         where (u.kind, u.used_delta, u.purchase_id) is distinct from ('use', 1, r.purchase_id)""",
    "a completed booking with a package is settled, or due for less than the grace": """
        select b.id, b.status, b.settlement, b.due_since
          from public.bookings as b
         where b.purchase_id is not null
           and (b.status = 'completed' and coalesce(b.settlement, '') not in ('charged', 'waived', 'uncovered', 'due')
                or b.settlement = 'due' and b.due_since < clock_timestamp() - interval '2 minutes')""",
    "what was uncovered has been told to the coach, once": """
        select b.id, t.told
          from public.bookings as b
         cross join lateral (select count(*) as told from public.alerts as a
                              where a.org_id = b.org_id and a.booking_id = b.id and a.kind = 'booking_uncovered'
                                and a.resolved_at is null) as t
         where b.settlement = 'uncovered' and t.told <> 1""",
    "a promo code counts the sales that carry it, within its limit": """
        select c.id, c.times_used, s.sales
          from public.promo_codes as c
         cross join lateral (select count(*) as sales from public.client_purchases as p
                              where p.org_id = c.org_id and p.promo_code_id = c.id) as s
         where c.times_used <> s.sales or c.times_used > c.max_uses""",
    "an organisation with members has an owner": """
        select m.org_id from public.org_members as m
         group by m.org_id having count(*) filter (where m.role = 'owner') = 0""",
    "nobody gives two sessions at once, but to the clients of one group": f"""
        with live as ({LIVE})
        select a.id, b.id as other, a.start_time, b.start_time as other_start
          from live as a
          join live as b on b.org_id = a.org_id and b.staff_id = a.staff_id and b.id > a.id
                        and b.start_time < a.end_time and a.start_time < b.end_time
         where a.capacity = 1
            or (a.kind, a.start_time, a.end_time) is distinct from (b.kind, b.start_time, b.end_time)""",
    "a group session has no more bookings than seats": f"""
        with live as ({LIVE})
        select l.org_id, l.staff_id, l.start_time, l.capacity, count(*)
          from live as l
         group by l.org_id, l.staff_id, l.start_time, l.kind, l.capacity having count(*) > l.capacity""",
    "a booking takes its own time while it is not cancelled, and only then": """
        select b.id, b.status, b.start_time, o.starts_at, o.blocked
          from public.bookings as b
          left join private.occupancies as o on o.org_id = b.org_id and o.id = b.occupancy_id
         where case when b.status = 'cancelled' then b.occupancy_id is not null
                    else (o.staff_id, o.starts_at, o.ends_at, o.expires_at) is distinct from
                         (b.staff_id, b.start_time, b.end_time, null)
                         or not o.blocked @> tstzrange(b.start_time, b.end_time) end""",
    "what is taken is taken by bookings and holds, seat for seat, and held as long as the last hold": """
        select o.id, o.seats, o.expires_at, t.bookings, t.holds, t.held_until
          from private.occupancies as o
         cross join lateral (
           select (select count(*) from public.bookings as b
                    where b.org_id = o.org_id and b.occupancy_id = o.id and b.status <> 'cancelled') as bookings,
                  count(*) as holds, max(h.expires_at) as held_until
             from private.holds as h
            where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held') as t
         where case when o.expires_at is null then t.bookings = 0 or o.seats <> t.bookings + t.holds
                    else t.bookings > 0 or t.holds = 0 or o.seats not in (0, t.holds) or o.expires_at <> t.held_until
               end""",
    "no two taken times of one calendar overlap, buffers included": """
        select a.id, b.id as other, a.blocked, b.blocked as other_blocked
          from private.occupancies as a
          join private.occupancies as b on b.org_id = a.org_id and b.staff_id = a.staff_id and b.id > a.id
                                       and lower(b.blocked) < upper(a.blocked) and lower(a.blocked) < upper(b.blocked)
         where a.seats > 0 and b.seats > 0""",
    "a waitlist offer is a hold, and one hold is offered to one": """
        select h.id, count(*)
          from public.waitlist_entries as w
          join private.holds as h on h.org_id = w.org_id and h.id = w.hold_id
         where w.status = 'offered'
         group by h.org_id, h.id, h.status having count(*) > 1 or h.status <> 'held'""",
    "no payment is given back more than whole": """
        select p.id, p.amount_cents, b.booked, r.asked
          from public.money_events as p
         cross join lateral (select coalesce(-sum(e.amount_cents), 0) as booked from public.money_events as e
                              where e.org_id = p.org_id and e.type = 'REFUND'
                                and e.stripe_payment_intent_id = p.stripe_payment_intent_id) as b
         cross join lateral (select coalesce(sum(x.amount_cents), 0) as asked from public.refunds as x
                              where x.org_id = p.org_id and x.payment_id = p.id and x.status <> 'failed') as r
         where p.type = 'INCOME' and greatest(b.booked, r.asked) > p.amount_cents""",
    "a refund that was paid out is booked, once and whole": """
        select r.id, r.status, e.booked
          from public.refunds as r
         cross join lateral (
           select coalesce(-sum(m.amount_cents), 0) as booked from public.money_events as m
            where m.org_id = r.org_id and m.type = 'REFUND' and m.source = r.source
              and m.reference_id = coalesce(r.stripe_refund_id, r.id::text)) as e
         where (r.status = 'succeeded' and e.booked <> r.amount_cents) or (r.status = 'requested' and e.booked <> 0)""",
    "a deposit that was paid has its booking or its refund": """
        select d.id, d.status
          from public.deposits as d
          left join public.money_events as e on e.org_id = d.org_id and e.id = d.payment_id
         where (d.status in ('paid', 'late')) <> (e.amount_cents is not distinct from d.amount_cents)
            or (d.status = 'late' and not exists (select from public.refunds as r where r.org_id = d.org_id
                                                     and r.deposit_id = d.id and r.amount_cents = d.amount_cents))
            or (d.status = 'paid' and d.booking_id is null)""",
    "receipts are numbered from one, without a gap": """
        select r.org_id, count(*), max(r.number), c.last_number
          from public.receipts as r
          join private.receipt_counters as c on c.org_id = r.org_id
         group by r.org_id, c.last_number
        having count(*) <> max(r.number) or max(r.number) <> c.last_number or min(r.number) <> 1""",
}

IN_LIMBO = """
    select b.id, b.status, b.settlement
      from public.bookings as b
     where b.settlement = 'due'
        or b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < clock_timestamp()
        or b.status = 'completed' and b.settlement is null"""


def assert_exact(db: Database) -> None:
    """Every rule holds over all rows of all organisations."""
    broken = {rule: rows[:3] for rule, query in BROKEN_BY.items() if (rows := db.owner.rows(query))}
    assert not broken, broken


def assert_settled(db: Database) -> None:
    """No booking is in limbo: sweeps until they find nothing, at a time when every grace is over, then looks."""
    sweep_until_dry(db)
    assert db.owner.rows(IN_LIMBO) == []
    assert_exact(db)


def sweep_until_dry(db: Database, *, limit: int = 5000) -> dict[str, int]:
    """Sweeps as from an hour ahead until nothing is due; what the sweeps did together."""
    done: dict[str, int] = {"completed": 0, "charged": 0, "uncovered": 0}
    while True:
        counts = db.owner.row(
            "select * from service.sweep_overdue_bookings(%s, clock_timestamp() + interval '1 hour')", (limit,)
        )
        assert counts["skipped"] == 0, "nobody else is at work, so nothing can be held"
        if not any(counts.values()):
            return done
        for name in done:
            done[name] += counts[name]
