-- Foundation rules: how everything here refuses, and the trigger functions that any table may use.
-- Not here: what is refused. That is said where the rule lives.

-- Raises SQLSTATE PT<status>; the Data API answers with that HTTP status and `details` = the slug.
create function private.fail(p_status integer, p_slug text, p_message text, p_hint text default null)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT' || p_status, message = p_message, detail = p_slug, hint = coalesce(p_hint, '');
end;
$$;
comment on function private.fail is
  'Refuses: SQLSTATE PT<status>, detail = the stable slug, message = a sentence without data, hint = the next action.';

create function private.tg__touch_updated_at()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end;
$$;
comment on function private.tg__touch_updated_at is 'Sets updated_at; attach it with a WHEN that lets a caller who sends updated_at have their way.';

-- A ledger is only ever added to. The one exception is the owner who has opened the erase door in this transaction
-- (retention, GDPR): set local coach.erase = 'on'. No API role owns a table, so none can pass.
create function private.tg__append_only()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if tg_level = 'ROW' and tg_op = 'DELETE' and current_setting('coach.erase', true) = 'on'
     and current_user = (select c.relowner::regrole::text from pg_catalog.pg_class as c where c.oid = tg_relid) then
    return old;
  end if;
  perform private.fail(403, 'ledger_append_only', 'Entries of a ledger are never changed or deleted.',
                       'Add an entry that corrects it.');
end;
$$;
comment on function private.tg__append_only is 'Refuses update, delete and truncate on a ledger, but for its owner''s erase door.';

-- Turns a constraint violation into our own error before Postgres raises its own, whose DETAIL carries the row's values
-- to the caller and into the server's log. Reads the constraints from the catalogue, so a table only has to attach it:
-- last among its BEFORE triggers, and for direct writes by API roles alone (functions check for themselves).
create function private.tg__refuse_clearly()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_row jsonb := to_jsonb(new);
  v_rule record;
  v_ok boolean;
  -- Where apps upsert by the primary key: that it is taken is what they mean to meet.
  v_is_upserted boolean := tg_nargs > 0 and tg_argv[0] = 'upserted';
  v_is_outsider boolean := auth.role() = 'authenticated' and v_row ? 'org_id'
    and not ((v_row ->> 'org_id')::uuid = any (private.orgs_with('org.read')) or private.founds((v_row ->> 'org_id')::uuid)
             or coalesce((v_row ->> 'client_id')::uuid = any (private.my_client_ids()), false));
