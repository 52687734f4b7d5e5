-- Overviews for operators and monitors.

create function service.pulse()
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.pulse();
$$;
comment on function service.pulse is
  'Every kind of work that runs by itself: {as_of, verdict: healthy | degraded | failing, kinds: [{kind, description, verdict, reasons, backlog, oldest_due_at, oldest_due_secs, done, failed, error_rate, deferred_until, failures: [{reason, count}], stuck: [{id, since, reason, fix}], runs, last_run_at, degraded_after_secs, failing_after_secs, fix}]}. done, failed and runs are of the last hour.';
revoke all on function service.pulse() from public, anon, authenticated;
grant execute on function service.pulse() to service_role;

create function service.profit_and_loss(p_org_id uuid, p_from date default null, p_until date default null)
returns table (
  month date, currency text, gross_cents bigint, refunds_cents bigint, disputes_cents bigint, adjustments_cents bigint, fees_cents bigint,
  platform_fees_cents bigint, expenses_cents bigint, net_cents bigint, gst_cents bigint, payouts_cents bigint, earned_cents bigint,
  sessions_earned bigint)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query select * from private.profit_and_loss(p_org_id, p_from, p_until);
end;
$$;
comment on function service.profit_and_loss is
  'An organisation''s money by local month and currency, with the ledger''s signs; see public.profit_and_loss. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.profit_and_loss(uuid, date, date) from public, anon, authenticated;
grant execute on function service.profit_and_loss(uuid, date, date) to service_role;

create function service.list_ledger(
  p_org_id uuid, p_from date default null, p_until date default null, p_after_date timestamptz default null, p_after_id uuid default null, p_limit integer default 1000)
returns table (
  id uuid, event_date timestamptz, local_on date, type text, amount_cents bigint, currency text, tax_cat text, tax_cents bigint, source text,
  reference_id text, client_id uuid, purchase_id uuid, booking_id uuid, payout_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_range tstzrange;
begin
  perform private.require_known_org(p_org_id);
  v_range := private.local_range(p_org_id, private.finance_days(p_org_id, p_from, p_until));
  return query
  select e.id, e.event_date, (e.event_date at time zone private.org_timezone(p_org_id))::date, e.type::text, e.amount_cents, e.currency, e.tax_cat::text,
         e.tax_cents, e.source, e.reference_id, e.client_id, e.purchase_id, e.booking_id, e.payout_id
    from public.money_events as e
   where e.org_id = p_org_id and e.event_date >= lower(v_range) and e.event_date < upper(v_range)
     and (p_after_id is null or (e.event_date, e.id) > (p_after_date, p_after_id))
   order by e.event_date, e.id
   limit least(greatest(p_limit, 1), 10000);
end;
$$;
comment on function service.list_ledger is
  'The money events of local dates, oldest first, at most p_limit (1 to 10000); the next page comes after the last row''s event_date and id. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.list_ledger(uuid, date, date, timestamptz, uuid, integer) from public, anon, authenticated;
grant execute on function service.list_ledger(uuid, date, date, timestamptz, uuid, integer) to service_role;

create function service.list_revenue(p_org_id uuid, p_from date default null, p_until date default null)
returns table (
  earned_at timestamptz, local_on date, kind text, client_id uuid, purchase_id uuid, booking_id uuid, sessions integer, amount_cents bigint, currency text)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select r.on_at, (r.on_at at time zone private.org_timezone(p_org_id))::date, r.kind, r.client_id, r.purchase_id, r.booking_id, r.sessions, r.amount_cents, r.currency
    from private.revenue(p_org_id, private.local_range(p_org_id, private.finance_days(p_org_id, p_from, p_until))) as r
   order by r.on_at, r.purchase_id, r.booking_id;
end;
$$;
comment on function service.list_revenue is
  'What was earned on local dates, session by session: kind is use, release, correction, refund, dispute, adjustment, sale (without sessions) or income (without a package). Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.list_revenue(uuid, date, date) from public, anon, authenticated;
grant execute on function service.list_revenue(uuid, date, date) to service_role;

create function service.org_earnings(p_org_id uuid)
returns table (
  org_id uuid, org_name text, gross_earnings_cents numeric, commission_cents numeric, net_earnings_cents numeric, paid_out_cents numeric,
  pending_payout_cents numeric, currency text)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query select * from private.earnings(array[p_org_id]);
end;
$$;
comment on function service.org_earnings is 'What went through Stripe for an organisation; see the view org_earnings. Fails: org_not_found 404.';
revoke all on function service.org_earnings(uuid) from public, anon, authenticated;
grant execute on function service.org_earnings(uuid) to service_role;
