-- Tenancy for apps.

create function public.switch_org(p_org_id uuid)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_switch_org(p_org_id);
end;
comment on function public.switch_org is
  'Makes one of your organisations the active one and returns its id; org_members then shows that membership. Fails: org_not_found 404.';
revoke all on function public.switch_org(uuid) from public, anon, service_role;
grant execute on function public.switch_org(uuid) to authenticated;
grant execute on function private.member_switch_org(uuid) to authenticated;

create function public.list_members(p_org_id uuid)
returns table (member_id uuid, user_id uuid, full_name text, email text, role text, joined_at timestamptz)
language sql stable security invoker set search_path = ''
begin atomic
  select t.member_id, t.user_id, t.full_name, t.email, t.role, t.joined_at from private.member_team(p_org_id) as t;
end;
comment on function public.list_members is
  'The team of an organisation, oldest first. Needs members.read. Fails: org_not_found 404, permission_missing 403.';
revoke all on function public.list_members(uuid) from public, anon, service_role;
grant execute on function public.list_members(uuid) to authenticated;
grant execute on function private.member_team(uuid) to authenticated;
