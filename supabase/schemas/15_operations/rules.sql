-- Operations rules: auditing of every write that changes a rule, and the record of job runs.

create function private.is_platform_admin()
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.platform_admins as a where a.user_id = (select auth.uid()));
$$;
comment on function private.is_platform_admin is 'True when the signed-in person runs the platform.';

-- Arguments: columns whose change is no change of a rule (counters, timestamps).
create function private.tg__audit()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_row jsonb := coalesce(v_new, v_old);
  v_changed text[];
begin
  select coalesce(array_agg(k order by k), '{}') into v_changed
    from jsonb_object_keys(v_row) as k
   where tg_op = 'UPDATE' and v_new -> k is distinct from v_old -> k and k <> all (tg_argv::text[] || '{updated_at}'::text[]);
  if tg_op <> 'UPDATE' or v_changed <> '{}' then
    insert into public.audit_log (org_id, actor_id, actor_role, action, subject_type, subject_id, changed_columns)
    select o.id, auth.uid(), coalesce(nullif(current_setting('role', true), 'none'), session_user), lower(tg_op), tg_table_name,
           coalesce(v_row ->> 'id', v_row ->> 'org_id')::uuid, v_changed
      from public.orgs as o
     where o.id = (case tg_table_name when 'orgs' then v_row ->> 'id' else v_row ->> 'org_id' end)::uuid;
  end if;
  return null;
end;
$$;
comment on function private.tg__audit is 'Writes one audit row for an insert, update or delete: names of the changed columns, no values.';

create trigger audit_log__append_only before update or delete on public.audit_log
  for each row execute function private.tg__append_only();
create trigger audit_log__no_truncate before truncate on public.audit_log
  for each statement execute function private.tg__append_only();

create trigger orgs__audit after insert or update on public.orgs
  for each row execute function private.tg__audit();
create trigger org_members__audit after insert or update or delete on public.org_members
  for each row execute function private.tg__audit();
create trigger branding__audit after insert or update or delete on public.branding
  for each row execute function private.tg__audit();
create trigger offers__audit after insert or update or delete on public.offers
  for each row execute function private.tg__audit();
create trigger promo_codes__audit after insert or update or delete on public.promo_codes
  for each row execute function private.tg__audit('times_used');
create trigger booking_settings__audit after insert or update or delete on public.booking_settings
  for each row execute function private.tg__audit();
create trigger session_types__audit after insert or update or delete on public.session_types
  for each row execute function private.tg__audit();

create function private.raise_alert(
  p_org_id uuid, p_kind text, p_client_id uuid, p_purchase_id uuid, p_booking_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into public.alerts (org_id, kind, client_id, purchase_id, booking_id)
  values (p_org_id, p_kind, p_client_id, p_purchase_id, p_booking_id)
  on conflict do nothing;
$$;
comment on function private.raise_alert is 'Tells the organisation something once; repeating it while it is open adds nothing.';
