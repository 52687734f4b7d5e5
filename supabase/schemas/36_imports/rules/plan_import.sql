-- Whom a row is about, and what it would change. A dry run shows this; an import does exactly this, in the same lock.

create type private.planned_client as (
  line integer, outcome text, slug text, column_name text, changed text[], client_id uuid, client jsonb, package text, of_line integer,
  email_key text, phone_key text, name_key text, package_key text,
  offer_id uuid, amount_cents integer, currency text, sessions_total integer, sessions_used integer,
  purchased_at timestamptz, expires_at timestamptz, payment_method text, session_duration_mins integer, request_id uuid);
comment on type private.planned_client is 'A row of a file: its outcome, and what the import writes to bring it about.';

-- The same email is the same person. A number may be a family's: it tells a person only together with the name, and where neither
-- that nor two emails tell them apart, nobody guesses.
create function private.same_person(
  p_email text, p_phone text, p_name text, p_other_email text, p_other_phone text, p_other_name text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case when p_email = p_other_email then 'same'
              when p_phone = p_other_phone then
                case when p_email is not null and p_other_email is not null then case when p_name = p_other_name then 'unclear' else 'other' end
                     when p_name = p_other_name then 'same' else 'unclear' end
              else 'other' end;
$$;
comment on function private.same_person is 'same, unclear or other: two people by email, phone and name, each compared as it is given.';

create function private.name_key(p_name text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select lower(btrim(regexp_replace(normalize(p_name, nfkc), '\s+', ' ', 'g')));
$$;
comment on function private.name_key is 'A name as names are compared: without case and double spaces.';

create function private.import_key(p_import_id uuid, p_value text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select encode(sha256(convert_to(p_import_id || '|' || p_value, 'UTF8')), 'hex');
$$;
comment on function private.import_key is 'A value as a hash that only its own import can compare; null for none.';

-- What a row says of a package, held against the organisation's offers, or why it cannot be sold so.
create function private.read_import_packages(p_org_id uuid, p_rows jsonb, p_order text)
returns table (
  line integer, client jsonb, phone_e164 text, slug text, column_name text, offer_id uuid, package_ref text, amount_cents integer,
  currency text, total integer, used integer, purchased_on date, expires_on date, payment_method text, session_duration_mins integer)
language sql stable security definer set search_path = ''
as $$
  with offered as (
    select r.*, o.id as offer_id, o.currency, o.session_duration_mins, count(o.id) over (partition by r.line) as offers,
           coalesce(r.package ->> 'package_ref', r.package ->> 'purchased_on', '') as package_ref,
           case when r.package ? 'amount_paid' then private.import_amount(r.package ->> 'amount_paid', o.currency) else o.price_cents end as amount_cents,
           coalesce((r.package ->> 'sessions_total')::integer,
                    (r.package ->> 'sessions_used')::integer + (r.package ->> 'sessions_remaining')::integer,
                    case when o.offer_type <> 'subscription' or o.sessions_included is not null or r.package ?| '{sessions_used,sessions_remaining}'
                         then coalesce(o.sessions_included, 1) + coalesce(o.bonus_sessions, 0) end) as total
      from private.read_import_rows(p_org_id, p_rows, p_order) as r
      left join public.offers as o on r.package is not null and o.org_id = p_org_id
       and (private.name_key(o.name) = private.name_key(r.package ->> 'package') or o.id::text = lower(r.package ->> 'package'))),
  counted as (
    select distinct on (o.line) o.*, (o.package ->> 'purchased_on')::date as purchased_on, (o.package ->> 'expires_on')::date as expires_on,
           coalesce((o.package ->> 'sessions_used')::integer, o.total - (o.package ->> 'sessions_remaining')::integer, 0) as used
      from offered as o order by o.line, o.offer_id),
  judged as (
    select c.*, case
             when c.slug is not null then array[c.slug, c.column_name]
             when c.package is null then null
             when c.offers = 0 then '{offer_not_found,package}'
             when c.offers > 1 then '{offer_ambiguous,package}'
             when lower(c.package ->> 'currency') <> c.currency then '{sale_currency_mismatch,currency}'
             when c.amount_cents is null then '{value_not_allowed,amount_paid}'
             when c.used < 0 or c.used > coalesce(c.total, 0) or c.total > 20000
                  or c.used + (c.package ->> 'sessions_remaining')::integer <> c.total then '{sessions_out_of_range,sessions_used}'
             when c.expires_on < c.purchased_on then '{date_invalid,expires_on}' end as why
      from counted as c)
  select j.line, j.client, j.phone_e164, j.why[1], j.why[2], case when j.why is null then j.offer_id end, j.package_ref, j.amount_cents, j.currency,
         j.total, j.used, j.purchased_on, j.expires_on, j.package ->> 'payment_method', j.session_duration_mins
    from judged as j;
$$;
comment on function private.read_import_packages is
  'read_import_rows with the offer that a row''s package is of, its counts, amount in minor units and dates; offer_id is null where a row is about a client alone.';

create function private.plan_client_import(p_import private.client_imports, p_rows jsonb)
returns setof private.planned_client
language sql volatile security definer set search_path = ''
as $$
  with read as materialized (
    select r.*, lower(r.client ->> 'email') as email, private.name_key(r.client ->> 'full_name') as name
      from private.read_import_packages(p_import.org_id, p_rows, p_import.date_order) as r),
  -- Clients who share an email or a number with a row.
  likenesses as (
    select r.line, c.id, private.same_person(r.email, r.phone_e164, r.name, lower(c.email), c.phone_e164, private.name_key(c.full_name)) as likeness,
           lower(c.email) = r.email and c.phone_e164 = r.phone_e164 as is_both
      from read as r
     cross join lateral (
       select c.id, c.email, c.phone_e164, c.full_name from public.clients as c
        where c.org_id = p_import.org_id and lower(c.email) = r.email
       union
       select c.id, c.email, c.phone_e164, c.full_name from public.clients as c
        where c.org_id = p_import.org_id and c.phone_e164 = r.phone_e164) as c
     where r.slug is null),
  known as (
    select l.line, count(*) filter (where l.likeness = 'same') as same, count(*) filter (where l.likeness = 'same' and l.is_both) as both,
           bool_or(l.likeness = 'unclear') as is_unclear,
           (array_agg(l.id order by l.is_both desc nulls last) filter (where l.likeness = 'same'))[1] as client_id
      from likenesses as l group by l.line),
  -- Several with one email: the number tells which; else nobody guesses.
  matched as materialized (
    select r.*, coalesce(r.slug, case when k.same > 1 and k.both <> 1 or k.same = 0 and k.is_unclear then 'client_ambiguous' end) as refused,
           k.client_id as known_id, gen_random_uuid() as new_id,
           private.import_key(p_import.id, r.email) as email_key, private.import_key(p_import.id, r.phone_e164) as phone_key,
           private.import_key(p_import.id, r.name) as name_key,
           private.import_key(p_import.id, r.offer_id || '|' || r.package_ref) as package_key
      from read as r left join known as k on k.line = r.line),
  -- The same person earlier in the file, in this batch or one before.
  earlier as (
    select m.line, e.line as of_line, private.same_person(m.email_key, m.phone_key, m.name_key, e.email_key, e.phone_key, e.name_key) as likeness
      from matched as m
     cross join lateral (
       select b.line, b.email_key, b.phone_key, b.name_key from matched as b
        where b.line < m.line and b.refused is null and (b.email_key = m.email_key or b.phone_key = m.phone_key)
       union all
       select b.line, b.email_key, b.phone_key, b.name_key from private.client_import_rows as b
        where b.org_id = p_import.org_id and b.import_id = p_import.id and b.line < m.line and b.email_key = m.email_key
       union all
       select b.line, b.email_key, b.phone_key, b.name_key from private.client_import_rows as b
        where b.org_id = p_import.org_id and b.import_id = p_import.id and b.line < m.line and b.phone_key = m.phone_key) as e
     where m.refused is null),
  placed as materialized (
    select m.*, f.of_line, coalesce(m.refused, case when f.of_line is null and f.is_unclear then 'client_ambiguous' end) as doubt
      from matched as m
      left join (select e.line, min(e.of_line) filter (where e.likeness = 'same') as of_line, bool_or(e.likeness = 'unclear') as is_unclear
                   from earlier as e group by e.line) as f on f.line = m.line),
  -- Who follows an earlier row is its client, if that one became one.
  people as materialized (
    select p.*, coalesce(p.known_id, first.known_id, recorded.client_id, first.new_id, p.new_id) as client_id,
           p.of_line is not null and (first.line is not null and first.doubt is null and first.of_line is null
             or recorded.outcome <> 'refused' and recorded.of_line is null and (p_import.is_dry_run or recorded.client_id is not null)) is not true as is_lost
      from placed as p
      left join placed as first on first.line = p.of_line
      left join private.client_import_rows as recorded
        on recorded.org_id = p_import.org_id and recorded.import_id = p_import.id and recorded.line = p.of_line),
  judged as (
    select p.*, md5(concat_ws('|', 'import', p_import.org_id, p.client_id, p.offer_id, p.package_ref))::uuid as request_id,
           coalesce(p.doubt, case
             when p.of_line is null then null
             when p.is_lost then 'client_ambiguous'
             when p.offer_id is null
                  or exists (select from people as e where e.line < p.line and e.client_id = p.client_id and e.doubt is null and e.package_key = p.package_key)
                  or exists (select from private.client_import_rows as e
                              where e.org_id = p_import.org_id and e.import_id = p_import.id and e.line < p.line and e.package_key = p.package_key
                                and p.of_line in (e.line, e.of_line)) then 'row_duplicate' end) as why
      from people as p),
  compared as (
    select j.*, case when j.why is null then j.known_id is null and j.of_line is null end as is_new,
           case when j.why is not null or j.of_line is not null or c.id is null then '{}'
                else array(select f.key from jsonb_each(j.client) as f
                            where f.value is distinct from to_jsonb(c) -> f.key
                              and not (f.key = 'phone' and j.phone_e164 is not distinct from c.phone_e164)
                              and not (f.key = 'email' and j.email is not distinct from lower(c.email))
                            order by f.key) end as changed,
           case when j.why is null and j.offer_id is not null
                then case when exists (select from public.client_purchases as s where s.org_id = p_import.org_id and s.request_id = j.request_id)
                          then 'unchanged' else 'created' end end as package
      from judged as j
      left join public.clients as c on c.org_id = p_import.org_id and c.id = j.client_id)
  select d.line,
         case when d.why is not null then 'refused' when d.is_new then 'created'
              when d.changed <> '{}' or d.package = 'created' then 'updated' else 'unchanged' end,
         d.why, case when d.slug is not null then d.column_name end, d.changed, case when d.why is null then d.client_id end, d.client, d.package, d.of_line,
         case when d.refused is null then d.email_key end, case when d.refused is null then d.phone_key end, case when d.refused is null then d.name_key end,
         case when d.why is null then d.package_key end, d.offer_id, d.amount_cents, d.currency, d.total, d.used,
         coalesce(private.local_to_instant(p_import.org_id, d.purchased_on, '00:00'), p_import.created_at),
         private.local_to_instant(p_import.org_id, d.expires_on + 1, '00:00'), d.payment_method, d.session_duration_mins, d.request_id
    from compared as d
   order by d.line;
$$;
comment on function private.plan_client_import is 'What a batch of rows would do: each row''s outcome, and for those that are not refused what is to be written. Writes nothing.';
