"""What holds over every row of a database, whatever happened to it: each rule is a query for the rows that break it."""

from tests.harness.database import Database

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
