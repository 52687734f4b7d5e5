-- Overviews for apps.

create function public.client_detail(p_client_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_client_detail(p_client_id);
end;
comment on function public.client_detail is
  'All of one client in one call: {client_id, org_id, as_of, sections: {profile, packages, bookings, money, waivers, communications, measurements, threads}}. Each section is {status: ok | refused | failed, data, error}: refused (permission_missing) where the caller''s role may not see it, failed (section_failed, or the slug of a rule) where it could not be read; neither touches the others, and a page shows a failed one as failed, with a retry. Lists are the newest, beside a total. For members of the client''s organisation. Fails: client_not_found 404.';
revoke all on function public.client_detail(uuid) from public, anon, service_role;
grant execute on function public.client_detail(uuid) to authenticated;
grant execute on function private.member_client_detail(uuid, timestamptz) to authenticated;

create function public.dashboard(p_org_id uuid, p_on date default null)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_dashboard(p_org_id, p_on);
end;
comment on function public.dashboard is
  'An organisation''s day at a glance, around a local date (default today): {org_id, on, timezone, as_of, sections: {today, week, no_show, outstanding, …}}, each section {status: ok | refused | failed, data, error} as in client_detail. Cheap enough to be asked every minute. Needs org.read, and each section its own permission. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function public.dashboard(uuid, date) from public, anon, service_role;
grant execute on function public.dashboard(uuid, date) to authenticated;
grant execute on function private.member_dashboard(uuid, date, timestamptz) to authenticated;

create function public.pulse()
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.admin_pulse();
end;
comment on function public.pulse is
  'How the work that runs by itself goes, for platform admins: {as_of, verdict: healthy | degraded | failing, kinds: […]} as service.pulse has it. Fails: permission_missing 403.';
revoke all on function public.pulse() from public, anon, service_role;
grant execute on function public.pulse() to authenticated;
grant execute on function private.admin_pulse() to authenticated;
