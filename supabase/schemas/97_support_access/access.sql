-- Who sees support accesses; and what holds for every table, whatever its domain: under support access nothing is deleted directly, and nothing of high risk is written.
-- The last room of access, so that it finds every grant. A table that gains a delete grant gains the trigger with it.

alter table public.support_access enable row level security;
revoke all on public.support_access from public, anon, authenticated, service_role;
grant select on public.support_access to authenticated, service_role;
create policy support_access_select_people on public.support_access for select to authenticated
  using (org_id = any ((select private.orgs_with('audit.read'))::uuid[]) or user_id = (select auth.uid()));

do $$
declare
  v_table record;
begin
  for v_table in
    select c.oid::regclass as name
      from pg_catalog.pg_class as c
     where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and has_table_privilege('authenticated', c.oid, 'delete')
     order by c.relname
  loop
    execute format(
      'create trigger aa_refuse_support_access before delete on %s
         for each row when (current_user = ''authenticated'') execute function private.tg__refuse_support_access()', v_table.name);
  end loop;

  -- Where money goes, and whose devices and words they are: no direct write at all.
  for v_table in
    select c.oid::regclass as name
      from pg_catalog.pg_class as c
     where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
       and c.relname in ('org_payout_settings', 'org_payouts', 'stripe_accounts', 'push_tokens', 'messages', 'client_waivers', 'client_invites')
       and has_any_column_privilege('authenticated', c.oid, 'insert, update')
     order by c.relname
  loop
    execute format(
      'create trigger aa_refuse_support_write before insert or update on %s
         for each row when (current_user = ''authenticated'') execute function private.tg__refuse_support_access()', v_table.name);
  end loop;
end;
$$;

-- What would hand over an account, or speak for somebody: addresses, links, consents.
create trigger aa_refuse_support_write before update on public.clients
  for each row when (current_user = 'authenticated')
  execute function private.tg__refuse_support_access(
    'email', 'phone', 'portal_token', 'onboarding_token', 'auth_user_id', 'sms_opt_in', 'email_opt_in');
