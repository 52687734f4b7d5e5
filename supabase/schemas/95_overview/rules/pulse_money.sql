-- Pulse of payments: what Stripe told, what is asked of it, what is given back, receipts, and the platform's own subscriptions.

-- A failed event is sent again by Stripe and replayed by the sweep; what waits for a payment that may not be ours is given three days.
create function private.pulse_stripe_events(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with open_events as (
    select e.id, e.status, e.error, e.received_at, case e.status when 'waiting' then e.received_at + interval '3 days' else e.received_at end as due_at
      from private.stripe_events as e where e.status in ('failed', 'waiting') order by e.received_at limit 10000),
  lately as (
    select e.status, e.error from private.stripe_events as e where e.received_at > p_now - interval '1 hour')
  select jsonb_build_object(
    'backlog', (select count(*) from open_events as o where o.due_at <= p_now), 'oldest_due_at', (select min(o.due_at) from open_events as o where o.due_at <= p_now),
    'done', (select count(*) from lately as l where l.status in ('applied', 'ignored')),
    'failed', (select count(*) from lately as l where l.status in ('failed', 'refused')),
    'failures', (select jsonb_agg(jsonb_build_object('reason', f.reason, 'count', f.n) order by f.n desc, f.reason)
                   from (select coalesce(l.error, l.status) as reason, count(*) as n
                           from lately as l where l.status in ('failed', 'refused') group by 1 order by 2 desc, 1 limit 5) as f),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.received_at, 'reason', coalesce(s.error, s.status), 'fix', 'coach stripe replay ' || s.id) order by s.received_at)
                from (select * from open_events as x
                       where x.status = 'failed' and x.received_at < p_now - interval '1 hour' order by x.received_at limit 10) as s));
$$;
comment on function private.pulse_stripe_events is 'Pulse: events of Stripe that failed or wait for another; stuck when one still fails after an hour.';

create function private.pulse_stripe_fetches(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'backlog', count(*), 'oldest_due_at', min(f.next_at),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.stripe_id, 'since', s.next_at, 'reason', coalesce(s.error, 'not_answered'), 'fix', 'coach sweep stripe') order by s.next_at)
                from (select * from private.stripe_fetches as x where x.attempts >= 5 order by x.next_at limit 10) as s))
    from (select x.next_at from private.stripe_fetches as x where x.next_at <= p_now order by x.next_at limit 10000) as f;
$$;
comment on function private.pulse_stripe_fetches is 'Pulse: what Stripe must be asked for; stuck after five tries.';

create function private.pulse_deposits(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'backlog', count(*), 'oldest_due_at', min(d.next_at),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.created_at, 'reason', coalesce(s.error_code, 'not_answered'), 'fix', 'coach sweep deposits') order by s.created_at)
                from (select * from public.deposits as x where x.next_at is not null and x.attempts >= 5 order by x.next_at limit 10) as s))
    from (select x.next_at from public.deposits as x
           where x.next_at <= p_now and x.org_id <> all ((select private.braked_orgs('payments'))::uuid[]) order by x.next_at limit 10000) as d;
$$;
comment on function private.pulse_deposits is 'Pulse: deposits whose intent is to be created or cancelled; stuck after five tries.';

-- A refund that failed is nobody's but a person's: it is asked for again, or paid another way. Told for a week, unless another of its payment followed.
create function private.pulse_refunds(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with failed as (
    select r.* from public.refunds as r where r.status = 'failed' and r.settled_at > p_now - interval '7 days' order by r.settled_at limit 1000)
  select jsonb_build_object(
    'backlog', count(*), 'oldest_due_at', min(d.next_at), 'failed', (select count(*) from failed as f where f.settled_at > p_now - interval '1 hour'),
    'failures', (select jsonb_agg(jsonb_build_object('reason', f.reason, 'count', f.n) order by f.n desc, f.reason)
                   from (select coalesce(x.error_code, 'failed') as reason, count(*) as n
                           from failed as x where x.settled_at > p_now - interval '1 hour' group by 1 order by 2 desc, 1 limit 5) as f),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.settled_at, 'reason', coalesce(s.error_code, 'failed'), 'fix', 'coach refund create ' || s.payment_id) order by s.settled_at)
                from (select * from failed as x
                       where not exists (select from public.refunds as n where n.org_id = x.org_id and n.payment_id = x.payment_id and n.created_at > x.created_at)
                       order by x.settled_at limit 10) as s))
    from (select x.next_at from public.refunds as x
           where x.next_at <= p_now and x.org_id <> all ((select private.braked_orgs('payments'))::uuid[]) order by x.next_at limit 10000) as d;
$$;
comment on function private.pulse_refunds is 'Pulse: refunds on their way to Stripe; stuck are those that failed within a week and were not asked for again.';

create function private.pulse_receipts(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(d.created_at))
    from (select x.created_at from private.receipts_due as x order by x.created_at limit 10000) as d;
$$;
comment on function private.pulse_receipts is 'Pulse: payments and refunds that wait for their receipt.';

create function private.pulse_billing(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(d.refetch_at))
    from (select x.refetch_at from public.org_subscriptions as x where x.refetch_at <= p_now order by x.refetch_at limit 10000) as d;
$$;
comment on function private.pulse_billing is 'Pulse: the platform''s subscriptions that events left in doubt and nobody has asked about.';
