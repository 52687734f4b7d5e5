-- Waivers and onboarding for operators, the service and sweeps.

create function service.list_waivers(p_org_id uuid, p_client_id uuid default null, p_limit integer default 100)
returns table (waiver_id uuid, client_id uuid, client_name text, name text, status text, source text, sent_at timestamptz, signed_at timestamptz, signer_name text, version integer, expires_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select w.id, w.client_id, c.full_name, w.name, w.status, w.source, w.sent_at, w.signed_at, w.signer_name, t.version, w.expires_at
    from public.client_waivers as w
    join public.clients as c on c.org_id = w.org_id and c.id = w.client_id
    left join public.waiver_texts as t on t.org_id = w.org_id and t.id = w.waiver_text_id
   where w.org_id = p_org_id and (p_client_id is null or w.client_id = p_client_id)
   order by w.created_at desc, w.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_waivers is
  'An organisation''s waivers, newest first, with the version that was signed; tokens are not shown. Fails: org_not_found 404.';
revoke all on function service.list_waivers(uuid, uuid, integer) from public, anon, authenticated;
grant execute on function service.list_waivers(uuid, uuid, integer) to service_role;

create function service.show_waiver(p_waiver_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_answer jsonb;
begin
  select jsonb_build_object('waiver_id', w.id, 'org_id', w.org_id, 'client_id', w.client_id, 'name', w.name, 'status', w.status, 'source', w.source,
                            'signed_at', w.signed_at, 'signed_ip', w.signed_ip, 'signer_name', w.signer_name, 'recorded_by', w.recorded_by,
                            'version', t.version, 'text', t.body)
    into v_answer
    from public.client_waivers as w
    left join public.waiver_texts as t on t.org_id = w.org_id and t.id = w.waiver_text_id
   where w.id = p_waiver_id;
  if v_answer is null then
    perform private.fail(404, 'waiver_not_found', 'There is no such waiver.', 'List the waivers.');
  end if;
  return v_answer;
end;
$$;
comment on function service.show_waiver is
  'A waiver as evidence: who signed which text, when and from where. Fails: waiver_not_found 404.';
revoke all on function service.show_waiver(uuid) from public, anon, authenticated;
grant execute on function service.show_waiver(uuid) to service_role;

create function service.notify_onboarded(p_org_id uuid, p_client_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not private.is_within_rate('notify_onboarded', private.caller_address(), 20, '10 minutes') then
    return private.rate_limited();
  end if;
  return private.tell_onboarded(p_org_id, p_client_id);
end;
$$;
comment on function service.notify_onboarded is
  'Texts the coach that a client has filled in the onboarding form, once: {notified, reason: not_onboarded | no_phone}. Anybody may ask: nothing is told but what has just happened. Fails: rate_limited 429.';
revoke all on function service.notify_onboarded(uuid, uuid) from public, anon, authenticated;
grant execute on function service.notify_onboarded(uuid, uuid) to service_role;

create function service.sweep_waivers(
  p_limit integer default 1000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (expired integer, cancelled integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select s.expired, s.cancelled from private.sweep_waivers(p_limit, coalesce(p_now, now()), coalesce(p_dry_run, false)) as s;
end;
$$;
comment on function service.sweep_waivers is
  'Ends the links of waivers that nobody signed in time, at most p_limit (1 to 100000) a call, and lets go of the bookings that waited for them; call again until nothing comes back. A dry run changes nothing. Fails: value_not_allowed 422.';
revoke all on function service.sweep_waivers(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_waivers(integer, timestamptz, boolean) to service_role;
