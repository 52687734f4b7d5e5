-- Signing by a link: anonymous and rate-limited, so refusals that count are returned, not raised (private.refusal). A link is used once.
-- Lock order: client, waiver, then booking.

create function private.waiver_by_token(p_token text, out waiver public.client_waivers, out refusal jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_token ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    select w.* into waiver from public.client_waivers as w where w.token = p_token::uuid limit 1;
  end if;
  if waiver.id is null then
    refusal := private.refuse_link('waiver_miss');
  elsif not private.is_within_rate('waiver', waiver.id::text, 60, '10 minutes') then
    refusal := private.rate_limited();
  elsif waiver.status = 'expired' or waiver.status = 'sent' and waiver.expires_at <= now() then
    refusal := private.refusal(410, 'link_expired', 'This link has ended.', 'Ask your coach for a new link.');
  end if;
end;
$$;
comment on function private.waiver_by_token is
  'The waiver a link opens, or the refusal to answer: link_not_found 404, link_expired 410, rate_limited 429.';

-- One bucket for all links of a kind: whoever guesses is stopped after twenty.
create function private.refuse_link(p_bucket text)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select case when private.is_within_rate(p_bucket, private.caller_address(), 20, '10 minutes')
              then private.refusal(404, 'link_not_found', 'This link does not work any more.', 'Ask your coach for a new link.')
              else private.rate_limited() end;
$$;
comment on function private.refuse_link is 'Counts a link that opens nothing and answers it: link_not_found 404, rate_limited 429.';

create function private.org_document(p_org_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
           'org_id', o.id, 'org_name', o.name,
           'branding', (select jsonb_build_object('display_name', b.display_name, 'primary_color', b.primary_color, 'logo_url', b.logo_url)
                          from public.branding as b where b.org_id = o.id))
    from public.orgs as o where o.id = p_org_id;
$$;
comment on function private.org_document is 'What a page of a link shows of its organisation: {org_id, org_name, branding}.';

create function private.waiver_form(p_token text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_found record := private.waiver_by_token(p_token);
  v_waiver public.client_waivers := v_found.waiver;
  v_text public.waiver_texts;
begin
  if v_found.refusal is not null then
    return v_found.refusal;
  end if;
  if v_waiver.status = 'signed' then
    select t.* into v_text from public.waiver_texts as t where t.org_id = v_waiver.org_id and t.id = v_waiver.waiver_text_id;
  else
    v_text := private.waiver_text_of(v_waiver.org_id);
  end if;
  return private.org_document(v_waiver.org_id) || jsonb_build_object(
    'name', v_waiver.name, 'status', v_waiver.status, 'expires_at', v_waiver.expires_at, 'signed_at', v_waiver.signed_at,
    'signer_name', v_waiver.signer_name, 'version', v_text.version, 'text', v_text.body,
    'client', case when v_waiver.status = 'sent' then (
      select jsonb_build_object('full_name', c.full_name, 'email', c.email, 'phone', c.phone, 'date_of_birth', c.date_of_birth,
                                'address_line1', c.address_line1, 'address_line2', c.address_line2, 'city', c.city, 'state', c.state,
                                'postcode', c.postcode)
        from public.clients as c where c.org_id = v_waiver.org_id and c.id = v_waiver.client_id) end);
end;
$$;
comment on function private.waiver_form is 'What the signing page shows.';

-- What is read is what is signed: the page says which version it showed.
create function private.require_waiver_text(p_org_id uuid, p_version integer)
returns public.waiver_texts
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_text public.waiver_texts := private.waiver_text_of(p_org_id);
begin
  if v_text.id is null then
    perform private.fail(409, 'waiver_text_missing', 'There is no waiver to sign.', 'Write its text in the settings first.');
  elsif v_text.version is distinct from p_version then
    perform private.fail(409, 'waiver_changed', 'The text has changed since this page was opened.', 'Read it again, then sign.');
  end if;
  return v_text;
end;
$$;
comment on function private.require_waiver_text is 'The text that is signed now, if it is this version. Fails: waiver_text_missing 409, waiver_changed 409.';

-- One signature is enough: what else waited for one is over, and every booking that did is confirmed.
create function private.settle_signature(p_org_id uuid, p_client_id uuid, p_waiver_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_bookings uuid[];
  v_confirmed integer;
begin
  with over as (
    update public.client_waivers as w
       set status = 'expired'
     where w.org_id = p_org_id and w.client_id = p_client_id and w.status = 'sent' and w.id <> p_waiver_id
    returning w.booking_id)
  select array_agg(x.booking_id) into v_bookings
    from (select o.booking_id from over as o
          union all
          select w.booking_id from public.client_waivers as w where w.org_id = p_org_id and w.id = p_waiver_id) as x
   where x.booking_id is not null;
  update public.bookings as b
     set status = 'confirmed'
   where b.org_id = p_org_id and b.id = any (v_bookings) and b.status = 'pending' and b.start_time > now();
  get diagnostics v_confirmed = row_count;
  return v_confirmed;
end;
$$;
comment on function private.settle_signature is 'Confirms the bookings that waited for a client''s signature and returns how many.';

create function private.sign_waiver(p_token text, p_signer_name text, p_version integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_found record := private.waiver_by_token(p_token);
  v_waiver public.client_waivers := v_found.waiver;
  v_signer text := private.clean_line(p_signer_name);
  v_text public.waiver_texts;
  v_confirmed integer := 0;
begin
  if v_found.refusal is not null then
    return v_found.refusal;
  end if;
  perform private.require_value(coalesce(char_length(v_signer) between 2 and 200, false), 'signer_name');
  -- The client's row is the lock of all their waivers: two tabs, or two links, queue here.
  perform from public.clients as c where c.org_id = v_waiver.org_id and c.id = v_waiver.client_id for no key update;
  select w.* into v_waiver from public.client_waivers as w where w.org_id = v_waiver.org_id and w.id = v_waiver.id for no key update;
  if v_waiver.status = 'signed' then
    select t.* into v_text from public.waiver_texts as t where t.org_id = v_waiver.org_id and t.id = v_waiver.waiver_text_id;
    if (v_waiver.signer_name, v_text.version) is distinct from (v_signer, p_version) then
      perform private.fail(409, 'waiver_signed', 'This waiver is signed.', 'There is nothing more to do.');
    end if;
  elsif v_waiver.status = 'expired' then
    return private.refusal(410, 'link_expired', 'This link has ended.', 'Ask your coach for a new link.');
  else
    v_text := private.require_waiver_text(v_waiver.org_id, p_version);
    update public.client_waivers as w
       set status = 'signed', signed_at = now(), signed_ip = nullif(private.caller_address(), ''), signer_name = v_signer,
           waiver_text_id = v_text.id
     where w.org_id = v_waiver.org_id and w.id = v_waiver.id
    returning w.* into v_waiver;
    v_confirmed := private.settle_signature(v_waiver.org_id, v_waiver.client_id, v_waiver.id);
    perform private.log_communication(v_waiver.org_id, v_waiver.client_id, 'note', 'inbound', 'Waiver signed: ' || v_waiver.name, null);
  end if;
  return private.outcome('signed', jsonb_build_object('signed_at', v_waiver.signed_at, 'version', v_text.version, 'bookings_confirmed', v_confirmed));
end;
$$;
comment on function private.sign_waiver is
  'Signs by a link, once: {outcome: signed, signed_at, version, bookings_confirmed}; the same signer again is answered so too.';

-- Twice within a minute is once. A link that is open stays so: whoever has it may sign by it.
create function private.member_send_waiver(p_client_id uuid, p_name text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'clients.write');
  v_waiver public.client_waivers;
  v_path text;
  v_url text;
  v_answer jsonb;
begin
  perform private.refuse_support_access(v_org_id);
  perform private.require_value(char_length(private.clean_line(coalesce(p_name, 'Waiver'))) between 1 and 200, 'name');
  if (private.waiver_text_of(v_org_id)).id is null then
    perform private.fail(409, 'waiver_text_missing', 'There is no waiver to sign.', 'Write its text in the settings first.');
  end if;
  perform from public.clients as c where c.org_id = v_org_id and c.id = p_client_id for no key update;
  select w.* into v_waiver
    from public.client_waivers as w
   where w.org_id = v_org_id and w.client_id = p_client_id and w.status = 'sent' and w.sent_at > now() - interval '1 minute' and w.expires_at > now()
     and w.name = private.clean_line(coalesce(p_name, 'Waiver')) limit 1;
  if not found then
    insert into public.client_waivers (org_id, client_id, name) values (v_org_id, p_client_id, private.clean_line(coalesce(p_name, 'Waiver')))
    returning * into v_waiver;
  end if;
  v_path := '/sign-waiver/' || v_waiver.token;
  v_url := private.app_link(v_path);
  v_answer := case when v_url is null then private.outcome('off') else private.send_to_client(
    v_org_id, p_client_id, 'waiver_link', null, null, jsonb_build_object('link', v_url), null, null, null, 'waiver_link-' || v_waiver.id, auth.uid()) end;
  return jsonb_build_object('waiver_id', v_waiver.id, 'token', v_waiver.token, 'signing_url', coalesce(v_url, v_path),
                            'expires_at', v_waiver.expires_at, 'sms_sent', v_answer ->> 'outcome' = 'queued', 'outcome', v_answer ->> 'outcome');
end;
$$;
comment on function private.member_send_waiver is
  'Makes a waiver for a client and texts its link: {waiver_id, token, signing_url, expires_at, sms_sent, outcome}. Fails: client_not_found 404, waiver_text_missing 409.';

-- The public page books for somebody who has only named themselves: the link goes to the email that they gave, which alone shows that
-- it is theirs. Here, so that every rule that makes such a booking asks.
create function private.tg_bookings__ask_waiver()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_waiver public.client_waivers;
begin
  if (private.waiver_text_of(new.org_id)).id is null then
    return null;
  end if;
  insert into public.client_waivers (org_id, client_id, source, booking_id, expires_at)
  values (new.org_id, new.client_id, 'public_page', new.id, least(new.start_time, now() + interval '48 hours'))
  returning * into v_waiver;
  if private.app_link('') is not null then
    perform private.queue_message(
      new.org_id, 'email', 'waiver_link', new.client_id, 'waiver_link-' || v_waiver.id, new.id, p_expires_at => v_waiver.expires_at,
      p_metadata => jsonb_build_object('link', private.app_link('/sign-waiver/' || v_waiver.token)));
  end if;
  return null;
end;
$$;
comment on function private.tg_bookings__ask_waiver is 'Asks for the signature that a booking of the public page waits for.';
create trigger bookings__ask_waiver after insert on public.bookings
  for each row when (new.status = 'pending' and new.booking_source = 'client' and new.start_time > now()
                     and current_user not in ('anon', 'authenticated', 'service_role'))
  execute function private.tg_bookings__ask_waiver();

-- A link that nobody used in time; the booking that waited for it lets its time go.
create function private.sweep_waivers(p_limit integer, p_now timestamptz, p_dry_run boolean)
returns table (expired integer, cancelled integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_waiver record;
begin
  expired := 0;
  cancelled := 0;
  for v_waiver in
    select w.org_id, w.id, w.booking_id, b.status as booking_status
      from public.client_waivers as w
      left join public.bookings as b on b.org_id = w.org_id and b.id = w.booking_id
     where w.status = 'sent' and w.expires_at <= p_now
     order by w.expires_at limit p_limit for no key update of w skip locked
  loop
    expired := expired + 1;
    cancelled := cancelled + (v_waiver.booking_status is not distinct from 'pending')::integer;
    continue when p_dry_run;
    update public.client_waivers as w set status = 'expired' where w.org_id = v_waiver.org_id and w.id = v_waiver.id;
    if v_waiver.booking_status = 'pending' then
      perform private.cancel_booking(v_waiver.org_id, v_waiver.booking_id, 'The waiver was not signed in time.', false, null, p_now);
    end if;
  end loop;
  return next;
end;
$$;
comment on function private.sweep_waivers is 'Ends links of waivers that ran out, and lets go of the bookings that waited for them.';
