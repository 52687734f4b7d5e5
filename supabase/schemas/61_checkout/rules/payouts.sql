-- Payouts: what the platform pays an organisation. Platform admins write them, owners say where to; paid is paid, and booked once.

create function private.refuse_payout_period()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'payout_exists', 'There is a payout for this period already.', 'Mark that one as paid, or choose another period.');
$$;
comment on function private.refuse_payout_period is 'Refuses to pay a period twice: payout_exists 409.';

create function private.tg_org_payouts__settle()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if tg_op = 'UPDATE' and old.status = 'paid' and new.status <> 'paid' then
    perform private.fail(409, 'payout_paid', 'This payout has been paid.', 'Book a correction as a payout of its own.');
  end if;
  -- Told clearly to whoever may write here; to anybody else the policies say no.
  if tg_op = 'INSERT' and (auth.role() is distinct from 'authenticated' or private.is_platform_admin()) and exists (
       select from public.org_payouts as o
        where (o.org_id, o.currency, o.period_start, o.period_end) = (new.org_id, new.currency, new.period_start, new.period_end)) then
    perform private.refuse_payout_period();
  end if;
  if new.status = 'paid' then
    new.paid_at := coalesce(new.paid_at, now());
  end if;
  return new;
end;
$$;
comment on function private.tg_org_payouts__settle is 'Pays a period once, says when a payout was paid, and keeps it paid: payout_exists 409, payout_paid 409.';
create trigger org_payouts__settle before insert or update of status on public.org_payouts
  for each row execute function private.tg_org_payouts__settle();

create function private.tg_org_payouts__book()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.book_money(new.org_id, 'PAYOUT', -new.net_amount_cents, new.currency, 'manual', new.id::text, new.paid_at, p_payout_id => new.id);
  return null;
end;
$$;
comment on function private.tg_org_payouts__book is 'Books a payout when it is paid.';
create trigger org_payouts__book after insert or update of status on public.org_payouts
  for each row when (new.status = 'paid') execute function private.tg_org_payouts__book();

create function private.create_payout(
  p_org_id uuid, p_period_start date, p_period_end date, p_gross_cents integer, p_commission_cents integer, p_currency text,
  p_reference text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(p_period_end between p_period_start and p_period_start + 366, 'period_end');
  perform private.require_value(p_gross_cents between 1 and 100000000, 'gross_cents');
  perform private.require_value(p_commission_cents between 0 and p_gross_cents, 'commission_cents');
  perform private.require_value(coalesce(p_currency ~ '^[a-z]{3}$', false), 'currency');
  perform private.require_value(coalesce(char_length(p_reference), 0) <= 200, 'reference');
  insert into public.org_payouts (
    org_id, period_start, period_end, gross_amount_cents, commission_cents, net_amount_cents, currency, payout_reference, payout_method)
  values (
    p_org_id, p_period_start, p_period_end, p_gross_cents, p_commission_cents, p_gross_cents - p_commission_cents, p_currency, p_reference,
    (select s.payout_method from public.org_payout_settings as s where s.org_id = p_org_id))
  on conflict (org_id, currency, period_start, period_end) do nothing
  returning id into v_id;
  if v_id is null then
    perform private.refuse_payout_period();
  end if;
  return v_id;
end;
$$;
comment on function private.create_payout is
  'Prepares a payout for a period and returns its id. Fails: org_not_found 404, value_not_allowed 422, payout_exists 409.';

create function private.pay_payout(p_payout_id uuid, p_reference text, p_paid_at timestamptz)
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_payout public.org_payouts;
begin
  perform private.require_value(coalesce(char_length(p_reference), 0) <= 200, 'reference');
  perform private.require_value(coalesce(p_paid_at, now()) between '2000-01-01' and now() + interval '1 day', 'paid_at');
  select o.* into v_payout from public.org_payouts as o where o.id = p_payout_id for no key update;
  if not found then
    perform private.fail(404, 'payout_not_found', 'There is no such payout.', 'Reload the payouts.');
  elsif v_payout.status <> 'paid' then
    update public.org_payouts as o
       set status = 'paid', paid_at = coalesce(p_paid_at, now()), payout_reference = coalesce(p_reference, o.payout_reference)
     where o.org_id = v_payout.org_id and o.id = v_payout.id
    returning o.* into v_payout;
  end if;
  return v_payout.paid_at;
end;
$$;
comment on function private.pay_payout is 'Marks a payout as paid and returns since when; the same again changes nothing. Fails: payout_not_found 404, value_not_allowed 422.';
