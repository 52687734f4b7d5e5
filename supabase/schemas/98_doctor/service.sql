-- The doctor for operators.

create function service.examine(p_is_quick boolean default false, p_now timestamptz default now())
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.examine(p_now, p_is_quick);
$$;
comment on function service.examine is
  'Looks at everything that private.doctor_checks lists, or quickly at what costs little: {checked, findings: [{check, severity, meaning, fix, count, examples: [{org_id, subject, detail}]}], blind: [{check, sqlstate}]}. Changes nothing.';
revoke all on function service.examine(boolean, timestamptz) from public, anon, authenticated;
grant execute on function service.examine(boolean, timestamptz) to service_role;

-- What the migrations say is given by whoever has them; both directions are drift.
create function service.grant_drift(p_expected jsonb)
returns table (function text, role text, is_extra boolean)
language sql stable security definer set search_path = ''
as $$
  with expected as (
    select f.key as function, jsonb_array_elements_text(f.value) as role from jsonb_each(p_expected) as f)
  select coalesce(a.function, e.function), coalesce(a.role, e.role), e.function is null
    from (select distinct g.function, g.role from private.function_grants() as g) as a
    full join expected as e on e.function = a.function and e.role = a.role
   where a.function is null or e.function is null
   order by 1, 2;
$$;
comment on function service.grant_drift is
  'Where the right to call functions differs from what the migrations gave: p_expected {function: [role]}; is_extra: may be called and should not.';
revoke all on function service.grant_drift(jsonb) from public, anon, authenticated;
grant execute on function service.grant_drift(jsonb) to service_role;

create function service.clock()
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select clock_timestamp();
$$;
comment on function service.clock is 'What time it is in the database.';
revoke all on function service.clock() from public, anon, authenticated;
grant execute on function service.clock() to service_role;

create function service.timezones(p_limit integer default 200)
returns table (timezone text, utc_offset_secs integer, utc_offset_secs_in_half_a_year integer)
language sql stable security definer set search_path = ''
as $$
  select b.timezone,
         extract(epoch from (now() at time zone b.timezone) - (now() at time zone 'UTC'))::integer,
         extract(epoch from ((now() + interval '182 days') at time zone b.timezone) - ((now() + interval '182 days') at time zone 'UTC'))::integer
    from (select distinct s.timezone from public.booking_settings as s
           where exists (select from pg_catalog.pg_timezone_names as n where n.name = s.timezone)) as b
   order by 1 limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.timezones is 'The timezones that organisations have, with their offsets from UTC by the database''s data: now, and in half a year.';
revoke all on function service.timezones(integer) from public, anon, authenticated;
grant execute on function service.timezones(integer) to service_role;

-- What is no sale of ours at a connected account is its owner's own matter: nothing is booked of it, and nothing is missed.
create function service.stripe_differences(p_account text, p_charges jsonb, p_refunds jsonb)
returns table (kind text, stripe_id text, told_cents bigint, booked_cents bigint)
language sql stable security definer set search_path = ''
as $$
  with org as (select a.org_id from public.stripe_accounts as a where a.stripe_account_id = p_account),
  charges as (
    select c ->> 'payment_intent' as intent_id, (c ->> 'amount')::bigint as told, coalesce((c ->> 'is_ours')::boolean, false) as is_ours,
           (select sum(e.amount_cents) from public.money_events as e
             where e.org_id = o.org_id and e.type = 'INCOME' and e.source = 'stripe' and e.stripe_payment_intent_id = c ->> 'payment_intent') as booked
      from org as o cross join jsonb_array_elements(p_charges) as c),
  refunds as (
    select r ->> 'id' as refund_id, (r ->> 'amount')::bigint as told,
           (select -sum(e.amount_cents) from public.money_events as e
             where e.org_id = o.org_id and e.type = 'REFUND' and e.source = 'stripe' and e.reference_id = r ->> 'id') as booked
      from org as o cross join jsonb_array_elements(p_refunds) as r
     where exists (select from public.money_events as e
                    where e.org_id = o.org_id and e.type = 'INCOME' and e.source = 'stripe' and e.stripe_payment_intent_id = r ->> 'payment_intent'))
  select 'charge', c.intent_id, c.told, coalesce(c.booked, 0)::bigint from charges as c
   where (c.is_ours or c.booked is not null) and c.told is distinct from coalesce(c.booked, 0)
  union all
  select 'refund', r.refund_id, r.told, coalesce(r.booked, 0)::bigint from refunds as r where r.told is distinct from coalesce(r.booked, 0);
$$;
comment on function service.stripe_differences is
  'Where the ledger and what Stripe tells of a connected account differ: p_charges [{payment_intent, amount, is_ours}] that were paid, p_refunds [{id, payment_intent, amount}] that succeeded.';
revoke all on function service.stripe_differences(text, jsonb, jsonb) from public, anon, authenticated;
grant execute on function service.stripe_differences(text, jsonb, jsonb) to service_role;
