-- Capturing: what a form of an organisation's website and the page of a referral link leave behind. Anonymous and rate-limited, so
-- refusals that count are returned, not raised (private.refusal).

-- One person's open lead: their second question is noted on the first, and said to be so.
create function private.capture_lead(
  p_org_id uuid, p_source text, p_name text, p_email text, p_phone text, p_message text, p_services text[], p_referral_code text, p_referral_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_phone text := private.e164(p_phone, private.phone_region(p_org_id));
  v_id uuid;
begin
  -- The same person in two tabs queues here; by name of what identifies them, in one order.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(k.key, 3))
     from (select p_org_id::text || x as key from unnest(array[p_email, v_phone]) as x where x is not null order by 1) as k;
  select i.id into v_id
    from public.inquiries as i
   where i.org_id = p_org_id and i.status in ('NEW', 'CONTACTED', 'BOOKED') and (lower(i.email) = p_email or i.phone_e164 = v_phone)
   order by lower(i.email) = p_email desc, i.created_at limit 1
     for no key update;
  if found then
    -- What they ask is added; an hour's repetitions of one question are one.
    insert into public.inquiry_events (org_id, inquiry_id, kind, status, message)
    select i.org_id, i.id, 'repeated', i.status, p_message
      from public.inquiries as i
     where i.org_id = p_org_id and i.id = v_id
       and not exists (select from public.inquiry_events as e
                        where e.org_id = i.org_id and e.inquiry_id = i.id and e.happened_at > now() - interval '1 hour'
                          and e.kind in ('received', 'repeated') and e.message is not distinct from p_message);
    update public.inquiries as i
       set referral_id = coalesce(i.referral_id, p_referral_id), referral_code = coalesce(i.referral_code, p_referral_code),
           email = coalesce(nullif(i.email, ''), p_email), phone = coalesce(nullif(i.phone, ''), p_phone)
     where i.org_id = p_org_id and i.id = v_id;
    return private.outcome('known', jsonb_build_object('inquiry_id', v_id));
  end if;
  insert into public.inquiries (org_id, source, name, email, phone, message, services_interested, referral_code, referral_id)
  values (p_org_id, p_source, p_name, p_email, p_phone, p_message, p_services, p_referral_code, p_referral_id)
  returning id into v_id;
  return private.outcome('captured', jsonb_build_object('inquiry_id', v_id));
end;
$$;
comment on function private.capture_lead is
  'Adds a lead, or notes the question on the person''s open one: {outcome: captured | known, inquiry_id}. What is given is clean.';

create function private.require_lead(p_name text, p_email text, p_phone text, p_message text, p_services text[])
returns void
language plpgsql immutable security definer set search_path = ''
as $$
begin
  perform private.require_value(coalesce(char_length(p_name) between 1 and 200, false), 'name');
  perform private.require_value(coalesce(char_length(p_email) <= 320 and p_email ~ '^[^@\s<>"]+@[^@\s<>"]+\.[^@\s<>"]+$', p_email is null), 'email');
  perform private.require_value(coalesce(char_length(p_phone) <= 40 and p_phone ~ '^[0-9+() ./-]*$' and p_phone ~ '[0-9]', p_phone is null), 'phone');
  perform private.require_value(p_email is not null or p_phone is not null, 'email');
  perform private.require_value(coalesce(char_length(p_message), 0) <= 5000, 'message');
  perform private.require_value(coalesce(cardinality(p_services), 0) <= 20, 'services');
  perform private.require_value(not exists (select from unnest(p_services) as s where char_length(s) > 200), 'services');
end;
$$;
comment on function private.require_lead is 'Refuses what no form should send: value_not_allowed 422.';

create function private.capture_inquiry(
  p_org_slug text, p_name text, p_email text, p_phone text, p_message text, p_source text, p_services text[])
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_org_slug);
  v_org public.orgs := v_page.org;
  v_name text := private.clean_line(p_name);
  v_email text := lower(private.clean_line(p_email));
  v_phone text := private.clean_line(p_phone);
  v_message text := private.clean_text(p_message);
  v_services text[] := (select array_agg(private.clean_line(s)) from unnest(p_services) as s where private.clean_line(s) is not null);
begin
  if v_page.refusal is not null then
    return v_page.refusal;
  elsif not private.is_within_rate('capture', private.caller_address() || '/' || v_org.id, 10, '10 minutes')
     or not private.is_within_rate('capture_org', v_org.id::text, 300, '1 hour') then
    return private.rate_limited();
  end if;
  perform private.require_lead(v_name, v_email, v_phone, v_message, v_services);
  return private.capture_lead(
    v_org.id, case when p_source in ('website', 'instagram', 'facebook', 'referral', 'other') then p_source when p_source is null then 'website' else 'other' end,
    v_name, v_email, v_phone, v_message, v_services, null, null);
end;
$$;
comment on function private.capture_inquiry is
  'Takes in what somebody asks through a form. Fails: page_not_found 404, rate_limited 429, value_not_allowed 422.';

