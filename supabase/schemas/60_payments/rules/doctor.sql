-- What the doctor looks at of payments; events and objects that are stuck are the pulse's (95_overview).

create function private.check_stripe_account_unlisted(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select a.org_id, a.stripe_account_id, c.listed_at::text
    from public.stripe_accounts as a
    join private.stripe_cursors as c on c.account = a.stripe_account_id
   where c.listed_at < p_now - interval '2 days';
$$;
comment on function private.check_stripe_account_unlisted is 'Doctor: accounts whose events have not been reconciled for two days.';

create function private.check_stripe_endpoint_unpinned(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, max(e.api_version), string_agg(distinct e.api_version, ' ' order by e.api_version)
    from private.stripe_events as e
   where e.received_at > p_now - interval '1 day' and e.api_version is not null
  having count(distinct e.api_version) > 1;
$$;
comment on function private.check_stripe_endpoint_unpinned is 'Doctor: events of more than one version of Stripe''s API within a day.';

create function private.check_package_money_drift(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select p.org_id, p.id::text, format('%s paid, %s booked', p.amount_paid_cents, coalesce(sum(e.amount_cents), 0))
    from public.client_purchases as p
    left join public.money_events as e on e.org_id = p.org_id and e.purchase_id = p.id and e.type in ('INCOME', 'ADJUSTMENT')
     and (e.type = 'INCOME' or e.source = 'manual')
   where p.source in ('stripe', 'manual') and p.payment_status = 'succeeded'
   group by p.org_id, p.id
  having coalesce(sum(e.amount_cents), 0) < p.amount_paid_cents;
$$;
comment on function private.check_package_money_drift is 'Doctor: packages that count as paid and whose income is not in the ledger.';
