-- The sweep of overdue bookings: completes what is over and settles what stayed due, one batch a call.
-- Safe beside calendars, clicks and other sweeps: packages are locked first, in id order, then bookings; whatever somebody
-- else holds is skipped and left for the next call; entries are inserted first and counters follow what came back.
-- Every join starts from the batch and looks up by index, so that a call costs what is due, not what exists. Sequential
-- scans are off, since an estimate that is stale (a ledger that grew in the same run) must not choose one; and no two
-- CTEs are joined, since nobody knows their sizes when the plan is made.

create function private.sweep_overdue_bookings(
  p_limit integer, p_now timestamptz, p_dry_run boolean,
  out completed integer, out charged integer, out uncovered integer, out skipped integer)
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
as $$
declare
  v_candidates uuid[];
  v_packages uuid[];
begin
  perform set_config('coach.sweeps_bookings', 'on', true);
  -- Plain reads: what may be due, oldest first, each half by its own partial index; and with a booking the others of its
  -- package that are over, so that a package is locked and written once and not once a batch. A booking without a package,
  -- or one that is settled or due already, comes alone. num_nulls() says `is null` and keeps the planner from reading the
  -- work list once for each package.
  with oldest as (
    select w.*
      from ((select b.org_id, b.purchase_id, case when b.purchase_id is null or b.settlement is not null then b.id end as alone_id,
                    b.end_time as due_at
               from public.bookings as b
              where b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < p_now
              order by b.end_time limit p_limit)
            union all
            (select b.org_id, b.purchase_id, b.id, b.due_since
               from public.bookings as b
              where b.settlement = 'due' and b.due_since < p_now - interval '2 minutes'
              order by b.due_since limit p_limit)) as w
     order by w.due_at
     limit p_limit),
  turns as (
    select o.org_id, o.purchase_id, o.alone_id
      from oldest as o
     group by o.org_id, o.purchase_id, o.alone_id
     order by min(o.due_at))
  select coalesce(array_agg(c.id), '{}'), coalesce(array_agg(distinct c.purchase_id), '{}') into v_candidates, v_packages
    from (select d.id, t.purchase_id
            from turns as t
           cross join lateral (
                  select t.alone_id where t.alone_id is not null
                  union all
                  (select b.id
                     from public.bookings as b
                    where t.alone_id is null and b.org_id = t.org_id and b.purchase_id = t.purchase_id
                      and b.status = 'confirmed' and b.settlement is null and num_nulls(b.completion_undone_at) = 1
                      and b.end_time < p_now
                    order by b.end_time)) as d (id)
           limit p_limit) as c;

  select coalesce(array_agg(l.id), '{}') into v_packages
    from (select p.id
            from unnest(v_packages) as w (id)
            join public.client_purchases as p on p.id = w.id
           order by p.id
             for no key update of p skip locked) as l;

  -- The statement's fresh snapshot, now that the packages stand still: what is still due of what was read. The package is
  -- joined to the locked row, which may be newer than the snapshot, never to the row that was looked up.
  with locked as materialized (
    select b.org_id, b.id, b.client_id, b.purchase_id, b.start_time, b.status, b.settlement
      from unnest(v_candidates) as c (id)
      join public.bookings as b on b.id = c.id
     where (b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < p_now
            or b.settlement = 'due' and b.due_since < p_now - interval '2 minutes')
       and (b.purchase_id is null or b.purchase_id in (select unnest(v_packages)))
       for no key update of b skip locked),
  -- Charged early (a check-in) or waived already: it only has to be completed.
  due as (
    select l.*, p.sessions_total - p.sessions_used as free,
           coalesce(l.settlement, 'due') = 'due' and p.valid_during @> l.start_time as is_payable
      from locked as l
      left join public.client_purchases as p on p.org_id = l.org_id and p.id = l.purchase_id),
  ranked as materialized (
    select d.*, d.is_payable and d.free >= row_number() over (
             partition by d.purchase_id, d.is_payable order by d.start_time, d.id) as is_covered
      from due as d),
  entered as (
    insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason, created_at)
    select k.org_id, k.purchase_id, 'use', 1, k.id,
           1 + (select count(*)
                  from public.session_entries as u
                  join public.session_entries as r on r.org_id = u.org_id and r.released_entry_id = u.id
                 where u.org_id = k.org_id and u.booking_id = k.id),
           case k.status when 'confirmed' then 'sweep' else private.settle_reason(k.status) end, p_now
      from ranked as k
     where k.is_covered and not p_dry_run
     order by k.purchase_id, k.start_time, k.id
    on conflict (org_id, booking_id, charge_no) where booking_id is not null do nothing
    returning org_id, purchase_id, booking_id),
  counted as (
    update public.client_purchases as p
       set sessions_used = p.sessions_used + c.n, entry_count = p.entry_count + c.n
      from (select e.org_id, e.purchase_id, count(*)::integer as n from entered as e group by e.org_id, e.purchase_id) as c
     where p.org_id = c.org_id and p.id = c.purchase_id
    returning p.id),
  -- What each booking ends as; a dry run foretells it.
  ended as (
    select k.*, case
             when k.purchase_id is null then 'none'
             when k.settlement in ('charged', 'waived', 'uncovered') then k.settlement
             when p_dry_run and k.is_covered or k.id in (select e.booking_id from entered as e) then 'charged'
             else 'uncovered' end as verdict
      from ranked as k),
  settled as (
    update public.bookings as b
       set status = case b.status when 'confirmed' then 'completed' else b.status end,
           completed_at = case b.status when 'confirmed' then p_now else b.completed_at end,
           settlement = d.verdict, due_since = null, follow_up_by = null, follow_up_until = null, updated_at = p_now
      from ended as d
     where b.org_id = d.org_id and b.id = d.id and not p_dry_run
    returning b.id),
  told as (
    insert into public.alerts (org_id, kind, client_id, purchase_id, booking_id)
    select d.org_id, 'booking_uncovered', d.client_id, d.purchase_id, d.id
      from ended as d
     where d.verdict = 'uncovered' and d.settlement is distinct from 'uncovered' and not p_dry_run
    on conflict do nothing),
  -- Looked up once for an organisation, not once for a booking: most have none that waits for this.
  waiting as materialized (
    select a.org_id, a.id
      from (select distinct e.org_id from ended as e) as o
      join public.automations as a
        on a.org_id = o.org_id and a.enabled and a.trigger ->> 'event' = 'booking_completed' and a.enabled_at <= p_now),
  noticed as (
    insert into public.automation_firings (org_id, automation_id, due_at, next_at, event, event_key, client_id)
    select d.org_id, w.id, p_now, p_now, 'booking_completed', 'booking_completed-' || d.id, d.client_id
      from waiting as w
      join ended as d on d.org_id = w.org_id
     where d.status = 'confirmed' and not p_dry_run
    on conflict (org_id, automation_id, event_key) where event_key is not null do nothing)
  select count(*) filter (where d.status = 'confirmed'),
         count(*) filter (where d.verdict = 'charged' and d.settlement is distinct from 'charged'),
         count(*) filter (where d.verdict = 'uncovered' and d.settlement is distinct from 'uncovered'),
         cardinality(v_candidates) - count(*)
    into completed, charged, uncovered, skipped
    from ended as d;
  perform set_config('coach.sweeps_bookings', '', true);
end;
$$;
comment on function private.sweep_overdue_bookings is
  'Completes and settles one batch of bookings that are over; returns how many were completed, charged, uncovered and skipped because somebody held them.';
