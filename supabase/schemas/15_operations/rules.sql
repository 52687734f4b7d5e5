-- Operations rules: what other tables attach to (auditing of their writes), alerts, and who calls how often.

create function private.is_platform_admin()
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.platform_admins as a where a.user_id = (select auth.uid()));
$$;
comment on function private.is_platform_admin is 'True when the signed-in person runs the platform.';

-- Arguments: columns whose change is no change of a rule (counters, timestamps).
create function private.tg__audit()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_row jsonb := coalesce(v_new, v_old);
  v_changed text[];
begin
  select coalesce(array_agg(k order by k), '{}') into v_changed
    from jsonb_object_keys(v_row) as k
   where tg_op = 'UPDATE' and v_new -> k is distinct from v_old -> k and k <> all (tg_argv::text[] || '{updated_at}'::text[]);
  if tg_op = 'UPDATE' then
    if v_changed = '{}' then
      return null;
    end if;
    select jsonb_object_agg(c.name, v_old -> c.name), jsonb_object_agg(c.name, v_new -> c.name)
      into v_old, v_new from unnest(v_changed) as c (name);
  end if;
  perform private.write_audit(
    (case tg_table_name when 'orgs' then v_row ->> 'id' else v_row ->> 'org_id' end)::uuid, lower(tg_op), tg_table_name,
    coalesce(v_row ->> 'id', v_row ->> 'org_id')::uuid, v_changed, v_old, v_new, null, null);
  return null;
end;
$$;
comment on function private.tg__audit is
  'Writes one audit row for an insert, update or delete: the names of the changed columns, and the values that may be kept.';

create trigger audit_log__append_only before update or delete on public.audit_log
  for each row execute function private.tg__append_only();
create trigger audit_log__no_truncate before truncate on public.audit_log
  for each statement execute function private.tg__append_only();

create trigger platform_audit_log__append_only before update or delete on private.platform_audit_log
  for each row execute function private.tg__append_only();
create trigger platform_audit_log__no_truncate before truncate on private.platform_audit_log
  for each statement execute function private.tg__append_only();

create trigger orgs__audit after insert or update on public.orgs
  for each row execute function private.tg__audit();
-- A support membership comes and goes with its access, whose own row says why.
create trigger org_members__audit after insert or update on public.org_members
  for each row when (new.role <> 'support') execute function private.tg__audit();
create trigger org_members__audit_end after delete on public.org_members
  for each row when (old.role <> 'support') execute function private.tg__audit();
create trigger branding__audit after insert or update or delete on public.branding
  for each row execute function private.tg__audit();
create trigger offers__audit after insert or update or delete on public.offers
  for each row execute function private.tg__audit();
create trigger promo_codes__audit after insert or update or delete on public.promo_codes
  for each row execute function private.tg__audit('times_used');
create trigger booking_settings__audit after insert or update or delete on public.booking_settings
  for each row execute function private.tg__audit();
create trigger session_types__audit after insert or update or delete on public.session_types
  for each row execute function private.tg__audit();

create function private.raise_alert(
  p_org_id uuid, p_kind text, p_client_id uuid, p_purchase_id uuid, p_booking_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into public.alerts (org_id, kind, client_id, purchase_id, booking_id)
  select p_org_id, p_kind, p_client_id, p_purchase_id, p_booking_id
   where p_booking_id is not null
      or not exists (select from public.alerts as a
                      where a.org_id = p_org_id and a.kind = p_kind and a.booking_id is null and a.resolved_at is null
                        and (a.client_id, a.purchase_id) is not distinct from (p_client_id, p_purchase_id))
  on conflict do nothing;
$$;
comment on function private.raise_alert is 'Tells the organisation something once; repeating it while it is open adds nothing.';

-- Counts a call and says whether it is still within the limit of its window. A refused call counts too, so a caller who is
-- refused must not raise: raising would take the count back (see private.refusal).
create function private.is_within_rate(p_bucket text, p_key text, p_limit integer, p_window interval)
returns boolean
language sql volatile security definer set search_path = ''
as $$
  insert into private.rate_limits as r (bucket, key_hash, window_started_at)
  values (p_bucket, sha256(convert_to(coalesce(p_key, ''), 'UTF8')),
          to_timestamp(floor(extract(epoch from now()) / extract(epoch from p_window)) * extract(epoch from p_window)))
  on conflict (bucket, key_hash, window_started_at) do update set hits = r.hits + 1
  returning r.hits <= p_limit;
$$;
comment on function private.is_within_rate is 'Counts one call of a key in a bucket; false once there are more than p_limit in the window.';

-- Who calls, as far as it can be told. In x-forwarded-for each proxy appends whom it was called by, and callers write what they like
-- before that: the first counts from our own service alone, which has checked it. The hosted platform's edge says it in
-- cf-connecting-ip, whatever a caller sent there.
create function private.caller_address()
returns text
language sql stable security invoker set search_path = ''
as $$
  select btrim(coalesce(
           case when auth.role() = 'service_role' then split_part(h.forwarded, ',', 1) else h.edge end,
           split_part(h.forwarded, ',', -1), ''))
    from (select x.headers ->> 'x-forwarded-for' as forwarded, x.headers ->> 'cf-connecting-ip' as edge
            from (select nullif(current_setting('request.headers', true), '')::json as headers) as x) as h;
$$;
comment on function private.caller_address is
  'The caller''s address: the service''s word for it, else the edge''s, else the nearest proxy''s; empty when there is none.';

-- A refusal that must leave its evidence behind: returned, with the status set for the Data API, instead of raised.
create function private.refusal(p_status integer, p_slug text, p_message text, p_hint text)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform set_config('response.status', p_status::text, true);
  return jsonb_build_object('code', 'PT' || p_status, 'message', p_message, 'details', p_slug, 'hint', p_hint);
end;
$$;
comment on function private.refusal is 'A refusal as an answer: {code, message, details: slug, hint}, with the HTTP status set.';

create function private.rate_limited()
returns jsonb
language sql volatile security invoker set search_path = ''
as $$
  select private.refusal(429, 'rate_limited', 'There were too many requests.', 'Try again in a few minutes.');
$$;
comment on function private.rate_limited is 'The answer to a caller who calls too often: rate_limited 429.';
