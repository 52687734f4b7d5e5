-- What a file's cells mean. A cell is text until it has proven to be what its column holds; one that does not refuses its row alone.

create function private.import_columns()
returns table (name text, kind text, maximum integer, aliases text[], is_package boolean)
language sql immutable security invoker set search_path = ''
as $$
  values
    ('full_name', 'text', 200, '{name,client,client_name,fullname}'::text[], false),
    ('first_name', 'part', 100, '{firstname,given_name,first}', false),
    ('last_name', 'part', 100, '{lastname,surname,family_name,last}', false),
    ('email', 'email', 320, '{email_address,e_mail,mail}', false),
    ('phone', 'phone', 40, '{mobile,mobile_phone,phone_number,cell,telephone,tel}', false),
    ('status', 'text', 40, '{}', false),
    ('date_of_birth', 'date', null, '{dob,birthday,birth_date}', false),
    ('gender', 'gender', null, '{sex}', false),
    ('height_cm', 'height', null, '{height}', false),
    ('weight_kg', 'weight', null, '{weight}', false),
    ('address_line1', 'text', 200, '{address,street,address_1}', false),
    ('address_line2', 'text', 200, '{address_2}', false),
    ('city', 'text', 100, '{suburb,town}', false),
    ('state', 'text', 100, '{region,province}', false),
    ('postcode', 'text', 20, '{zip,zip_code,postal_code}', false),
    ('country', 'text', 100, '{}', false),
    ('emergency_contact_name', 'text', 200, '{emergency_contact}', false),
    ('emergency_contact_phone', 'text', 40, '{emergency_phone}', false),
    ('source', 'text', 100, '{referred_by}', false),
    ('notes', 'text', 20000, '{note,comments}', false),
    ('package', 'text', 200, '{offer,package_name,product}', true),
    ('package_ref', 'text', 100, '{package_id,reference,invoice}', true),
    ('sessions_total', 'count', 20000, '{sessions,total_sessions}', true),
    ('sessions_used', 'count', 20000, '{used,used_sessions}', true),
    ('sessions_remaining', 'count', 20000, '{remaining,sessions_left,remaining_sessions}', true),
    ('amount_paid', 'amount', null, '{paid,amount,price}', true),
    ('currency', 'currency', null, '{}', true),
    ('purchased_on', 'date', null, '{purchased,purchase_date,bought_on}', true),
    ('expires_on', 'date', null, '{expires,expiry,expiry_date,valid_until}', true),
    ('payment_method', 'method', null, '{}', true);
$$;
comment on function private.import_columns is 'The columns that an import understands: what each holds, how long it may be, what else it is called in files.';

-- Spreadsheets keep a leading zero by writing ="0400…". Marks that turn the direction of writing, and control characters, are nobody's name.
create function private.import_cell(p_cell text)
returns text
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return nullif(btrim(regexp_replace(regexp_replace(regexp_replace(p_cell, '^\s*="([^"]*)"\s*$', '\1'),
                  '[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]', '', 'g'),
                  '\u00a0', ' ', 'g'), E' \t\r\n'), '');
end;
$$;
comment on function private.import_cell is 'A cell as a person means it: without a spreadsheet''s wrapping, invisible characters and space around; null when nothing is left.';

create function private.import_date(p_text text, p_order text)
returns date
language sql immutable security invoker set search_path = ''
as $$
  with parts as (
    select case when iso.m is not null then iso.m::integer[]
                when p_order = 'dmy' then array[other.m[3], other.m[2], other.m[1]]::integer[]
                when p_order = 'mdy' then array[other.m[3], other.m[1], other.m[2]]::integer[] end as d
      from (select regexp_match(p_text, '^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[T ]00:00(?::00)?)?$') as m) as iso,
           (select regexp_match(p_text, '^([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})$') as m) as other)
  select case when d[1] between 1900 and 2200 and d[2] between 1 and 12 and d[3] >= 1
                   and d[3] <= extract(day from make_date(d[1], d[2], 1) + interval '1 month - 1 day')
              then make_date(d[1], d[2], d[3]) end
    from parts;
$$;
comment on function private.import_date is 'A date as the file writes it, or null: years first always, else in the order that was said; never guessed.';

-- 1,234.50 and 1.234,50 cannot be told from each other by one number: a separator of thousands is refused.
create function private.import_amount(p_text text, p_currency text)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select case when a.m is not null and char_length(coalesce(a.m[2], '')) <= c.digits
              then (a.m[1] || rpad(coalesce(a.m[2], ''), c.digits, '0'))::integer end
    from (select regexp_match(p_text, '^[$€£¥]?\s*([0-9]{1,6})(?:[.,]([0-9]{1,3}))?$') as m) as a,
         (select case when p_currency in ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'ugx', 'vnd', 'vuv', 'xaf', 'xof', 'xpf') then 0
                      when p_currency in ('bhd', 'jod', 'kwd', 'omr', 'tnd') then 3 else 2 end as digits) as c;
$$;
comment on function private.import_amount is 'An amount of money in the currency''s minor unit, or null: 800, 800.00 or 800,00, without separators of thousands.';

