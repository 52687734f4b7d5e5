-- A provider's limit defers the queue of that provider and account until it resets; no worker waits with work in hand.
-- Whoever claims leaves out what deferred_until tells; whoever is told 429 (or that a provider is away) calls defer_provider.

create function private.defer_provider(p_provider text, p_account text, p_until_at timestamptz, p_reason text default null)
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into private.provider_limits as l (provider, account, until_at, reason)
  values (p_provider, coalesce(p_account, ''), p_until_at, p_reason)
  on conflict (provider, account) do update
    set until_at = greatest(l.until_at, excluded.until_at),
        reason = case when excluded.until_at >= l.until_at then excluded.reason else l.reason end;
$$;
comment on function private.defer_provider is 'Leaves a provider''s account (null: the platform''s) alone until an instant; a shorter pause shortens nothing.';

create function private.deferred_until(p_provider text, p_account text, p_now timestamptz default now())
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select l.until_at from private.provider_limits as l
   where l.provider = p_provider and l.account = coalesce(p_account, '') and l.until_at > p_now;
$$;
comment on function private.deferred_until is 'Until when a provider''s account (null: the platform''s) is left alone; null: it is not.';
