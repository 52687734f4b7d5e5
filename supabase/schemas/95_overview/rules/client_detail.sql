-- client_detail: all a coach's page of one client shows, in one call. Lists are the latest and say how many there are in all.

create function private.client_profile(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  -- Open links are not shown: whoever may send one makes a new one.
  select to_jsonb(c) - '{onboarding_token,portal_token,auth_user_id,phone_e164}'::text[]
         || jsonb_build_object('has_account', c.auth_user_id is not null, 'has_portal_link', c.portal_token is not null)
    from public.clients as c
   where c.org_id = p_org_id and c.id = p_client_id;
$$;
comment on function private.client_profile is 'Section profile: the client''s record, without the tokens of open links.';

create function private.client_packages(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with open_bookings as (
    select b.purchase_id, count(*)::integer as n
      from public.bookings as b
     where b.org_id = p_org_id and b.client_id = p_client_id and b.purchase_id is not null
       and (b.settlement = 'due' or (b.settlement is null and b.status in ('pending', 'confirmed')))
     group by b.purchase_id),
  packages as (
    select p.*, o.name as offer_name, p.valid_during @> p_now as is_valid,
           case when p.valid_during @> p_now then greatest(p.sessions_remaining - coalesce(b.n, 0), 0) else 0 end as bookable
      from public.client_purchases as p
      join public.offers as o on o.org_id = p.org_id and o.id = p.offer_id
      left join open_bookings as b on b.purchase_id = p.id
     where p.org_id = p_org_id and p.client_id = p_client_id)
  select jsonb_build_object(
    'total', (select count(*) from packages),
    'sessions_left', (select coalesce(sum(p.sessions_remaining), 0) from packages as p where p.is_valid),
    'sessions_bookable', (select coalesce(sum(p.bookable), 0) from packages as p),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'id', p.id, 'offer_id', p.offer_id, 'offer_name', p.offer_name, 'amount_paid_cents', p.amount_paid_cents, 'currency', p.currency,
               'sessions_total', p.sessions_total, 'sessions_used', p.sessions_used, 'sessions_remaining', p.sessions_remaining,
               'sessions_bookable', p.bookable, 'is_valid', p.is_valid, 'is_frozen', p.frozen_periods @> p_now,
               'payment_status', p.payment_status, 'payment_method', p.payment_method,
               'purchased_at', p.purchased_at, 'expires_at', p.expires_at) order by p.purchased_at desc, p.id), '[]')
        from (select * from packages as q order by q.purchased_at desc, q.id limit 50) as p));
$$;
comment on function private.client_packages is
  'Section packages: {total, sessions_left, sessions_bookable, latest: the newest 50}.';

create function private.client_bookings(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with bookings as (
    select b.*, s.full_name as staff_name, b.status in ('pending', 'confirmed') and b.end_time > p_now as is_upcoming,
           jsonb_build_object(
             'id', b.id, 'start_time', b.start_time, 'end_time', b.end_time, 'status', b.status, 'settlement', b.settlement,
             'session_type', b.session_type, 'session_type_id', b.session_type_id, 'staff_id', b.staff_id, 'staff_name', s.full_name,
             'purchase_id', b.purchase_id, 'client_confirmed', coalesce(b.client_confirmed, false)) as shown
      from public.bookings as b
      join public.staff as s on s.org_id = b.org_id and s.id = b.staff_id
     where b.org_id = p_org_id and b.client_id = p_client_id)
  select jsonb_build_object(
    'total', count(*),
    'upcoming_total', count(*) filter (where b.is_upcoming),
    'completed', count(*) filter (where b.status = 'completed'),
    'cancelled', count(*) filter (where b.status = 'cancelled'),
    'no_shows', count(*) filter (where b.status = 'no_show'),
    'upcoming', (select coalesce(jsonb_agg(u.shown order by u.start_time, u.id), '[]')
                   from (select * from bookings as x where x.is_upcoming order by x.start_time, x.id limit 20) as u),
    'latest', (select coalesce(jsonb_agg(l.shown order by l.start_time desc, l.id), '[]')
                 from (select * from bookings as x where not x.is_upcoming order by x.start_time desc, x.id limit 20) as l))
    from bookings as b;
$$;
comment on function private.client_bookings is
  'Section bookings: {total, upcoming_total, completed, cancelled, no_shows, upcoming: the next 20, latest: of the others the last 20}.';

create function private.client_communications_log(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'total', (select count(*) from public.client_communications as c where c.org_id = p_org_id and c.client_id = p_client_id),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'type', c.type, 'direction', c.direction, 'subject', c.subject,
                                                   'content', c.content, 'created_at', c.created_at) order by c.created_at desc, c.id), '[]')
        from (select * from public.client_communications as x
               where x.org_id = p_org_id and x.client_id = p_client_id order by x.created_at desc, x.id limit 50) as c));
$$;
comment on function private.client_communications_log is 'Section communications: {total, latest: the newest 50}.';

