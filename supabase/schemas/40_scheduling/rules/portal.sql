-- The portal and the public page: what a client may do with the token of their link, and anybody with an organisation's slug.
-- Anonymous and rate-limited, so refusals that count are returned, not raised (private.refusal); tokens and slugs that do not exist
-- are counted by the caller's address. Nothing here tells whether a client exists.

-- The client whose portal a token opens; null when it opens none, which is counted.
create function private.portal_client(p_token text, out client public.clients, out refusal jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_token ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    select c.* into client
      from public.clients as c join public.orgs as o on o.id = c.org_id
     where c.portal_token = p_token::uuid and c.blocked_at is null and o.blocked_at is null limit 1;
  end if;
  if client.id is null then
    refusal := case when private.is_within_rate('portal_miss', private.caller_address(), 20, '10 minutes')
                    then private.refusal(404, 'link_not_found', 'This link does not work any more.', 'Ask your coach for a new link.')
                    else private.rate_limited() end;
  elsif not private.is_within_rate('portal', client.id::text, 120, '1 minute') then
    refusal := private.rate_limited();
  end if;
end;
$$;
comment on function private.portal_client is 'The client whose portal the token opens, or the refusal to answer: link_not_found 404, rate_limited 429.';

create function private.public_org(p_slug text, out org public.orgs, out refusal jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  select o.* into org from public.orgs as o where o.slug = lower(p_slug) and o.blocked_at is null;
  if org.id is null then
    refusal := case when private.is_within_rate('public_miss', private.caller_address(), 60, '10 minutes')
                    then private.refusal(404, 'page_not_found', 'There is no such booking page.', 'Check the address.')
                    else private.rate_limited() end;
  elsif not private.is_within_rate('public', private.caller_address() || '/' || org.id, 120, '1 minute') then
    refusal := private.rate_limited();
  end if;
end;
$$;
comment on function private.public_org is 'The organisation of a public page, or the refusal to answer: page_not_found 404, rate_limited 429.';

-- What is listed is what would be booked. A client who has packages is listed the starts that one of them pays, each as long as
-- that package says (a length that is asked for, or a type, goes before); anybody else is listed all of one length.
create function private.listed_slots(
  p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_within tstzrange)
returns table (start_time timestamptz, end_time timestamptz, staff_id uuid, rank integer)
language sql stable security definer set search_path = ''
as $$
  with packages as materialized (
    select p.valid_during, row_number() over (order by p.expires_at, p.purchased_at, p.id) as nth,
           coalesce(p_duration_mins, case when p_session_type_id is null then p.session_duration_mins end) as minutes
      from public.client_purchases as p
     where p.org_id = p_org_id and p.client_id = p_client_id
       -- Counted once, at the first instant to come at which it pays.
       and private.bookable_at(p.org_id, p.id, lower(p.valid_during * tstzmultirange(tstzrange(now(), null)))) > 0),
  lengths as (
    select distinct k.minutes from packages as k
    union all
    select p_duration_mins where not exists (select from packages))
  select o.start_time, o.end_time, o.staff_id, o.rank
    from lengths as l
   cross join lateral private.offered_slots(p_org_id, p_session_type_id, l.minutes, p_staff_id, null, p_within, 'client') as o
   where not exists (select from packages)
      or exists (select from (select k.minutes from packages as k where k.valid_during @> o.start_time order by k.nth limit 1) as pays
                  where pays.minutes is not distinct from l.minutes);
$$;
comment on function private.listed_slots is 'The starts that a page lists, for a client or (null) for anybody: each is booked by portal_book or public_book as it is listed.';

-- The slots of one local day as the pages read them: recommended are the three that keep the day most compact.
create function private.slots_document(
  p_org_id uuid, p_on date, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_client_id uuid default null)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_slots jsonb;
begin
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, null);
  perform private.require_duration(p_duration_mins);
  select coalesce(jsonb_agg(jsonb_build_object(
           'start', d.start_time, 'end', d.end_time, 'staff_id', d.staff_id, 'score', 1440 - d.rank, 'recommended', d.nth <= 3 and d.rank < 1440)
           order by d.start_time), '[]')
    into v_slots
    from (select s.*, row_number() over (order by s.rank, s.start_time) as nth
            from (select distinct on (o.start_time) o.*
                    from private.listed_slots(p_org_id, p_client_id, p_session_type_id, p_staff_id, p_duration_mins,
                                              private.listing_range(p_org_id, p_on, p_on)) as o
                   order by o.start_time, o.rank, o.staff_id) as s) as d;
  return jsonb_build_object(
    'slots', v_slots, 'timezone', private.org_timezone(p_org_id),
    'durationMins', extract(epoch from coalesce(
       (v_slots #>> '{0,end}')::timestamptz - (v_slots #>> '{0,start}')::timestamptz,
       (private.session_shape(private.settings_of(p_org_id), private.session_type_of(p_org_id, p_session_type_id, null),
                              p_duration_mins)).duration))::integer / 60);
end;
$$;
comment on function private.slots_document is
  'What a client may book on a local day: {slots: [{start, end, staff_id, score, recommended}], timezone, durationMins}, the length being that of the first. Fails: value_not_allowed 422, session_type_not_found 404, staff_not_found 404.';

create function private.dates_document(
  p_org_id uuid, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_client_id uuid default null)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(p_org_id);
  v_today date := private.org_today(p_org_id);
begin
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, null);
  perform private.require_duration(p_duration_mins);
  return jsonb_build_object(
    'timezone', v_timezone,
    'dates', (select coalesce(jsonb_agg(d.on_date order by d.on_date), '[]')
                from (select distinct (s.start_time at time zone v_timezone)::date as on_date
                        from private.listed_slots(
                          p_org_id, p_client_id, p_session_type_id, p_staff_id, p_duration_mins,
                          private.listing_range(p_org_id, v_today, v_today + least((private.settings_of(p_org_id)).max_advance_days, 62))) as s) as d));
end;
$$;
comment on function private.dates_document is 'The local dates on which a client may book: {dates, timezone}. Fails as slots_document.';

-- How long a client's session is when the page does not say: a session type has its own length, else the package that pays has.
-- listed_slots says the same of many starts at once.
create function private.portal_duration(
  p_org_id uuid, p_client_id uuid, p_purchase_id uuid, p_session_type_id uuid, p_duration_mins integer)
returns integer
language sql stable security definer set search_path = ''
as $$
  select coalesce(p_duration_mins, case when p_session_type_id is null then (
    select p.session_duration_mins
      from public.client_purchases as p
     where p.org_id = p_org_id and p.client_id = p_client_id and p.id = p_purchase_id) end);
$$;
comment on function private.portal_duration is 'The length a client''s session is booked with; null where type or settings say it.';

create function private.paying_purchase(p_org_id uuid, p_client_id uuid, p_start_time timestamptz)
returns uuid
language sql stable security definer set search_path = ''
as $$
  select p.id
    from public.client_purchases as p
   where p.org_id = p_org_id and p.client_id = p_client_id and private.bookable_at(p.org_id, p.id, p_start_time) > 0
   order by p.expires_at, p.purchased_at, p.id
   limit 1;
$$;
comment on function private.paying_purchase is 'The package that pays when none is named: of those with a free session at that start, the one that expires first.';

-- Counted like any other call, so returned.
create function private.closed()
returns jsonb
language sql volatile security invoker set search_path = ''
as $$
  select private.refusal(403, 'online_booking_off', 'Online booking is closed.', 'Ask for a time directly.');
$$;
comment on function private.closed is 'The answer where no bookings are taken online, or not from this client: online_booking_off 403.';

create function private.refuse_closed(p_org_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not (private.settings_of(p_org_id)).allow_client_booking then
    return private.closed();
  end if;
  return null;
end;
$$;
comment on function private.refuse_closed is 'The refusal where an organisation takes no bookings online: online_booking_off 403; else null.';

create function private.portal_overview(p_token text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
  v_timezone text;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  v_timezone := private.org_timezone(v_client.org_id);
  return (
    select jsonb_build_object(
      'client_id', v_client.id, 'client_name', v_client.full_name, 'org_id', o.id, 'org_name', o.name, 'timezone', v_timezone,
      'branding', (select jsonb_build_object('display_name', b.display_name, 'primary_color', b.primary_color, 'logo_url', b.logo_url)
                     from public.branding as b where b.org_id = o.id),
      'active_purchases', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'id', p.id, 'offer_id', p.offer_id, 'offer_name', f.name, 'sessions_total', p.sessions_total,
                 'sessions_used', p.sessions_used, 'sessions_remaining', p.sessions_remaining, 'expires_at', p.expires_at,
                 'session_duration_mins', p.session_duration_mins,
                 'bookable_remaining', greatest(coalesce(private.bookable_at(p.org_id, p.id, now()), 0), 0)) order by p.expires_at, p.id), '[]')
          from public.client_purchases as p
          join public.offers as f on f.org_id = p.org_id and f.id = p.offer_id
         where p.org_id = o.id and p.client_id = v_client.id and p.valid_during @> now() and p.sessions_remaining > 0),
      'session_types', private.online_session_types(o.id), 'refund_policy', private.refund_policy(o.id),
      'bookings', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'id', b.id, 'start_time', b.start_time, 'end_time', b.end_time, 'status', b.status, 'session_type', b.session_type,
                 'staff_name', s.full_name, 'local_start', to_char(b.start_time at time zone v_timezone, 'YYYY-MM-DD"T"HH24:MI'))
                 order by b.start_time, b.id), '[]')
          from public.bookings as b
          join public.staff as s on s.org_id = b.org_id and s.id = b.staff_id
         where b.org_id = o.id and b.client_id = v_client.id and b.status in ('pending', 'confirmed') and b.end_time > now()),
      'waitlist_offers', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'entry_id', w.id, 'hold_id', h.id, 'start_time', h.start_time, 'end_time', h.end_time, 'expires_at', h.expires_at) order by h.start_time), '[]')
          from public.waitlist_entries as w
          join private.holds as h on h.org_id = w.org_id and h.id = w.hold_id
         where w.org_id = o.id and w.client_id = v_client.id and w.status = 'offered' and h.status = 'held' and h.expires_at > now()),
      'waitlist', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'entry_id', w.id, 'on_date', w.on_date, 'start_time', w.start_time, 'session_type_id', w.session_type_id)
                 order by w.on_date, w.start_time, w.id), '[]')
          from public.waitlist_entries as w
         where w.org_id = o.id and w.client_id = v_client.id and w.status = 'waiting' and w.on_date >= private.org_today(o.id)))
      from public.orgs as o where o.id = v_client.org_id);