-- One column's value as JSON, or null where the text is none. A cell that a spreadsheet would run is refused wherever it stands.
create function private.import_value(p_kind text, p_maximum integer, p_text text, p_order text)
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return case
    when p_text ~ '[\ufffd]' or p_text ~ '^[=@]' or p_text ~ '^[+-]\s*[[:alpha:]@=]' or char_length(p_text) > coalesce(p_maximum, 100) then null
    when p_kind in ('text', 'part', 'phone', 'currency', 'amount') then to_jsonb(p_text)
    when p_kind = 'email' then case when p_text ~ '^[^\s@,;<>"]+@[^\s@,;<>"]+\.[^\s@,;<>"]+$' then to_jsonb(p_text) end
    when p_kind = 'date' then to_jsonb(private.import_date(p_text, p_order))
    when p_kind = 'gender' then case when lower(p_text) in ('male', 'female', 'other', 'prefer_not_to_say') then to_jsonb(lower(p_text))
                                     when lower(p_text) in ('m', 'f') then to_jsonb(case lower(p_text) when 'm' then 'male' else 'female' end) end
    when p_kind in ('height', 'weight') then case when p_text ~ '^[0-9]{1,3}([.,][0-9]{1,2})?$' and replace(p_text, ',', '.')::numeric > 0
                                                       and replace(p_text, ',', '.')::numeric < case p_kind when 'height' then 300 else 1000 end
                                                  then to_jsonb(replace(p_text, ',', '.')::numeric) end
    when p_kind = 'count' then case when p_text ~ '^[0-9]{1,5}(\.0+)?$' and p_text::numeric <= p_maximum then to_jsonb(p_text::numeric::integer) end
    when p_kind = 'method' then case when lower(replace(p_text, ' ', '_')) in ('cash', 'card', 'bank_transfer') then to_jsonb(lower(replace(p_text, ' ', '_'))) end
  end;
end;
$$;
comment on function private.import_value is 'A cell''s value as its column holds it; null when it cannot be meant.';

-- Each row with what it says of a client and of a package, or with why it cannot be read. Cells of unknown columns are ignored.
create function private.read_import_rows(p_org_id uuid, p_rows jsonb, p_order text)
returns table (line integer, client jsonb, package jsonb, phone_e164 text, slug text, column_name text)
language sql stable security definer set search_path = ''
as $$
  with given as (
    select (r.value ->> 'line')::integer as line, coalesce(r.value -> 'cells', '{}') as cells, (r.value ->> 'slug') as slug
      from jsonb_array_elements(p_rows) as r (value)),
  read as (
    select g.line, c.name, c.is_package, c.nth, private.import_value(c.kind, c.maximum, v.text, p_order) as value,
           case when v.text ~ '^[=@]' or v.text ~ '^[+-]\s*[[:alpha:]@=]' then 'formula_refused'
                when v.text ~ '[\ufffd]' then 'text_undecodable'
                when c.kind = 'date' then 'date_invalid' else 'value_not_allowed' end as slug
      from given as g
     cross join lateral jsonb_each_text(case jsonb_typeof(g.cells) when 'object' then g.cells else '{}' end) as k (name, text)
      join (select i.*, row_number() over () as nth from private.import_columns() as i) as c on c.name = k.name
     cross join lateral (select private.import_cell(k.text) as text) as v
     where v.text is not null),
  rows as (
    select g.line, coalesce(jsonb_object_agg(r.name, r.value) filter (where r.value is not null and not r.is_package), '{}') as client,
           coalesce(jsonb_object_agg(r.name, r.value) filter (where r.value is not null and r.is_package), '{}') as package,
           coalesce(g.slug, (array_agg(r.slug order by r.nth) filter (where r.value is null and r.name is not null))[1]) as slug,
           (array_agg(r.name order by r.nth) filter (where r.value is null and r.name is not null))[1] as column_name
      from given as g left join read as r on r.line = g.line
     group by g.line, g.slug),
  named as materialized (
    select r.line, r.package, r.slug, r.column_name,
           r.client - '{first_name,last_name}'::text[] || jsonb_strip_nulls(jsonb_build_object('full_name',
             coalesce(r.client ->> 'full_name', nullif(concat_ws(' ', r.client ->> 'first_name', r.client ->> 'last_name'), '')))) as client,
           private.e164(r.client ->> 'phone', private.phone_region(p_org_id)) as phone_e164
      from rows as r)
  select n.line, n.client, nullif(n.package, '{}'), n.phone_e164,
         case when n.slug is not null then n.slug
              when n.client ->> 'full_name' is null then 'value_missing'
              when n.client ->> 'phone' is not null and n.phone_e164 is null then 'value_not_allowed'
              when n.client ->> 'email' is null and n.phone_e164 is null then 'client_unidentified'
              when n.package <> '{}' and n.package ->> 'package' is null then 'value_missing' end,
         case when n.slug is not null then n.column_name
              when n.client ->> 'full_name' is null then 'full_name'
              when n.client ->> 'phone' is not null and n.phone_e164 is null then 'phone'
              when n.client ->> 'email' is null and n.phone_e164 is null then null
              when n.package <> '{}' and n.package ->> 'package' is null then 'package' end
    from named as n;
$$;
comment on function private.read_import_rows is
  'What rows [{line, cells: {column: text}}] say of a client and a package, or the slug and column that refuse one.';
