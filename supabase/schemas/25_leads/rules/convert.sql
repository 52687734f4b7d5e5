-- Converting: a lead becomes a client, once, and what they said before is read where the client is.

create function private.member_inquiry_org(p_inquiry_id uuid, p_permission text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select i.org_id into v_org_id from public.inquiries as i where i.id = p_inquiry_id and i.org_id = any (private.orgs_with('org.read'));
  if not found then
    perform private.refuse_inquiry();
  end if;
  perform private.require_org(v_org_id, p_permission);
  return v_org_id;
end;
$$;
comment on function private.member_inquiry_org is
  'The organisation of a lead in which the signed-in person has the permission. Fails: inquiry_not_found 404, permission_missing 403.';

create function private.inquiry_org(p_inquiry_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select i.org_id into v_org_id from public.inquiries as i where i.id = p_inquiry_id;
  if not found then
    perform private.refuse_inquiry();
  end if;
  return v_org_id;
end;
$$;
comment on function private.inquiry_org is 'The organisation of a lead, for operators. Fails: inquiry_not_found 404.';

-- The row is the lock: the second of two people gets the first one's client.
create function private.convert_inquiry(p_org_id uuid, p_inquiry_id uuid, p_client_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_lead public.inquiries;
  v_client_id uuid := p_client_id;
  v_is_new boolean := false;
begin
  select i.* into v_lead from public.inquiries as i where i.org_id = p_org_id and i.id = p_inquiry_id for no key update;
  if not found then
    perform private.refuse_inquiry();
  elsif v_lead.converted_client_id is not null then
    if p_client_id <> v_lead.converted_client_id then
      perform private.fail(409, 'inquiry_converted', 'This lead is a client already.', 'Open the client.');
    end if;
    return private.outcome('converted', jsonb_build_object('client_id', v_lead.converted_client_id, 'is_new', false, 'was_converted', true));
  end if;

  if p_client_id is not null then
    perform from public.clients as c where c.org_id = p_org_id and c.id = p_client_id;
    if not found then
      perform private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
    end if;
  else
    -- One person once: public_book takes the same lock.
    if v_lead.email <> '' then
      perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_org_id::text || lower(v_lead.email), 1));
    end if;
    -- By email; by phone only where the lead has no email, since families share one.
    select c.id into v_client_id
      from public.clients as c
     where c.org_id = p_org_id
       and case when v_lead.email <> '' then lower(c.email) = lower(v_lead.email) else c.phone_e164 = v_lead.phone_e164 end
     order by c.created_at, c.id limit 1;
    if not found then
      insert into public.clients (org_id, full_name, email, phone, source, referral_id)
      values (p_org_id, v_lead.name, nullif(v_lead.email, ''), nullif(v_lead.phone, ''), 'lead', v_lead.referral_id)
      returning id into v_client_id;
      v_is_new := true;
    end if;
  end if;
  update public.inquiries as i set converted_client_id = v_client_id where i.org_id = p_org_id and i.id = p_inquiry_id;
  return private.outcome('converted', jsonb_build_object('client_id', v_client_id, 'is_new', v_is_new, 'was_converted', false));
end;
$$;
comment on function private.convert_inquiry is
  'Makes a lead a client: {outcome: converted, client_id, is_new, was_converted}; again answers the same client. Fails: inquiry_not_found 404, client_not_found 404, inquiry_converted 409.';

create function private.member_convert_inquiry(p_inquiry_id uuid, p_client_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_inquiry_org(p_inquiry_id, 'leads.write');
begin
  perform private.require_org(v_org_id, 'clients.write');
  return private.convert_inquiry(v_org_id, p_inquiry_id, p_client_id);
end;
$$;
comment on function private.member_convert_inquiry is 'convert_inquiry for a member with leads.write and clients.write.';

-- Everything they wrote, as one note in the client's log: the lead keeps its own history too.
create function private.note_lead(p_lead public.inquiries)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.log_communication(
           p_lead.org_id, p_lead.converted_client_id, 'note', 'inbound',
           'Came as a lead (' || p_lead.source || ')' || coalesce(': ' || string_agg(e.message, e'\n' order by e.happened_at), ''), auth.uid())
    from public.inquiry_events as e
   where e.org_id = p_lead.org_id and e.inquiry_id = p_lead.id and e.message is not null;
$$;
comment on function private.note_lead is 'Writes what a lead had asked into the log of the client they became.';

create function private.inquiry_history(p_org_id uuid, p_inquiry_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
           'inquiry', to_jsonb(i),
           'events', (select coalesce(jsonb_agg(jsonb_build_object(
                               'kind', e.kind, 'status', e.status, 'message', e.message, 'actor_id', e.actor_id, 'happened_at', e.happened_at)
                               order by e.happened_at), '[]')
                        from public.inquiry_events as e where e.org_id = i.org_id and e.inquiry_id = i.id))
    from public.inquiries as i where i.org_id = p_org_id and i.id = p_inquiry_id;
$$;
comment on function private.inquiry_history is 'A lead with what happened to it, oldest first: {inquiry, events}.';

create function private.inquiry_pipeline(p_org_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_object_agg(s.status, jsonb_build_object('count', coalesce(n.count, 0), 'expected_value', coalesce(n.expected_value, 0))), '{}')
    from unnest('{NEW,CONTACTED,BOOKED,WON,LOST}'::text[]) as s (status)
    left join (select i.status, count(*) as count, sum(i.expected_value) as expected_value
                 from public.inquiries as i where i.org_id = p_org_id group by 1) as n on n.status = s.status;
$$;
comment on function private.inquiry_pipeline is 'How many leads stand where, and what they are expected to be worth: {STATUS: {count, expected_value}}.';

create function private.member_inquiry_pipeline(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'leads.read');
  return private.inquiry_pipeline(p_org_id);
end;
$$;
comment on function private.member_inquiry_pipeline is 'inquiry_pipeline for a member with leads.read.';
