-- An import: opened once, then fed in batches. Two at once queue by batch, so that each sees whom the other has made.

create function private.open_client_import(p_org_id uuid, p_is_dry_run boolean, p_date_order text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_unbraked('imports', p_org_id);
  perform private.require_feature(p_org_id, 'imports');
  perform private.require_value(p_date_order in ('iso', 'dmy', 'mdy'), 'date_order');
  insert into private.client_imports (org_id, is_dry_run, date_order) values (p_org_id, p_is_dry_run, p_date_order) returning id into v_id;
  if not p_is_dry_run then
    perform private.record_audit(p_org_id, 'import', 'clients', v_id);
  end if;
  return v_id;
end;
$$;
comment on function private.open_client_import is 'Begins an import of clients and returns its id. Fails: brake_on 423, feature_not_in_plan 402, value_not_allowed 422.';

-- The plan is made and carried out under one lock. A line that was answered is answered the same again: a batch whose answer was lost
-- is sent once more.
create function private.import_clients(p_import private.client_imports, p_rows jsonb)
returns setof private.client_import_rows
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_lines integer[];
  v_plan private.planned_client[];
begin
  perform private.require_value(jsonb_typeof(p_rows) = 'array', 'rows');
  perform private.require_value(jsonb_array_length(p_rows) between 1 and 1000, 'rows');
  select array_agg((r.value ->> 'line')::integer) into v_lines from jsonb_array_elements(p_rows) as r (value);
  perform private.require_value(array_position(v_lines, null) is null and cardinality(v_lines) = (select count(distinct l) from unnest(v_lines) as l), 'rows');

  -- The organisation's row is the lock: another import waits here, and then sees the clients that this one has made.
  perform from public.orgs as o where o.id = p_import.org_id for no key update;
  perform private.require_unbraked('imports', p_import.org_id);
  v_plan := array(
    select p from private.plan_client_import(p_import,
      (select coalesce(jsonb_agg(r.value), '[]') from jsonb_array_elements(p_rows) as r (value)
        where not exists (select from private.client_import_rows as d where d.org_id = p_import.org_id and d.import_id = p_import.id
                             and d.line = (r.value ->> 'line')::integer))) as p);

  if not p_import.is_dry_run then
    insert into public.clients (
      org_id, id, full_name, email, phone, status, date_of_birth, gender, height_cm, weight_kg, address_line1, address_line2, city, state,
      postcode, country, emergency_contact_name, emergency_contact_phone, source, notes)
    select p_import.org_id, p.client_id, n.full_name, n.email, n.phone, coalesce(n.status, 'active'), n.date_of_birth, n.gender, n.height_cm,
           n.weight_kg, n.address_line1, n.address_line2, n.city, n.state, n.postcode, coalesce(n.country, 'Australia'),
           n.emergency_contact_name, n.emergency_contact_phone, n.source, n.notes
      from unnest(v_plan) as p cross join lateral jsonb_populate_record(null::public.clients, p.client) as n
     where p.outcome = 'created';
    update public.clients as c
       set (full_name, email, phone, status, date_of_birth, gender, height_cm, weight_kg, address_line1, address_line2, city, state, postcode,
            country, emergency_contact_name, emergency_contact_phone, source, notes)
         = (select n.full_name, n.email, n.phone, n.status, n.date_of_birth, n.gender, n.height_cm, n.weight_kg, n.address_line1, n.address_line2,
                   n.city, n.state, n.postcode, n.country, n.emergency_contact_name, n.emergency_contact_phone, n.source, n.notes
              from jsonb_populate_record(c, (select jsonb_object_agg(f.key, f.value) from jsonb_each(p.client) as f where f.key = any (p.changed))) as n)
      from unnest(v_plan) as p
     where c.org_id = p_import.org_id and c.id = p.client_id and p.outcome = 'updated' and p.changed <> '{}';
    -- Sessions already used open the package's ledger.
    insert into public.client_purchases (
      org_id, client_id, offer_id, amount_paid_cents, currency, sessions_total, sessions_used, purchased_at, expires_at, payment_status,
      payment_method, session_duration_mins, source, request_id)
    select p_import.org_id, p.client_id, p.offer_id, p.amount_cents, p.currency, p.sessions_total, p.sessions_used, p.purchased_at,
           p.expires_at, 'succeeded', p.payment_method, p.session_duration_mins, 'import', p.request_id
      from unnest(v_plan) as p where p.package = 'created';
  end if;

  insert into private.client_import_rows (
    org_id, import_id, line, outcome, slug, column_name, changed, client_id, package, of_line, email_key, phone_key, name_key, package_key)
  select p_import.org_id, p_import.id, p.line, p.outcome, p.slug, p.column_name, p.changed,
         case when not p_import.is_dry_run or exists (select from public.clients as c where c.org_id = p_import.org_id and c.id = p.client_id)
              then p.client_id end,
         p.package, p.of_line, p.email_key, p.phone_key, p.name_key, p.package_key
    from unnest(v_plan) as p;
  return query
  select r.* from private.client_import_rows as r
   where r.org_id = p_import.org_id and r.import_id = p_import.id and r.line = any (v_lines) order by r.line;
end;
$$;
comment on function private.import_clients is
  'Imports a batch of at most 1,000 rows and returns what became of each. Fails: brake_on 423, value_not_allowed 422.';
