-- Webhooks: a post is lent to a worker for a lease and tried until it is taken or expires. A receiver may see one twice (a worker
-- died between the answer and its record) and knows it by its id.

-- An endpoint that could not be reached rests, and is then asked by one post alone.
create function private.claim_webhooks(p_worker text, p_limit integer, p_lease interval, p_now timestamptz)
returns table (org_id uuid, id uuid, claim uuid, attempt_number integer, url text, secret_encrypted text, payload jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.finish_webhook(x.org_id, x.id, 'failed', 'expired', p_now)
     from (select d.org_id, d.id from public.webhook_deliveries as d
            where d.status in ('pending', 'sending') and d.next_at <= p_now and d.expires_at <= p_now
            order by d.next_at limit p_limit for update skip locked) as x;
  return query
  with ready as materialized (
    select d.org_id, d.id, e.url, e.secret_encrypted
      from public.webhook_deliveries as d
      join public.webhook_endpoints as e on e.org_id = d.org_id and e.id = d.endpoint_id
     where d.status in ('pending', 'sending') and d.next_at <= p_now and d.expires_at > p_now
       and e.is_active and coalesce(e.rests_until, '-infinity') <= p_now
       -- One asks whether it is back; when it is, all go.
       and (e.failures = 0 or d.id = (
             select x.id from public.webhook_deliveries as x
              where x.org_id = d.org_id and x.endpoint_id = d.endpoint_id and x.status in ('pending', 'sending') and x.next_at <= p_now
              order by x.next_at, x.id limit 1))
       and d.org_id <> all (private.braked_orgs('automations')) and not private.is_braked('automations')
     order by d.next_at
     limit p_limit
       for update of d skip locked)
  update public.webhook_deliveries as d
     set status = 'sending', claim = gen_random_uuid(), worker = p_worker, attempts = d.attempts + 1, next_at = p_now + p_lease
    from ready as r
   where d.org_id = r.org_id and d.id = r.id
  returning d.org_id, d.id, d.claim, d.attempts, r.url, r.secret_encrypted, d.payload;
end;
$$;
comment on function private.claim_webhooks is 'Lends at most so many posts that are due, each for as long as the lease.';

create function private.finish_webhook(p_org_id uuid, p_id uuid, p_status text, p_error_code text, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_delivery public.webhook_deliveries;
begin
  update public.webhook_deliveries as d
     set status = p_status, claim = null, error_code = p_error_code, delivered_at = case when p_status = 'ok' then p_now end
   where d.org_id = p_org_id and d.id = p_id
  returning d.* into v_delivery;
  perform private.settle_action(p_org_id, v_delivery.run_id, v_delivery.action_index, p_status, p_error_code);
end;
$$;
comment on function private.finish_webhook is 'Ends a post, and tells its automation''s run.';

create function private.tg_webhook_endpoints__fail_waiting()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.finish_webhook(d.org_id, d.id, 'failed', 'endpoint_removed', now())
     from public.webhook_deliveries as d
    where d.org_id = old.org_id and d.endpoint_id = old.id and d.status in ('pending', 'sending');
  return old;
end;
$$;
comment on function private.tg_webhook_endpoints__fail_waiting is 'Fails what waits for an endpoint that is removed.';
create trigger webhook_endpoints__fail_waiting before delete on public.webhook_endpoints
  for each row execute function private.tg_webhook_endpoints__fail_waiting();

-- Pauses double: of an endpoint that is away from half a minute to an hour, of a post that is refused from a minute to six hours,
-- eight times at most. Tries that were under way together lengthen an endpoint's rest once.
create function private.record_webhooks(p_results jsonb, p_now timestamptz, out recorded integer, out stale integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_result record;
  v_delivery public.webhook_deliveries;
  v_rests_until timestamptz;
begin
  recorded := 0;
  stale := 0;
  -- In one order, so that two workers' reports cannot wait for each other.
  for v_result in
    select r.* from jsonb_to_recordset(p_results) as r (
      org_id uuid, id uuid, claim uuid, outcome text, http_status integer, error_code text, is_away boolean, retry_after_secs integer)
     order by r.org_id, r.id
  loop
    update public.webhook_deliveries as d set http_status = v_result.http_status, error_code = v_result.error_code
     where d.org_id = v_result.org_id and d.id = v_result.id and d.claim = v_result.claim and d.status = 'sending'
    returning d.* into v_delivery;
    if not found then
      stale := stale + 1;
      continue;
    end if;
    recorded := recorded + 1;
    if v_result.outcome = 'ok' then
      perform private.finish_webhook(v_delivery.org_id, v_delivery.id, 'ok', null, p_now);
      update public.webhook_endpoints as e set failures = 0, rests_until = null
       where e.org_id = v_delivery.org_id and e.id = v_delivery.endpoint_id and e.failures > 0;
    elsif v_result.outcome = 'failed' or not coalesce(v_result.is_away, false) and v_delivery.attempts >= 8 then
      perform private.finish_webhook(v_delivery.org_id, v_delivery.id, 'failed', v_result.error_code, p_now);
    else
      if v_result.is_away then
        update public.webhook_endpoints as e
           set failures = e.failures + 1,
               rests_until = p_now + greatest(least(interval '30 seconds' * power(2, least(e.failures, 7)), interval '1 hour'),
                                              make_interval(secs => least(coalesce(v_result.retry_after_secs, 0), 21600)))
         where e.org_id = v_delivery.org_id and e.id = v_delivery.endpoint_id and coalesce(e.rests_until, '-infinity') <= p_now;
        select e.rests_until into v_rests_until from public.webhook_endpoints as e
         where e.org_id = v_delivery.org_id and e.id = v_delivery.endpoint_id;
      end if;
      update public.webhook_deliveries as d
         set status = 'pending', claim = null,
             next_at = case when v_result.is_away then v_rests_until
                            else p_now + least(interval '1 minute' * power(2, d.attempts - 1), interval '6 hours') end
       where d.org_id = v_delivery.org_id and d.id = v_delivery.id;
    end if;
  end loop;
end;
$$;
comment on function private.record_webhooks is 'Keeps what became of posts; a report whose claim has passed to another worker is stale.';

create function private.add_webhook_endpoint(p_org_id uuid, p_name text, p_url text, p_secret_encrypted text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_value(char_length(btrim(p_name)) between 1 and 200, 'name');
  perform private.require_value(p_url ~ '^https?://[^\s@/?#]+([/?][^\s#]*)?$' and char_length(p_url) <= 2000, 'url');
  perform private.require_value(char_length(p_secret_encrypted) between 1 and 2000, 'secret');
  insert into public.webhook_endpoints (org_id, name, url, secret_encrypted) values (p_org_id, btrim(p_name), p_url, p_secret_encrypted)
  returning id into v_id;
  return v_id;
end;
$$;
comment on function private.add_webhook_endpoint is 'Adds where webhook actions post to. Fails: value_not_allowed 422.';

create function private.refuse_endpoint()
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform private.fail(404, 'webhook_endpoint_not_found', 'There is no such endpoint.', 'List the endpoints.');
end;
$$;
comment on function private.refuse_endpoint is 'Refuses an endpoint that is not there: webhook_endpoint_not_found 404.';
