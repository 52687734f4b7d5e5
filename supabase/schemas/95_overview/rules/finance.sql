-- Finance: the ledger of money by local month, and what an organisation has earned through the platform. Every figure is a sum over
-- money_events, so that they add up to it; amounts keep the ledger's sign where a row is to be added up.

-- Left out, the last date is the organisation's today, and the first the beginning of that month a year earlier.
create function private.finance_days(p_org_id uuid, p_from date, p_until date)
returns daterange
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_until date := coalesce(p_until, private.org_today(p_org_id));
  v_from date := coalesce(p_from, date_trunc('month', v_until::timestamp - interval '1 year')::date);
begin
  perform private.require_value(v_from between '2000-01-01' and '2100-01-01', 'from');
  perform private.require_value(v_until between v_from and '2100-01-01', 'until');
  return daterange(v_from, v_until + 1);
end;
$$;
comment on function private.finance_days is 'The local dates to account for. Fails: value_not_allowed 422.';

create function private.whole_months(p_days daterange)
returns daterange
language sql immutable security invoker set search_path = ''
as $$
  select daterange(date_trunc('month', lower(p_days)::timestamp)::date, (date_trunc('month', (upper(p_days) - 1)::timestamp) + interval '1 month')::date);
$$;
comment on function private.whole_months is 'These dates with the rest of their first and last month.';

create function private.profit_and_loss(p_org_id uuid, p_from date, p_until date)
returns table (
  month date, currency text, gross_cents bigint, refunds_cents bigint, disputes_cents bigint, adjustments_cents bigint, fees_cents bigint,
  platform_fees_cents bigint, expenses_cents bigint, net_cents bigint, gst_cents bigint, payouts_cents bigint, earned_cents bigint,
  sessions_earned bigint)
language sql stable security definer set search_path = ''
as $$
  with bounds as materialized (
    select private.local_range(p_org_id, private.whole_months(private.finance_days(p_org_id, p_from, p_until))) as range, private.org_timezone(p_org_id) as timezone),
  money as (
    select date_trunc('month', e.event_date at time zone b.timezone)::date as month, e.currency, e.type, e.amount_cents, e.tax_cents
      from bounds as b
      join public.money_events as e on e.org_id = p_org_id and e.event_date >= lower(b.range) and e.event_date < upper(b.range)),
  moved as (
    select m.month, m.currency,
           sum(m.amount_cents) filter (where m.type = 'INCOME') as gross, sum(m.amount_cents) filter (where m.type = 'REFUND') as refunds,
           sum(m.amount_cents) filter (where m.type = 'DISPUTE') as disputes, sum(m.amount_cents) filter (where m.type = 'ADJUSTMENT') as adjustments,
           sum(m.amount_cents) filter (where m.type = 'FEE') as fees, sum(m.amount_cents) filter (where m.type = 'PLATFORM_FEE') as platform_fees,
           sum(m.amount_cents) filter (where m.type = 'EXPENSE') as expenses, sum(m.amount_cents) filter (where m.type <> 'PAYOUT') as net,
           sum(m.tax_cents) as gst, sum(m.amount_cents) filter (where m.type = 'PAYOUT') as payouts
      from money as m
     group by m.month, m.currency),
  earned as (
    select date_trunc('month', r.on_at at time zone b.timezone)::date as month, r.currency, sum(r.amount_cents) as cents, sum(r.sessions) as sessions
      from bounds as b
     cross join lateral private.revenue(p_org_id, b.range) as r
     group by 1, 2)
  select month, currency, coalesce(m.gross, 0)::bigint, coalesce(m.refunds, 0)::bigint, coalesce(m.disputes, 0)::bigint, coalesce(m.adjustments, 0)::bigint,
         coalesce(m.fees, 0)::bigint, coalesce(m.platform_fees, 0)::bigint, coalesce(m.expenses, 0)::bigint, coalesce(m.net, 0)::bigint,
         coalesce(m.gst, 0)::bigint, coalesce(m.payouts, 0)::bigint, coalesce(e.cents, 0)::bigint, coalesce(e.sessions, 0)::bigint
    from moved as m
    full join earned as e using (month, currency)
   order by month, currency;
$$;
comment on function private.profit_and_loss is
  'By local month and currency, with the ledger''s signs: net is gross + refunds + disputes + adjustments + fees + platform_fees + expenses; payouts only move money and stand beside it; gst is the tax inside; earned is the revenue of the sessions that were held.';

create function private.member_profit_and_loss(p_org_id uuid, p_from date, p_until date)
returns table (
  month date, currency text, gross_cents bigint, refunds_cents bigint, disputes_cents bigint, adjustments_cents bigint, fees_cents bigint,
  platform_fees_cents bigint, expenses_cents bigint, net_cents bigint, gst_cents bigint, payouts_cents bigint, earned_cents bigint,
  sessions_earned bigint)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'finance.read');
  return query select * from private.profit_and_loss(p_org_id, p_from, p_until);
end;
$$;
comment on function private.member_profit_and_loss is 'profit_and_loss for a member with finance.read.';

-- Where the platform stands between an organisation and its clients' money: what went through Stripe. Cash never came here, so it is
-- not to be paid out. One row for each organisation, in the currency that most of it came in, since the app reads one.
create function private.earnings(p_org_ids uuid[])
returns table (
  org_id uuid, org_name text, gross_earnings_cents numeric, commission_cents numeric, net_earnings_cents numeric, paid_out_cents numeric,
  pending_payout_cents numeric, currency text)
language sql stable security definer set search_path = ''
as $$
  with sums as (
    select e.org_id, e.currency, count(*) as n,
           coalesce(sum(e.amount_cents) filter (where e.type in ('INCOME', 'REFUND', 'DISPUTE', 'ADJUSTMENT')), 0) as gross,
           -coalesce(sum(e.amount_cents) filter (where e.type in ('FEE', 'PLATFORM_FEE', 'EXPENSE')), 0) as commission,
           -coalesce(sum(e.amount_cents) filter (where e.type = 'PAYOUT'), 0) as paid_out
      from public.money_events as e
     where e.org_id = any (p_org_ids) and (e.source = 'stripe' or e.type = 'PAYOUT')
     group by e.org_id, e.currency)
  select o.id, o.name, coalesce(s.gross, 0), coalesce(s.commission, 0), coalesce(s.gross - s.commission, 0), coalesce(s.paid_out, 0),
         coalesce(s.gross - s.commission - s.paid_out, 0), coalesce(s.currency, 'aud')
    from public.orgs as o
    left join lateral (select * from sums as x where x.org_id = o.id order by x.n desc, x.currency limit 1) as s on true
   where o.id = any (p_org_ids);
$$;
comment on function private.earnings is
  'What went through Stripe for these organisations: gross (income less what was returned), commission (the platform''s and Stripe''s fees), net, paid_out, and pending: what is left.';

create function private.reader_earnings()
returns table (
  org_id uuid, org_name text, gross_earnings_cents numeric, commission_cents numeric, net_earnings_cents numeric, paid_out_cents numeric,
  pending_payout_cents numeric, currency text)
language plpgsql stable security definer set search_path = ''
as $$
begin
  return query
  select e.* from private.earnings(case when private.is_platform_admin() then (select array_agg(o.id) from public.orgs as o)
                                        else private.orgs_with('finance.read') end) as e;
end;
$$;
comment on function private.reader_earnings is 'The earnings of the organisations whose finances the signed-in person may read; a platform admin''s are all.';