-- The link a code leads to; null when it leads to none that is open, which is counted.
create function private.open_referral_link(p_code text, out link public.referral_links, out refusal jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  select l.* into link
    from private.referral_codes as c
    join public.referral_links as l on l.org_id = c.org_id and l.id = c.referral_link_id
   where c.code = lower(btrim(p_code)) and l.is_active and coalesce(l.expires_at > now(), true);
  if link.id is null then
    refusal := case when private.is_within_rate('referral_miss', private.caller_address(), 30, '10 minutes')
                    then private.refusal(404, 'referral_not_found', 'This link does not work any more.', 'Ask for a new link.')
                    else private.rate_limited() end;
  elsif not private.is_within_rate('referral', private.caller_address() || '/' || link.id, 60, '1 minute') then
    refusal := private.rate_limited();
  end if;
end;
$$;
comment on function private.open_referral_link is 'The open link of a code, or the refusal to answer: referral_not_found 404, rate_limited 429.';

-- A visitor is who the page says (an id it keeps), else where they call from. An address is several visitors a day at most.
create function private.referral_page(p_code text, p_visitor_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_found record := private.open_referral_link(p_code);
  v_link public.referral_links := v_found.link;
  v_visitor bytea := sha256(convert_to(coalesce(p_visitor_id::text, private.caller_address()), 'UTF8'));
begin
  if v_found.refusal is not null then
    return v_found.refusal;
  end if;
  if private.is_within_rate('referral_click', private.caller_address() || '/' || v_link.id, 20, '1 day') then
    with clicked as (
      insert into private.referral_clicks (org_id, referral_link_id, visitor_hash) values (v_link.org_id, v_link.id, v_visitor)
      on conflict (org_id, referral_link_id, visitor_hash) do nothing
      returning 1)
    update public.referral_links as l set clicks = l.clicks + 1
     where l.org_id = v_link.org_id and l.id = v_link.id and exists (select from clicked);
  end if;
  return (
    select jsonb_build_object(
      'code', v_link.code, 'name', v_link.name, 'description', v_link.description,
      'reward_type', v_link.reward_type, 'reward_value', v_link.reward_value, 'expires_at', v_link.expires_at,
      'org_name', o.name, 'org_slug', o.slug,
      'branding', (select jsonb_build_object('display_name', b.display_name, 'primary_color', b.primary_color, 'logo_url', b.logo_url)
                     from public.branding as b where b.org_id = o.id),
      'offers', (select coalesce(jsonb_agg(jsonb_build_object(
                          'id', f.id, 'name', f.name, 'description', f.description, 'price_cents', f.price_cents, 'currency', f.currency,
                          'session_count', f.session_count, 'duration_minutes', f.duration_minutes) order by f.sort_order, f.price_cents, f.id), '[]')
                   from public.offers as f where f.org_id = o.id and f.is_active))
      from public.orgs as o where o.id = v_link.org_id);
end;
$$;
comment on function private.referral_page is 'What the page of a referral link shows; counts the visitor once.';

-- Whoever refers themselves, or was a client before, is a lead like any other and no referral.
create function private.refer(
  p_code text, p_name text, p_email text, p_phone text, p_message text, p_services text[], p_referred_by text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_found record := private.open_referral_link(p_code);
  v_link public.referral_links := v_found.link;
  v_name text := private.clean_line(p_name);
  v_email text := lower(private.clean_line(p_email));
  v_phone text := private.clean_line(p_phone);
  v_message text := private.clean_text(p_message);
  v_services text[] := (select array_agg(private.clean_line(s)) from unnest(p_services) as s where private.clean_line(s) is not null);
  v_phone_e164 text;
  v_referral_id uuid;
begin
  if v_found.refusal is not null then
    return v_found.refusal;
  elsif not private.is_within_rate('capture', private.caller_address() || '/' || v_link.org_id, 10, '10 minutes')
     or not private.is_within_rate('capture_org', v_link.org_id::text, 300, '1 hour') then
    return private.rate_limited();
  end if;
  perform private.require_lead(v_name, v_email, v_phone, v_message, v_services);
  perform private.require_value(v_email is not null, 'email');
  v_phone_e164 := private.e164(v_phone, private.phone_region(v_link.org_id));

  if not exists (select from public.clients as c
                  where c.org_id = v_link.org_id and (lower(c.email) = v_email or c.phone_e164 = v_phone_e164)) then
    insert into public.referrals (org_id, referral_link_id, referrer_client_id, referred_email, referred_name, status, signed_up_at)
    values (v_link.org_id, v_link.id,
            (select c.id from public.clients as c where c.org_id = v_link.org_id and c.referral_code = upper(btrim(p_referred_by)) limit 1),
            v_email, v_name, 'signed_up', now())
    on conflict (org_id, referral_link_id, lower(referred_email)) do nothing
    returning id into v_referral_id;
    if v_referral_id is not null then
      update public.referral_links as l set signups = l.signups + 1 where l.org_id = v_link.org_id and l.id = v_link.id;
    else
      select r.id into v_referral_id
        from public.referrals as r
       where r.org_id = v_link.org_id and r.referral_link_id = v_link.id and lower(r.referred_email) = v_email;
    end if;
  end if;
  return private.capture_lead(v_link.org_id, 'referral', v_name, v_email, v_phone, v_message, v_services, v_link.code, v_referral_id);
end;
$$;
comment on function private.refer is
  'Takes in somebody who came by a referral link, and counts the sign-up once: as capture_inquiry. Fails: referral_not_found 404, rate_limited 429, value_not_allowed 422.';
