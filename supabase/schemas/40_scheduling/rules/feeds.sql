-- Calendar files: what a booking's file and a subscribed feed contain. Python only writes it down as RFC 5545.
-- One-way on purpose: nothing is read back from other calendars.

create function private.feed_token_hash(p_token text)
returns bytea
language sql immutable security invoker set search_path = ''
as $$
  select sha256(convert_to(p_token, 'UTF8'));
$$;
comment on function private.feed_token_hash is 'How a feed''s token is kept.';

-- The token is shown once, here.
create function private.create_feed(p_org_id uuid, p_staff_id uuid, p_client_id uuid, p_actor_id uuid)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_token text := replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
  v_feed_id uuid;
begin
  insert into private.calendar_feeds (org_id, staff_id, client_id, created_by) values (p_org_id, p_staff_id, p_client_id, p_actor_id)
  returning id into v_feed_id;
  insert into private.calendar_feed_tokens (token_hash, org_id, feed_id) values (private.feed_token_hash(v_token), p_org_id, v_feed_id);
  return v_token;
end;
$$;
comment on function private.create_feed is 'Opens a feed of a staff member''s or a client''s bookings; returns its token, which cannot be read again.';

create function private.revoke_feeds(p_org_id uuid, p_staff_id uuid, p_client_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_revoked integer;
begin
  with gone as (
    update private.calendar_feeds as f
       set revoked_at = clock_timestamp()
     where f.org_id = p_org_id and f.revoked_at is null and (f.staff_id = p_staff_id or f.client_id = p_client_id)
    returning f.id)
  select count(*)::integer into v_revoked from gone;
  return v_revoked;
end;
$$;
comment on function private.revoke_feeds is 'Closes every feed of a staff member or client; returns how many.';

-- One booking as a calendar event. Cancelled ones stay, so that subscribers are told.
create function private.booking_event(p_booking public.bookings, p_is_for_staff boolean)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'uid', p_booking.id || '@coach-os', 'sequence', p_booking.ics_sequence, 'start_time', p_booking.start_time, 'end_time', p_booking.end_time,
    'status', case p_booking.status when 'cancelled' then 'CANCELLED' when 'pending' then 'TENTATIVE' else 'CONFIRMED' end,
    'updated_at', p_booking.updated_at, 'created_at', p_booking.created_at,
    'summary', coalesce((select t.name from public.session_types as t where t.org_id = p_booking.org_id and t.id = p_booking.session_type_id), 'Session')
      || case when p_is_for_staff then ': ' || c.full_name else ' with ' || s.full_name end,
    'location', coalesce((select concat_ws(', ', l.name, l.address) from public.locations as l
                           where l.org_id = p_booking.org_id and l.id = p_booking.location_id), p_booking.location_details),
    'organizer', o.name)
    from public.orgs as o
    join public.clients as c on c.org_id = o.id and c.id = p_booking.client_id
    join public.staff as s on s.org_id = o.id and s.id = p_booking.staff_id
   where o.id = p_booking.org_id;
$$;
comment on function private.booking_event is
  'A booking as {uid, sequence, start_time, end_time, status, summary, location, organizer, created_at, updated_at}.';

create function private.feed(p_token text, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_feed private.calendar_feeds;
begin
  select f.* into v_feed
    from private.calendar_feed_tokens as t
    join private.calendar_feeds as f on f.org_id = t.org_id and f.id = t.feed_id
   where t.token_hash = private.feed_token_hash(coalesce(p_token, '')) and f.revoked_at is null;
  if not found then
    return private.refusal(404, 'feed_not_found', 'There is no such calendar.', 'Ask for a new address.');
  end if;
  return jsonb_build_object(
    'name', (select o.name from public.orgs as o where o.id = v_feed.org_id),
    'events', (select coalesce(jsonb_agg(private.booking_event(b, v_feed.staff_id is not null) order by b.start_time, b.id), '[]')
                 from public.bookings as b
                where b.org_id = v_feed.org_id and (b.staff_id = v_feed.staff_id or b.client_id = v_feed.client_id)
                  and b.start_time between p_now - interval '90 days' and p_now + interval '366 days'));
end;
$$;
comment on function private.feed is 'The bookings of a feed from 90 days back to a year ahead: {name, events}, or feed_not_found 404.';

create function private.member_create_feed(p_staff_id uuid, p_client_id uuid)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_feed_org(p_staff_id, p_client_id);
begin
  perform private.refuse_support_access(v_org_id);
  return private.create_feed(v_org_id, p_staff_id, p_client_id, auth.uid());
end;
$$;
comment on function private.member_create_feed is 'create_feed for whom member_feed_org lets in.';

create function private.member_revoke_feeds(p_staff_id uuid, p_client_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_feed_org(p_staff_id, p_client_id);
begin
  perform private.refuse_support_access(v_org_id);
  return private.revoke_feeds(v_org_id, p_staff_id, p_client_id);
end;
$$;
comment on function private.member_revoke_feeds is 'revoke_feeds for whom member_feed_org lets in.';

-- A feed shows every booking of its subject to whoever has its address. A staff member opens their own with bookings.read, another's
-- takes staff.write; a client's clients.write, and a client who signs in opens their own.
create function private.member_feed_org(p_staff_id uuid, p_client_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
  v_is_own boolean;
begin
  perform private.require_value((p_staff_id is null) <> (p_client_id is null), 'staff_id');
  if p_staff_id is not null then
    select s.org_id, coalesce(s.user_id = auth.uid(), false) into v_org_id, v_is_own
      from public.staff as s where s.id = p_staff_id and s.org_id = any (private.orgs_with('bookings.read'));
  else
    select c.org_id, c.id = any (private.my_client_ids()) into v_org_id, v_is_own
      from public.clients as c
     where c.id = p_client_id and (c.org_id = any (private.orgs_with('bookings.read')) or c.id = any (private.my_client_ids()));
  end if;
  if v_org_id is null then
    perform private.fail(404, 'feed_subject_not_found', 'There is no such staff member or client.', 'Reload the page.');
  elsif not v_is_own
        and not v_org_id = any (private.orgs_with(case when p_staff_id is not null then 'staff.write' else 'clients.write' end)) then
    perform private.refuse_permission(v_org_id);
  end if;
  return v_org_id;
end;
$$;
comment on function private.member_feed_org is
  'The organisation of a feed''s subject, for whom may open and close its feeds. Fails: feed_subject_not_found 404, permission_missing 403, value_not_allowed 422.';

-- Who leaves keeps no window: neither on their own calendar nor through an address that they were shown. What they see as a client
-- of the organisation stays theirs.
create function private.tg_org_members__close_feeds()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update private.calendar_feeds as f
     set revoked_at = clock_timestamp()
   where f.org_id = old.org_id and f.revoked_at is null
     and (f.created_by = old.user_id
          or f.staff_id in (select s.id from public.staff as s where s.org_id = old.org_id and s.user_id = old.user_id))
     and not exists (select from public.clients as c where c.org_id = f.org_id and c.id = f.client_id and c.auth_user_id = old.user_id);
  return null;
end;
$$;
comment on function private.tg_org_members__close_feeds is 'Closes the calendar feeds of a member who leaves, and those they opened.';
create trigger org_members__close_feeds after delete on public.org_members
  for each row execute function private.tg_org_members__close_feeds();