begin
  for v_rule in
    select a.attname
      from pg_catalog.pg_attribute as a
     where a.attrelid = tg_relid and a.attnum > 0 and not a.attisdropped and a.attnotnull and a.attgenerated = ''
       and v_row ->> a.attname::text is null
  loop
    perform private.fail(422, 'value_missing', 'A required value is missing.', format('Send a value for %s.', v_rule.attname));
  end loop;

  for v_rule in
    select c.conname, c.contype, pg_catalog.pg_get_expr(c.conbin, c.conrelid) as expression,
           c.confrelid::regclass as parent, k.own, k.pairs, k.is_made_here
      from pg_catalog.pg_constraint as c
      left join lateral (
        select array_agg(a.attname::text) as own,
               string_agg(format('p.%I = ($1).%I', coalesce(f.attname, a.attname), a.attname), ' and ') as pairs,
               bool_or(a.atthasdef) as is_made_here
          from unnest(c.conkey, c.confkey) as u (own, parent)
          join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attnum = u.own
          left join pg_catalog.pg_attribute as f on f.attrelid = c.confrelid and f.attnum = u.parent) as k on c.contype <> 'c'
     where c.conrelid = tg_relid and c.contype in ('c', 'f', 'u', 'p')
     order by c.contype, c.conname
  loop
    if v_rule.contype = 'c' then
      execute format('select (%s) from (select ($1).*) as %I', v_rule.expression, tg_table_name) into v_ok using new;
      if v_ok is false then
        perform private.fail(422, 'value_not_allowed', 'A value is not one that is allowed here.',
                             format('The rule is %s.', v_rule.conname));
      end if;
    elsif not exists (select from unnest(v_rule.own) as c (name) where v_row ->> c.name is null) then
      -- Whether a row or a value exists in an organisation is not told to people outside it, unless the row is about themselves as
      -- its client: the policies refuse them next.
      -- A key that is made here (an id) collides with nothing.
      continue when v_is_outsider or v_rule.contype = 'p' and (v_rule.is_made_here or v_is_upserted);
      -- Only what this write sets: an update that leaves a key alone is not asked about it again.
      continue when tg_op = 'UPDATE'
        and not exists (select from unnest(v_rule.own) as c (name) where v_row -> c.name is distinct from to_jsonb(old) -> c.name);
      -- A key to the tenant or to a person is the policies' matter; asking here would tell who exists.
      if v_rule.contype = 'f' then
        continue when cardinality(v_rule.own) = 1;
        execute format('select exists (select from %s as p where %s)', v_rule.parent, v_rule.pairs) into v_ok using new;
        if not v_ok then
          perform private.fail(404, 'reference_not_found', 'Something this row points to does not exist.',
                               format('Check %s.', array_to_string(v_rule.own, ', ')));
        end if;
      else
        execute format('select exists (select from %s as p where %s)', tg_relid::regclass, v_rule.pairs) into v_ok using new;
        if v_ok then
          perform private.fail(409, 'value_taken', 'There is already one with this value.',
                               format('Choose another value for %s.', array_to_string(v_rule.own, ', ')));
        end if;
      end if;
    end if;
  end loop;
  return new;
end;
$$;
comment on function private.tg__refuse_clearly is
  'Refuses a direct write that a constraint would refuse, with a slug and without the row''s values: value_missing 422, value_not_allowed 422, value_taken 409, reference_not_found 404.';

-- Arguments: the referencing table, its column, the slug. Keys are (org_id, id).
create function private.tg__refuse_delete_in_use()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_used boolean;
begin
  execute format('select exists (select from public.%I as r where r.org_id = $1 and r.%I = $2)', tg_argv[0], tg_argv[1])
     into v_used using old.org_id, old.id;
  if v_used then
    perform private.fail(409, tg_argv[2], 'This is in use and keeps history readable.', 'Make it inactive instead.');
  end if;
  return old;
end;
$$;
comment on function private.tg__refuse_delete_in_use is 'Refuses to delete a row that another table still points to, with the slug given as third argument.';

-- The app sends org_id with every change of some tables, so the column is granted there.
create function private.tg__keep_org()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.fail(422, 'org_fixed', 'This stays in the organisation it belongs to.', 'Leave org_id as it is, or make a new one there.');
  return new;
end;
$$;
comment on function private.tg__keep_org is 'Refuses to move a row to another organisation, also for a member of both: org_fixed 422.';

-- What a visitor typed, as a line: no control characters, and none that turn the direction of what is shown beside it.
create function private.clean_line(p_text text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select nullif(btrim(regexp_replace(
           regexp_replace(p_text, '[\u061C\u200B\u200E\u200F\u2028\u2029\u202A-\u202E\u2060\u2066-\u2069\uFEFF\uFFF9-\uFFFB]', '', 'g'),
           '[\u0001-\u0020\u007F-\u00A0]+', ' ', 'g')), '');
$$;
comment on function private.clean_line is 'A visitor''s text as one line, without control and direction characters; null where nothing is left.';

create function private.clean_text(p_text text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select nullif(btrim(regexp_replace(
           regexp_replace(p_text, '[\u061C\u200B\u200E\u200F\u202A-\u202E\u2060\u2066-\u2069\uFEFF\uFFF9-\uFFFB]', '', 'g'),
           '[\u0001-\u0008\u000B-\u001F\u007F-\u009F]+', ' ', 'g'), e' \t\n'), '');
$$;
comment on function private.clean_text is 'A visitor''s text with its lines, without other control and direction characters; null where nothing is left.';
