-- The audit logs: who did what to what, on whose behalf, and why. One writer; who did it is never an argument.
-- Invariant: a value is kept only where private.audited_columns names its column. Everything else leaves its name.

create function private.audited_values(p_subject_type text, p_values jsonb)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_object_agg(v.key, v.value)
    from jsonb_each(p_values) as v
    join private.audited_columns as c on c.subject_type = p_subject_type and c.column_name = v.key;
$$;
comment on function private.audited_values is 'Of a row''s values those that the audit logs may keep; null where there are none.';

create function private.request_id()
returns text
language sql stable security invoker set search_path = ''
as $$
  select left(nullif(current_setting('request.headers', true), '')::json ->> 'x-request-id', 100);
$$;
comment on function private.request_id is 'The id that the caller gave its request (x-request-id); null where there is none.';

create function private.write_audit(
  p_org_id uuid, p_action text, p_subject_type text, p_subject_id uuid, p_changed_columns text[], p_before jsonb, p_after jsonb,
  p_reason text, p_refused text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
  v_before jsonb := private.audited_values(p_subject_type, p_before);
  v_after jsonb := private.audited_values(p_subject_type, p_after);
  -- Set by private.act alone: what an operator's action changes is told by the action's own row.
  v_is_told boolean := current_setting('coach.acts', true) = 'on';
begin
  if v_is_told then
    return;
  end if;
  if p_org_id is null then
    insert into private.platform_audit_log
      (actor_id, actor_role, action, subject_type, subject_id, changed_columns, before, after, reason, refused, request_id)
    values (auth.uid(), v_role, p_action, p_subject_type, p_subject_id, p_changed_columns, v_before, v_after,
            left(p_reason, 500), p_refused, private.request_id());
  else
    insert into public.audit_log
      (org_id, actor_id, actor_role, action, subject_type, subject_id, changed_columns, before, after, reason, refused, support_access_id, request_id)
    -- Not where the organisation itself is going: its log goes with it.
    select o.id, auth.uid(), v_role, p_action, p_subject_type, p_subject_id, p_changed_columns, v_before, v_after,
           left(p_reason, 500), p_refused, private.open_support_access(o.id), private.request_id()
      from public.orgs as o where o.id = p_org_id;
  end if;
end;
$$;
comment on function private.write_audit is 'Adds one row to an organisation''s audit log, or with no organisation to the platform''s; who did it is found here.';

create function private.record_audit(
  p_org_id uuid, p_action text, p_subject_type text, p_subject_id uuid, p_before jsonb default null, p_after jsonb default null,
  p_reason text default null)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.write_audit(
           p_org_id, p_action, p_subject_type, p_subject_id,
           coalesce((select array_agg(k.name order by k.name)
                       from (select jsonb_object_keys(p_before) union select jsonb_object_keys(p_after)) as k (name)
                      where p_before -> k.name is distinct from p_after -> k.name), '{}'),
           p_before, p_after, p_reason, null);
$$;
comment on function private.record_audit is
  'One audit row (no organisation: the platform''s). p_before and p_after are values by column, of which only those in private.audited_columns are kept; actor, support access and request are filled in.';
