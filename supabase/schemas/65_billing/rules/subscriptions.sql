-- The mirror of what organisations subscribed to. What the provider says of a moment replaces what it said of earlier ones; where two
-- things were said of the same second, nobody knows which came last, so the provider is asked (refetch_at, coach sweep billing).
-- Lock: the customer's directory row; all that is said of one customer queues here.

create trigger org_subscriptions__audit after insert or update or delete on public.org_subscriptions
  for each row execute function private.tg__audit('as_of', 'event_id', 'refetch_at', 'revision', 'fetched_at', 'fetch_error');

-- A reference is an id, or the whole thing where it was expanded.
create function private.stripe_id(p_reference jsonb)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case jsonb_typeof(p_reference) when 'object' then p_reference ->> 'id' when 'string' then p_reference #>> '{}' end;
$$;
comment on function private.stripe_id is 'The id of a reference in a Stripe object, expanded or not.';

create function private.stripe_instant(p_seconds jsonb)
returns timestamptz
language sql immutable security invoker set search_path = ''
as $$
  select case when jsonb_typeof(p_seconds) = 'number' then to_timestamp((p_seconds #>> '{}')::double precision) end;
$$;
comment on function private.stripe_instant is 'An instant of a Stripe object; null where there is none.';

create function private.require_stripe_field(p_is_there boolean, p_name text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_is_there is not true then
    perform private.fail(422, 'stripe_field_missing', 'The provider''s answer lacks something that is needed.',
                         format('Look at %s; the API version may have changed.', p_name));
  end if;
end;
$$;
comment on function private.require_stripe_field is 'Refuses what the provider sent without a field that counts: stripe_field_missing 422.';

-- Both shapes: until 2025-03-31 the period was the subscription's, since then it is the item's.
create function private.mirror_subscription(p_subscription jsonb, p_as_of timestamptz, p_event_id text, p_revision bigint, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
  v_id text := p_subscription ->> 'id';
  v_item jsonb := p_subscription #> '{items,data,0}';
  v_status text := p_subscription ->> 'status';
  v_price text := coalesce(private.stripe_id(v_item -> 'price'), private.stripe_id(v_item -> 'plan'), private.stripe_id(p_subscription -> 'plan'));
  v_ends_at timestamptz := private.stripe_instant(coalesce(nullif(p_subscription -> 'current_period_end', 'null'), v_item -> 'current_period_end'));
  v_ended_at timestamptz := private.stripe_instant(p_subscription -> 'ended_at');
  v_mirror public.org_subscriptions;
  v_since timestamptz;
begin
  perform private.require_stripe_field(v_id is not null, 'id'),
          private.require_stripe_field(private.stripe_id(p_subscription -> 'customer') is not null, 'customer'),
          private.require_stripe_field(v_status is not null, 'status'),
          private.require_stripe_field(v_price is not null, 'items.price'),
          private.require_stripe_field(p_subscription ? 'created', 'created'),
          private.require_stripe_field(v_ends_at is not null, 'current_period_end');
  perform private.require_value(v_status in (
    'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused'), 'status');
  select c.org_id into v_org_id from private.billing_customers as c
   where c.stripe_customer_id = private.stripe_id(p_subscription -> 'customer') for no key update;
  if not found then
    perform private.fail(404, 'billing_customer_unknown', 'Nobody here is this customer.', 'Link the customer, or leave the event.');
  end if;

  select s.* into v_mirror from public.org_subscriptions as s where s.org_id = v_org_id and s.stripe_subscription_id = v_id for no key update;
  if found and p_as_of < v_mirror.as_of then
    return 'stale';
  elsif v_mirror.id is not null and p_as_of = v_mirror.as_of and p_event_id is not null then
    if p_event_id = v_mirror.event_id then
      return 'repeated';
    end if;
    perform private.ask_about_subscription(v_org_id, v_mirror.id, p_now);
    -- What has ended does not begin again, so that much is known.
    if v_status not in ('canceled', 'incomplete_expired') then
      return 'refetch';
    end if;
  end if;

  if v_status = 'past_due' then
    v_since := coalesce(v_mirror.past_due_since, p_as_of);
  end if;
  insert into public.org_subscriptions as s (
    org_id, stripe_subscription_id, stripe_price_id, plan, status, started_at, current_period_ends_at, cancels_at, ended_at, past_due_since,
    as_of, event_id, fetched_at)
  values (
    v_org_id, v_id, v_price, (select p.plan from private.plan_prices as p where p.stripe_price_id = v_price), v_status,
    private.stripe_instant(p_subscription -> 'created'), v_ends_at,
    coalesce(private.stripe_instant(p_subscription -> 'cancel_at'),
             case when (p_subscription ->> 'cancel_at_period_end')::boolean then v_ends_at end),
    coalesce(v_ended_at, case when v_status in ('canceled', 'incomplete_expired') then p_as_of end), v_since,
    p_as_of, p_event_id, case when p_event_id is null then p_now end)
  on conflict (org_id, stripe_subscription_id) do update
     set (stripe_price_id, plan, status, current_period_ends_at, cancels_at, ended_at, past_due_since, as_of, event_id, updated_at)
       = (excluded.stripe_price_id, excluded.plan, excluded.status, excluded.current_period_ends_at, excluded.cancels_at, excluded.ended_at,
          excluded.past_due_since, excluded.as_of, excluded.event_id, p_now),
         fetched_at = coalesce(excluded.fetched_at, s.fetched_at),
         fetch_error = case when excluded.fetched_at is null then s.fetch_error end,
         -- An answer settles what was open when it was asked for, and not what came since.
         refetch_at = case when excluded.fetched_at is not null and s.revision = p_revision then null else s.refetch_at end;
  return 'mirrored';
end;
$$;
comment on function private.mirror_subscription is
  'Writes what the provider says of a subscription at a moment: mirrored, stale (something later is known), repeated, or refetch (something else was said of that second). p_event_id null: it was asked for, with the revision at that time. Fails: billing_customer_unknown 404, stripe_field_missing 422, value_not_allowed 422.';

create function private.ask_about_subscription(p_org_id uuid, p_id uuid, p_now timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.org_subscriptions as s
     set refetch_at = least(s.refetch_at, p_now), revision = s.revision + 1
   where s.org_id = p_org_id and s.id = p_id;
$$;
comment on function private.ask_about_subscription is 'Has the provider asked about a subscription by the next sweep.';

-- Effects of the platform account's events; what comes from a connected account is the organisation's own matter and never reaches this.
create function private.apply_platform_event(p_event jsonb, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_type text := p_event ->> 'type';
  v_object jsonb := p_event #> '{data,object}';
  v_subscription_id text;
  v_mirror public.org_subscriptions;
begin
  if v_type like 'customer.subscription.%' and v_type <> 'customer.subscription.trial_will_end' then
    perform private.require_stripe_field(p_event ? 'created', 'created');
    return private.mirror_subscription(v_object, private.stripe_instant(p_event -> 'created'), p_event ->> 'id', null, p_now);
  elsif v_type in ('invoice.paid', 'invoice.payment_failed') then
    -- The subscription's own event says what became of it; this one notices when that event is missing.
    v_subscription_id := private.stripe_id(coalesce(nullif(v_object -> 'subscription', 'null'),
                                                    v_object #> '{parent,subscription_details,subscription}'));
    select s.* into v_mirror
      from private.billing_customers as c
      join public.org_subscriptions as s on s.org_id = c.org_id and s.stripe_subscription_id = v_subscription_id
     where c.stripe_customer_id = private.stripe_id(v_object -> 'customer');
    if not found then
      return 'ignored';
    end if;
    if (v_mirror.status in ('active', 'trialing')) <> (v_type = 'invoice.paid') then
      perform private.ask_about_subscription(v_mirror.org_id, v_mirror.id, p_now);
      return 'refetch';
    end if;
    return 'agreed';
  end if;
  return 'ignored';
end;
$$;
comment on function private.apply_platform_event is
  'The effect of an event of the platform''s own account: mirrored, stale, repeated, refetch, agreed or ignored. Fails as mirror_subscription does; the event is then kept with its error and can be replayed.';