create function private.client_threads(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', t.id, 'trainer_last_read_at', t.trainer_last_read_at,
    'unread', (select count(*) from public.messages as m
                where m.org_id = t.org_id and m.thread_id = t.id and m.sender_type = 'client'
                  and m.created_at > coalesce(t.trainer_last_read_at, '-infinity')),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'sender_type', m.sender_type, 'body', m.body, 'created_at', m.created_at)
                                order by m.created_at desc, m.id), '[]')
        from (select * from public.messages as x
               where x.org_id = t.org_id and x.thread_id = t.id order by x.created_at desc, x.id limit 20) as m))), '[]')
    from public.message_threads as t
   where t.org_id = p_org_id and t.client_id = p_client_id;
$$;
comment on function private.client_threads is 'Section threads: an array of {id, trainer_last_read_at, unread, latest: the newest 20 messages}.';

-- What came in and went back, of all time; fees are the organisation's matter and not the client's.
create function private.client_money(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with money as (
    select e.* from public.money_events as e
     where e.org_id = p_org_id and e.client_id = p_client_id and e.type in ('INCOME', 'REFUND', 'DISPUTE', 'ADJUSTMENT'))
  select jsonb_build_object(
    'total', (select count(*) from money),
    'amounts', (
      select coalesce(jsonb_agg(jsonb_build_object('currency', s.currency, 'paid_cents', s.paid, 'returned_cents', s.net - s.paid, 'net_cents', s.net)
                                order by s.currency), '[]')
        from (select m.currency, coalesce(sum(m.amount_cents) filter (where m.type = 'INCOME'), 0) as paid, sum(m.amount_cents) as net
                from money as m group by m.currency) as s),
    'subscription', (
      select jsonb_build_object('id', s.id, 'status', s.status, 'offer_id', s.offer_id, 'price_cents', s.price_cents, 'currency', s.currency,
                                'current_period_end', s.current_period_end, 'cancel_at_period_end', s.cancel_at_period_end)
        from public.subscriptions as s where s.org_id = p_org_id and s.client_id = p_client_id),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'event_date', m.event_date, 'type', m.type, 'amount_cents', m.amount_cents,
                                                   'currency', m.currency, 'source', m.source, 'purchase_id', m.purchase_id, 'booking_id', m.booking_id,
                                                   'notes', m.notes) order by m.event_date desc, m.id), '[]')
        from (select * from money as x order by x.event_date desc, x.id limit 50) as m));
$$;
comment on function private.client_money is
  'Section money: {total, amounts: [{currency, paid_cents, returned_cents: negative, net_cents}], subscription, latest: the newest 50}.';

create function private.client_waivers_signed(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with waivers as (
    select w.*, t.version,
           case when w.status = 'sent' and w.expires_at <= p_now then 'expired' else w.status end as state
      from public.client_waivers as w
      left join public.waiver_texts as t on t.org_id = w.org_id and t.id = w.waiver_text_id
     where w.org_id = p_org_id and w.client_id = p_client_id)
  select jsonb_build_object(
    'total', (select count(*) from waivers),
    'is_signed', exists (select from waivers as w where w.state = 'signed'),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'name', w.name, 'status', w.state, 'sent_at', w.sent_at, 'signed_at', w.signed_at,
                                                   'expires_at', w.expires_at, 'signer_name', w.signer_name, 'text_version', w.version, 'source', w.source)
                                order by w.created_at desc, w.id), '[]')
        from (select * from waivers as x order by x.created_at desc, x.id limit 20) as w));
$$;
comment on function private.client_waivers_signed is
  'Section waivers: {total, is_signed, latest: the newest 20, an open one whose link has run out as expired}; no link.';

create function private.client_measured(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'total', (select count(*) from public.client_measurements as m where m.org_id = p_org_id and m.client_id = p_client_id),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'measurement_type', m.measurement_type, 'value', m.value, 'unit', m.unit,
                                                   'notes', m.notes, 'measured_at', m.measured_at) order by m.measured_at desc, m.id), '[]')
        from (select * from public.client_measurements as x
               where x.org_id = p_org_id and x.client_id = p_client_id order by x.measured_at desc, x.id limit 100) as m));
$$;
comment on function private.client_measured is 'Section measurements: {total, latest: the newest 100}.';

-- A member of the client's organisation is told of each section what their role allows; for anybody else there is no such client.
create function private.member_client_detail(p_client_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select c.org_id into v_org_id
    from public.clients as c where c.id = p_client_id and c.org_id = any (private.orgs_with('org.read'));
  if not found then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
  end if;
  return (
    select jsonb_build_object('client_id', p_client_id, 'org_id', v_org_id, 'as_of', p_now, 'sections', jsonb_object_agg(
             s.name, private.section(s.function, v_org_id = any (private.orgs_with(s.permission)), v_org_id, p_client_id::text, p_now)))
      from (values
        ('profile', 'client_profile', 'clients.read'),
        ('packages', 'client_packages', 'packages.read'),
        ('bookings', 'client_bookings', 'bookings.read'),
        ('communications', 'client_communications_log', 'messages.read'),
        ('money', 'client_money', 'money.read'),
        ('waivers', 'client_waivers_signed', 'clients.read'),
        ('measurements', 'client_measured', 'progress.read'),
        ('threads', 'client_threads', 'messages.read')) as s (name, function, permission));
end;
$$;
comment on function private.member_client_detail is 'client_detail for a member of the client''s organisation. Fails: client_not_found 404.';