end;
$$;
comment on function private.portal_overview is 'Everything the portal''s first page shows, for the token''s client.';

create function private.online_session_types(p_org_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', t.id, 'name', t.name, 'slug', t.slug, 'description', t.description, 'duration_mins', t.duration_mins,
           'price_cents', t.price_cents, 'currency', t.currency, 'deposit_cents', private.deposit_amount(t), 'color', t.color) order by t.sort_order, t.name, t.id), '[]')
    from public.session_types as t
   where t.org_id = p_org_id and coalesce(t.is_active, true) and coalesce(t.allow_online_booking, true);
$$;
comment on function private.online_session_types is 'The session types that clients may book themselves, as an array.';

create function private.portal_dates(p_token text, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
begin
  return coalesce(v_portal.refusal, private.refuse_closed((v_portal.client).org_id), private.dates_document(
    (v_portal.client).org_id, p_session_type_id, p_staff_id, p_duration_mins, (v_portal.client).id));
end;
$$;
comment on function private.portal_dates is 'dates_document for the token''s client.';

create function private.portal_slots(p_token text, p_on date, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
begin
  return coalesce(v_portal.refusal, private.slots_document(
    (v_portal.client).org_id, p_on, p_session_type_id, p_staff_id, p_duration_mins, (v_portal.client).id));
end;
$$;
comment on function private.portal_slots is 'slots_document for the token''s client.';

-- Books for the token's client: a hold that is theirs, or a start. Without a package named, the one that expires first pays; without
-- any, a deposit is asked where the type has one, else nothing is booked.
create function private.portal_book(
  p_token text, p_start_time timestamptz, p_purchase_id uuid, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer,
  p_notes text, p_hold_id uuid, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
  v_purchase_id uuid := p_purchase_id;
  v_hold private.holds;
  v_refusal jsonb := coalesce(v_portal.refusal, case when p_hold_id is null then private.refuse_closed(v_client.org_id) end);
begin
  if v_refusal is not null then
    return v_refusal;
  end if;
  perform private.require_in_org(v_client.org_id, p_session_type_id, p_staff_id, null);
  perform private.require_duration(p_duration_mins);
  perform private.require_value(p_hold_id is not null or p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 2000, 'notes');
  if v_purchase_id is null then
    -- Asked again, what has paid pays still.
    select h.* into v_hold from private.holds as h where h.org_id = v_client.org_id and h.id = p_hold_id and h.client_id = v_client.id;
    select coalesce(
             (select b.purchase_id from public.bookings as b
               where b.org_id = v_client.org_id and b.client_id = v_client.id
                 and (b.request_id = p_request_id or b.id = v_hold.booking_id)
               limit 1),
             private.paying_purchase(v_client.org_id, v_client.id, coalesce(v_hold.start_time, p_start_time, now()))) into v_purchase_id;
    if v_purchase_id is null then
      -- Nothing is paid ahead: a type that asks a deposit is held while it is paid.
      return private.with_event(v_client.org_id, coalesce(
        private.ask_deposit(
          v_client.org_id, v_client.id, private.session_type_of(v_client.org_id, coalesce(v_hold.session_type_id, p_session_type_id), null),
          p_start_time, p_duration_mins, p_staff_id, p_hold_id, true, 'confirmed', null, p_notes, p_request_id),
        private.outcome('package_exhausted')));
    end if;
  end if;
  if p_hold_id is not null then
    return private.with_event(v_client.org_id, private.confirm_hold(
      v_client.org_id, p_hold_id, v_client.id, v_purchase_id, 'client', 'client', p_notes, null));
  end if;
  return private.with_event(v_client.org_id, private.book(
    v_client.org_id, v_client.id, p_session_type_id, p_start_time,
    private.portal_duration(v_client.org_id, v_client.id, v_purchase_id, p_session_type_id, p_duration_mins), p_staff_id, null,
    v_purchase_id, 'client', 'client', p_notes, null, p_request_id));
end;
$$;
comment on function private.portal_book is 'book or confirm_hold for the token''s client, paid from one of their packages.';

-- What a page needs for its calendar links, in the same answer. Volatile, so as to see the booking that its argument has just made.
create function private.with_event(p_org_id uuid, p_answer jsonb)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select p_answer || coalesce((
    select jsonb_build_object('event', private.booking_event(b, false))
      from public.bookings as b
     where b.org_id = p_org_id and b.id = (p_answer ->> 'booking_id')::uuid), '{}');
$$;
comment on function private.with_event is 'A booking''s outcome with its calendar event, as a client''s feed has it; other outcomes as they are.';

create function private.portal_reschedule(p_token text, p_booking_id uuid, p_start_time timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  perform from public.bookings as b where b.org_id = v_client.org_id and b.id = p_booking_id and b.client_id = v_client.id;
  if not found then
    perform private.refuse_booking();
  end if;
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  return private.with_event(v_client.org_id, private.reschedule(v_client.org_id, p_booking_id, p_start_time, null, 'client'));
end;
$$;
comment on function private.portal_reschedule is 'reschedule for the token''s client, their own bookings alone.';

create function private.portal_cancel(p_token text, p_booking_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  return private.outcome('cancelled', jsonb_build_object(
    'settlement', private.client_cancel(v_client.org_id, v_client.id, p_booking_id)));
end;
$$;
comment on function private.portal_cancel is 'client_cancel for the token''s client.';

create function private.portal_join_waitlist(p_token text, p_on date, p_session_type_id uuid, p_start_time timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  return private.outcome('waiting', jsonb_build_object(
    'entry_id', private.join_waitlist(v_client.org_id, v_client.id, p_on, p_session_type_id, null, p_start_time)));
end;
$$;
comment on function private.portal_join_waitlist is 'join_waitlist for the token''s client.';

create function private.portal_leave_waitlist(p_token text, p_entry_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  return private.outcome(case when private.leave_waitlist(v_client.org_id, v_client.id, p_entry_id) then 'left' else 'not_waiting' end);
end;
$$;
comment on function private.portal_leave_waitlist is 'leave_waitlist for the token''s client, their own entries alone.';

create function private.public_page(p_slug text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_slug);
  v_org public.orgs := v_page.org;
begin
  if v_page.refusal is not null then
    return v_page.refusal;
  end if;
  return jsonb_build_object(
    'org_id', v_org.id, 'name', v_org.name, 'slug', v_org.slug, 'timezone', private.org_timezone(v_org.id),
    'can_book', (private.settings_of(v_org.id)).allow_client_booking, 'needs_waiver', coalesce(btrim(v_org.waiver_template), '') <> '',
    'branding', (select jsonb_build_object('display_name', b.display_name, 'primary_color', b.primary_color, 'logo_url', b.logo_url)
                   from public.branding as b where b.org_id = v_org.id),
    'session_types', private.online_session_types(v_org.id), 'refund_policy', private.refund_policy(v_org.id),
    'offers', (select coalesce(jsonb_agg(jsonb_build_object(
                        'id', o.id, 'name', o.name, 'description', o.description, 'price_cents', o.price_cents, 'currency', o.currency,
                        'session_count', o.session_count, 'duration_minutes', o.duration_minutes) order by o.sort_order, o.price_cents, o.id), '[]')
                 from public.offers as o where o.org_id = v_org.id and o.is_active),
    'staff', (select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'full_name', s.full_name) order by s.full_name, s.id), '[]')
                from public.staff as s where s.org_id = v_org.id and s.is_active));
end;
$$;
comment on function private.public_page is 'What anybody may see of an organisation that takes bookings.';

-- The existing pages book what the price list offers: the offer says how long.
create function private.offer_duration(p_org_id uuid, p_offer_id uuid, p_duration_mins integer)
returns integer
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_minutes integer;
begin
  if p_offer_id is null then
    return p_duration_mins;
  end if;
  select o.session_duration_mins into v_minutes
    from public.offers as o where o.org_id = p_org_id and o.id = p_offer_id and o.is_active;
  if not found then
    perform private.fail(404, 'offer_not_found', 'There is no such offer.', 'Reload the price list.');
  end if;
  return coalesce(p_duration_mins, v_minutes);
end;
$$;
comment on function private.offer_duration is 'The length asked for, else the offer''s. Fails: offer_not_found 404.';

create function private.public_dates(p_slug text, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_offer_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_slug);
  v_org_id uuid := (v_page.org).id;
begin
  return coalesce(v_page.refusal, private.refuse_closed(v_org_id), private.dates_document(
    v_org_id, p_session_type_id, p_staff_id, private.offer_duration(v_org_id, p_offer_id, p_duration_mins)));
end;
$$;
comment on function private.public_dates is 'dates_document for anybody.';

create function private.public_slots(
  p_slug text, p_on date, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_offer_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_slug);
  v_org_id uuid := (v_page.org).id;
begin
  return coalesce(v_page.refusal, private.refuse_closed(v_org_id), private.slots_document(
    v_org_id, p_on, p_session_type_id, p_staff_id, private.offer_duration(v_org_id, p_offer_id, p_duration_mins)));
end;
$$;
comment on function private.public_slots is 'slots_document for anybody.';

-- An email proves nothing: it finds the client's row so that the coach has one person once, but no package of theirs is spent and
-- the answer is the same whether they were known. Where a waiver is needed the booking waits for it as pending.
create function private.public_book(
  p_slug text, p_start_time timestamptz, p_full_name text, p_email text, p_phone text, p_session_type_id uuid, p_staff_id uuid,
  p_duration_mins integer, p_notes text, p_request_id uuid, p_offer_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_slug);
  v_org public.orgs := v_page.org;
  v_minutes integer;
  v_closed jsonb;
  v_email text := lower(btrim(p_email));
  v_needs_waiver boolean;
  v_client_id uuid;
  v_is_new boolean := false;
  v_answer jsonb;
begin
  if v_page.refusal is not null then
    return v_page.refusal;
  elsif not private.is_within_rate('public_book', private.caller_address() || '/' || v_org.id, 10, '10 minutes')
     or not private.is_within_rate('public_book_org', v_org.id::text, 200, '1 hour') then
    return private.rate_limited();
  end if;
  v_closed := private.refuse_closed(v_org.id);
  if v_closed is not null then
    return v_closed;
  end if;
  perform private.require_in_org(v_org.id, p_session_type_id, p_staff_id, null);
  v_minutes := private.offer_duration(v_org.id, p_offer_id, p_duration_mins);
  perform private.require_duration(v_minutes);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(char_length(btrim(p_full_name)) between 1 and 200, 'full_name');
  perform private.require_value(char_length(v_email) <= 320 and v_email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$', 'email');
  perform private.require_value(coalesce(char_length(p_phone), 0) <= 40, 'phone');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 2000, 'notes');
  v_needs_waiver := coalesce(btrim(v_org.waiver_template), '') <> '';

  -- One person once: two tabs with one new email queue here.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(v_org.id::text || v_email, 1));
  select c.id into v_client_id
    from public.clients as c where c.org_id = v_org.id and lower(c.email) = v_email order by c.created_at, c.id limit 1;
  if exists (select from public.clients as c where c.org_id = v_org.id and c.id = v_client_id and c.blocked_at is not null) then
    return private.closed();
  elsif v_client_id is null then
    insert into public.clients (org_id, full_name, email, phone, source)
    values (v_org.id, btrim(p_full_name), v_email, nullif(btrim(p_phone), ''), 'public_page')
    returning id into v_client_id;
    v_is_new := true;
  end if;
  v_answer := private.ask_deposit(
    v_org.id, v_client_id, private.session_type_of(v_org.id, p_session_type_id, null), p_start_time, v_minutes, p_staff_id, null, false,
    case when v_needs_waiver then 'pending' else 'confirmed' end, p_offer_id, p_notes, p_request_id);
  if v_answer is null then
    v_answer := private.book(v_org.id, v_client_id, p_session_type_id, p_start_time, v_minutes, p_staff_id, null, null, 'client',
                             'client', p_notes, null, p_request_id,
                             p_status => case when v_needs_waiver then 'pending' else 'confirmed' end);
  end if;
  if v_answer ->> 'outcome' = 'booked' then
    update public.bookings as b
       set offer_id = p_offer_id
     where b.org_id = v_org.id and b.id = (v_answer ->> 'booking_id')::uuid and b.offer_id is distinct from p_offer_id;
    v_answer := v_answer || jsonb_build_object('needs_waiver', v_needs_waiver);
  elsif v_answer ->> 'outcome' = 'deposit_due' then
    v_answer := v_answer || jsonb_build_object('needs_waiver', v_needs_waiver);
  elsif v_is_new then
    -- Who booked nothing has left nothing.
    delete from public.clients as c where c.org_id = v_org.id and c.id = v_client_id;
  end if;
  return private.with_event(v_org.id, v_answer);
end;
$$;
comment on function private.public_book is
  'Books for somebody who names themselves: as book, with needs_waiver. Fails: value_not_allowed 422, session_type_not_found 404, staff_not_found 404, request_reused 409.';
