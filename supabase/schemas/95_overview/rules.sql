-- Overviews: what a page shows at once, in sections that stand or fall alone; money by month; the pulse of the work that runs by itself.
-- Invariant: nothing here writes, and no figure is kept: each is read off the tables whose it is, at the moment it is asked for.
-- Not here: the rules that make those rows.

-- One section. Each is a function (organisation, whom or when it is about, now) returning its data; what goes wrong in it stays in it.
-- The words of a foreign error may quote a row, so an answer names our slug or none, and the log the SQLSTATE.
create function private.section(p_function text, p_is_allowed boolean, p_org_id uuid, p_subject text, p_now timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_data jsonb;
  v_state text;
  v_slug text;
begin
  if not p_is_allowed then
    return jsonb_build_object('status', 'refused', 'data', null, 'error', 'permission_missing');
  end if;
  execute format('select private.%I($1, %L, $2)', p_function, p_subject) into v_data using p_org_id, p_now;
  return jsonb_build_object('status', 'ok', 'data', v_data, 'error', null);
exception when others then
  get stacked diagnostics v_state = returned_sqlstate, v_slug = pg_exception_detail;
  raise log 'overview section % failed: SQLSTATE %', p_function, v_state;
  return jsonb_build_object('status', 'failed', 'data', null, 'error', case when v_state ~ '^PT4' then v_slug else 'section_failed' end);
end;
$$;
comment on function private.section is
  'One section of an overview: {status: ok | refused | failed, data, error}, error being a slug: permission_missing, section_failed, or the rule''s own.';
