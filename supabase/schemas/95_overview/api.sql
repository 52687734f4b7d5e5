-- Overviews for apps.

create function public.client_detail(p_client_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_client_detail(p_client_id);
end;
comment on function public.client_detail is
  'All of one client in one call: {client_id, org_id, as_of, sections: {profile, packages, bookings, money, waivers, communications, measurements, threads}}. Each section is {status: ok | refused | failed, data, error}: refused (permission_missing) where the caller''s role may not see it, failed (section_failed, or the slug of a rule) where it could not be read; neither touches the others, and a page shows a failed one as failed, with a retry. Lists are the newest, beside a total. For members of the client''s organisation. Fails: client_not_found 404.';
revoke all on function public.client_detail(uuid) from public, anon, service_role;
grant execute on function public.client_detail(uuid) to authenticated;
grant execute on function private.member_client_detail(uuid, timestamptz) to authenticated;

create function public.dashboard(p_org_id uuid, p_on date default null)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_dashboard(p_org_id, p_on);
end;
comment on function public.dashboard is
  'An organisation''s day at a glance, around a local date (default today): {org_id, on, timezone, as_of, sections: {today, week, revenue, earned, outstanding, mrr, no_show, at_risk}}, each section {status: ok | refused | failed, data, error} as in client_detail. Cheap enough to be asked every minute. Needs org.read, and each section its own permission. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function public.dashboard(uuid, date) from public, anon, service_role;
grant execute on function public.dashboard(uuid, date) to authenticated;
grant execute on function private.member_dashboard(uuid, date, timestamptz) to authenticated;

create function public.pulse()
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.admin_pulse();
end;
comment on function public.pulse is
  'How the work that runs by itself goes, for platform admins with pulse.read: {as_of, verdict: healthy | degraded | failing, kinds: […]} as service.pulse has it. Fails: platform_permission_missing 403.';
revoke all on function public.pulse() from public, anon, service_role;
grant execute on function public.pulse() to authenticated;
grant execute on function private.admin_pulse() to authenticated;

-- Local months; the columns are the existing app's, which reads what goes out as positive.
create view public.finance_monthly with (security_invoker = true) as
  select e.org_id, to_char(e.event_date at time zone o.timezone, 'YYYY-MM') as period,
         coalesce(sum(e.amount_cents) filter (where e.amount_cents > 0), 0) as cash_in_cents,
         -coalesce(sum(e.amount_cents) filter (where e.amount_cents < 0), 0) as cash_out_cents,
         sum(e.amount_cents) as net_cents,
         -coalesce(sum(e.amount_cents) filter (where e.type = 'FEE'), 0) as fees_cents,
         -coalesce(sum(e.amount_cents) filter (where e.type = 'PLATFORM_FEE'), 0) as platform_fees_cents,
         -coalesce(sum(e.amount_cents) filter (where e.type = 'REFUND'), 0) as refunds_cents,
         -coalesce(sum(e.amount_cents) filter (where e.type = 'PAYOUT'), 0) as payouts_cents,
         sum(e.tax_cents) as gst_cents, e.currency
    from (select o.id, private.org_timezone(o.id) as timezone
            from public.orgs as o where o.id = any ((select private.orgs_with('finance.read'))::uuid[])) as o
    join public.money_events as e on e.org_id = o.id
   group by e.org_id, 2, e.currency;
comment on view public.finance_monthly is
  'The ledger by local month (period: YYYY-MM) and currency, for members with finance.read: cash_in is all that came in, cash_out (as a positive amount) all that went out, payouts included; net is their difference.';
revoke all on public.finance_monthly from public, anon, authenticated, service_role;
grant select on public.finance_monthly to authenticated;

create view public.org_earnings with (security_invoker = true) as
  select e.org_id, e.org_name, e.gross_earnings_cents, e.commission_cents, e.net_earnings_cents, e.paid_out_cents, e.pending_payout_cents, e.currency
    from private.reader_earnings() as e;
comment on view public.org_earnings is
  'What went through Stripe, one row for each organisation whose finances one may read (finance.read; a platform admin: all): net is gross less commission (the platform''s fee and Stripe''s), pending is net less what was paid out.';
revoke all on public.org_earnings from public, anon, authenticated, service_role;
grant select on public.org_earnings to authenticated;
grant execute on function private.reader_earnings() to authenticated;

create trigger finance_monthly__read_only instead of insert or update or delete on public.finance_monthly
  for each row execute function private.tg__read_only();
create trigger org_earnings__read_only instead of insert or update or delete on public.org_earnings
  for each row execute function private.tg__read_only();

create function public.profit_and_loss(p_org_id uuid, p_from date default null, p_until date default null)
returns table (
  month date, currency text, gross_cents bigint, refunds_cents bigint, disputes_cents bigint, adjustments_cents bigint, fees_cents bigint,
  platform_fees_cents bigint, expenses_cents bigint, net_cents bigint, gst_cents bigint, payouts_cents bigint, earned_cents bigint,
  sessions_earned bigint)
language sql stable security invoker set search_path = ''
begin atomic
  select * from private.member_profit_and_loss(p_org_id, p_from, p_until);
end;
comment on function public.profit_and_loss is
  'An organisation''s money by local month, from the month of p_from (default: a year back) to that of p_until (default: today), and by currency, with the ledger''s signs: net is gross + refunds + disputes + adjustments + fees + platform_fees + expenses, each refund in the month it was made; payouts stand beside it; gst is the tax inside; earned is the revenue of the sessions_earned that were held. Needs finance.read. Fails: org_not_found 404, permission_missing 403, value_not_allowed 422.';
revoke all on function public.profit_and_loss(uuid, date, date) from public, anon, service_role;
grant execute on function public.profit_and_loss(uuid, date, date) to authenticated;
grant execute on function private.member_profit_and_loss(uuid, date, date) to authenticated;
