-- The sweep of overdue bookings: completes what is over and settles what stayed due, one batch a call.
-- Safe beside calendars, clicks and other sweeps: packages are locked first, in id order, then bookings; whatever somebody
-- else holds is skipped and left for the next call; entries are inserted first and counters follow what came back.
-- Ids travel in arrays and each join names them, so that a batch is looked up by index however large the tables are.

create function private.sweep_overdue_bookings(
  p_limit integer, p_now timestamptz, p_dry_run boolean,
  out completed integer, out charged integer, out uncovered integer, out skipped integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_candidates uuid[];
  v_packages uuid[];
  v_bookings uuid[];
begin
  -- Plain reads: what may be due. The two halves each use their own partial index.
  select coalesce(array_agg(d.id), '{}') into v_candidates
    from (select w.id
            from ((select b.id, b.end_time as due_at from public.bookings as b
                    where b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < p_now
                    order by b.end_time limit p_limit)
                  union all
                  (select b.id, b.due_since from public.bookings as b
                    where b.settlement = 'due' and b.due_since < p_now - interval '2 minutes'
                    order by b.due_since limit p_limit)) as w
           order by w.due_at
           limit p_limit) as d;

  select coalesce(array_agg(l.id), '{}') into v_packages
    from (select p.id
            from public.client_purchases as p
           where p.id = any (array(select b.purchase_id from public.bookings as b where b.id = any (v_candidates)))
           order by p.id
             for no key update skip locked) as l;

  -- The statement's fresh snapshot, now that the packages stand still: what is still due of what was read.
  select coalesce(array_agg(l.id), '{}') into v_bookings
    from (select b.id
            from public.bookings as b
           where b.id = any (v_candidates)
             and (b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < p_now
                  or b.settlement = 'due' and b.due_since < p_now - interval '2 minutes')
             and (b.purchase_id is null or b.purchase_id = any (v_packages))
           order by b.id
             for no key update skip locked) as l;
  skipped := cardinality(v_candidates) - cardinality(v_bookings);

  with due as materialized (
    select b.org_id, b.id, b.client_id, b.purchase_id, b.start_time, b.status, b.settlement,
           p.valid_during @> b.start_time as is_valid, p.sessions_total - p.sessions_used as free
      from public.bookings as b
      left join public.client_purchases as p on p.org_id = b.org_id and p.id = b.purchase_id and p.id = any (v_packages)
     where b.id = any (v_bookings)),
  -- Charged early (a check-in) or waived already: it only has to be completed.
  ranked as (
    select d.*, row_number() over (partition by d.purchase_id order by d.start_time, d.id) as nth
      from due as d
     where d.purchase_id is not null and coalesce(d.settlement, 'due') = 'due' and d.is_valid),
  released as (
    select u.org_id, u.booking_id, count(*) as n
      from due as d
      join public.session_entries as u on u.org_id = d.org_id and u.booking_id = d.id
      join public.session_entries as r on r.org_id = u.org_id and r.released_entry_id = u.id
     group by u.org_id, u.booking_id),
  entered as (
    insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason, created_at)
    select k.org_id, k.purchase_id, 'use', 1, k.id, coalesce(r.n, 0) + 1,
           case k.status when 'confirmed' then 'sweep' else private.settle_reason(k.status) end, p_now
      from ranked as k
      left join released as r on r.org_id = k.org_id and r.booking_id = k.id
     where k.nth <= k.free and not p_dry_run
     order by k.purchase_id, k.nth
    on conflict do nothing
    returning org_id, purchase_id, booking_id),
  counted as (
    update public.client_purchases as p
       set sessions_used = p.sessions_used + c.n, entry_count = p.entry_count + c.n
      from (select e.org_id, e.purchase_id, count(*)::integer as n from entered as e group by e.org_id, e.purchase_id) as c
     where p.org_id = c.org_id and p.id = c.purchase_id and p.id = any (v_packages)
    returning p.id),
  -- What each booking ends as; a dry run foretells it.
  ended as (
    select d.*, case
             when d.purchase_id is null then 'none'
             when d.settlement in ('charged', 'waived', 'uncovered') then d.settlement
             when p_dry_run and k.nth <= k.free or e.booking_id is not null then 'charged'
             else 'uncovered' end as verdict
      from due as d
      left join ranked as k on k.org_id = d.org_id and k.id = d.id
      left join entered as e on e.org_id = d.org_id and e.booking_id = d.id),
  settled as (
    update public.bookings as b
       set status = case b.status when 'confirmed' then 'completed' else b.status end,
           completed_at = case b.status when 'confirmed' then p_now else b.completed_at end,
           settlement = d.verdict, due_since = null, follow_up_by = null, follow_up_until = null, updated_at = p_now
      from ended as d
     where b.org_id = d.org_id and b.id = d.id and b.id = any (v_bookings) and not p_dry_run
    returning b.id),
  told as (
    insert into public.alerts (org_id, kind, client_id, purchase_id, booking_id)
    select d.org_id, 'booking_uncovered', d.client_id, d.purchase_id, d.id
      from ended as d
     where d.verdict = 'uncovered' and d.settlement is distinct from 'uncovered' and not p_dry_run
    on conflict do nothing)
  select count(*) filter (where d.status = 'confirmed'),
         count(*) filter (where d.verdict = 'charged' and d.settlement is distinct from 'charged'),
         count(*) filter (where d.verdict = 'uncovered' and d.settlement is distinct from 'uncovered')
    into completed, charged, uncovered
    from ended as d;
end;
$$;
comment on function private.sweep_overdue_bookings is
  'Completes and settles one batch of bookings that are over; returns how many were completed, charged, uncovered and skipped because somebody held them.';
