-- Connect: an organisation's own Stripe account. The owner begins at Stripe's pages; what Stripe then says of it is recorded here.

create function private.connect_begin(p_org_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('org_id', o.id, 'name', o.name, 'account', a.stripe_account_id, 'idempotency_key', 'connect-' || o.id,
                            'return_url', private.app_link('/settings/payments'))
    from public.orgs as o
    left join public.stripe_accounts as a on a.org_id = o.id
   where o.id = p_org_id;
$$;
comment on function private.connect_begin is 'What onboarding is begun from: {org_id, name, account (null: to be made), idempotency_key, return_url (null where the platform has no app_url)}.';

create function private.member_connect_begin(p_org_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'payouts.write');
  perform private.require_unbraked('payments', p_org_id);
  return private.connect_begin(p_org_id);
end;
$$;
comment on function private.member_connect_begin is 'connect_begin for an owner.';

create function private.connect_status(p_org_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'org_id', o.id, 'account', a.stripe_account_id, 'is_connected', a.org_id is not null, 'details_submitted', coalesce(a.details_submitted, false),
    'charges_enabled', coalesce(a.charges_enabled, false), 'payouts_enabled', coalesce(a.payouts_enabled, false),
    'next_step', case when a.org_id is null then 'connect' when not a.details_submitted then 'continue'
                      when not a.charges_enabled or not a.payouts_enabled then 'wait' end)
    from public.orgs as o
    left join public.stripe_accounts as a on a.org_id = o.id
   where o.id = p_org_id;
$$;
comment on function private.connect_status is
  'How far an organisation''s Stripe account is: {org_id, account, is_connected, details_submitted, charges_enabled, payouts_enabled, next_step: connect | continue | wait | null}.';

create function private.member_connect_status(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'money.read');
  return private.connect_status(p_org_id);
end;
$$;
comment on function private.member_connect_status is 'connect_status for a member with money.read.';

-- The first account stays: two tabs that begin at once make one (by its key at Stripe), and another is refused.
create function private.record_account(
  p_org_id uuid, p_account text, p_charges_enabled boolean, p_payouts_enabled boolean, p_details_submitted boolean, p_now timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_account text;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(coalesce(p_account ~ '^acct_[A-Za-z0-9_]{1,100}$', false), 'account');
  insert into public.stripe_accounts as a (org_id, stripe_account_id, charges_enabled, payouts_enabled, details_submitted, as_of)
  values (p_org_id, p_account, p_charges_enabled, p_payouts_enabled, p_details_submitted, p_now)
  on conflict do nothing;
  select a.stripe_account_id into v_account from public.stripe_accounts as a where a.org_id = p_org_id;
  if v_account is distinct from p_account then
    perform private.fail(409, 'stripe_account_taken', 'The organisation or the account is connected already.',
                         'Look at the organisation''s Stripe status.');
  end if;
  update public.stripe_accounts as a
     set charges_enabled = p_charges_enabled, payouts_enabled = p_payouts_enabled, details_submitted = p_details_submitted, as_of = p_now
   where a.org_id = p_org_id and (a.as_of is null or a.as_of <= p_now)
     and (a.charges_enabled, a.payouts_enabled, a.details_submitted) is distinct from (p_charges_enabled, p_payouts_enabled, p_details_submitted);
  return private.connect_status(p_org_id);
end;
$$;
comment on function private.record_account is
  'Records an organisation''s Stripe account as Stripe has it now, and returns connect_status. Fails: org_not_found 404, value_not_allowed 422, stripe_account_taken 409.';
