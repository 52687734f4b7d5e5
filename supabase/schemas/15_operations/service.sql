-- Operations for the Python side: the record of job runs, health.

create function service.start_job_run(p_job text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_value(p_job ~ '^[a-z_]{1,60}$', 'job');
  insert into private.job_runs (job) values (p_job) returning id into v_id;
  return v_id;
end;
$$;
comment on function service.start_job_run is
  'Records that a job begins; returns the run''s id. Fails: value_not_allowed 422.';
revoke all on function service.start_job_run(text) from public, anon, authenticated;
grant execute on function service.start_job_run(text) to service_role;

create function service.finish_job_run(p_id uuid, p_result jsonb default null, p_error text default null)
returns void
language sql volatile security definer set search_path = ''
as $$
  update private.job_runs as j
     set finished_at = clock_timestamp(), result = p_result, error = p_error
   where j.id = p_id and j.finished_at is null;
$$;
comment on function service.finish_job_run is
  'Records how a run ended, once: its counts, or the slug of what stopped it.';
revoke all on function service.finish_job_run(uuid, jsonb, text) from public, anon, authenticated;
grant execute on function service.finish_job_run(uuid, jsonb, text) to service_role;

create function service.list_job_runs(p_job text default null, p_limit integer default 20)
returns table (id uuid, job text, started_at timestamptz, finished_at timestamptz, result jsonb, error text)
language sql stable security definer set search_path = ''
as $$
  select j.id, j.job, j.started_at, j.finished_at, j.result, j.error
    from private.job_runs as j
   where p_job is null or j.job = p_job
   order by j.started_at desc
   limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.list_job_runs is
  'The latest runs, newest first; a run without finished_at is running or was killed.';
revoke all on function service.list_job_runs(text, integer) from public, anon, authenticated;
grant execute on function service.list_job_runs(text, integer) to service_role;

create function service.list_alerts(p_org_id uuid, p_limit integer default 100)
returns table (id uuid, kind text, client_id uuid, purchase_id uuid, booking_id uuid, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select a.id, a.kind, a.client_id, a.purchase_id, a.booking_id, a.created_at
    from public.alerts as a
   where a.org_id = p_org_id and a.resolved_at is null
   order by a.created_at desc
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_alerts is
  'An organisation''s open alerts, newest first. Fails: org_not_found 404.';
revoke all on function service.list_alerts(uuid, integer) from public, anon, authenticated;
grant execute on function service.list_alerts(uuid, integer) to service_role;

create function service.health()
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_migration text;
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    execute 'select max(version) from supabase_migrations.schema_migrations' into v_migration;
  end if;
  return jsonb_build_object('database', 'ok', 'migration', v_migration, 'server_version', current_setting('server_version'));
end;
$$;
comment on function service.health is
  'Answers when the database does: its version and its latest migration.';
revoke all on function service.health() from public, anon, authenticated;
grant execute on function service.health() to service_role;

create function service.sweep_rate_limits(
  p_limit integer default 10000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (deleted integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  with old as (
    select r.bucket, r.key_hash, r.window_started_at
      from private.rate_limits as r where r.window_started_at < p_now - interval '1 day'
     limit p_limit for update skip locked),
  gone as (
    delete from private.rate_limits as r using old as o
     where (r.bucket, r.key_hash, r.window_started_at) = (o.bucket, o.key_hash, o.window_started_at) and not p_dry_run
    returning 1)
  select case when p_dry_run then (select count(*) from old) else (select count(*) from gone) end::integer into deleted;
  return next;
end;
$$;
comment on function service.sweep_rate_limits is
  'Deletes counts of calls that are older than a day, at most p_limit (1 to 100000) a call. Fails: value_not_allowed 422.';
revoke all on function service.sweep_rate_limits(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_rate_limits(integer, timestamptz, boolean) to service_role;

create function service.pull_brake(p_kind text, p_reason text, p_org_id uuid default null, p_banner text default null)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_org_id is not null then
    perform private.require_known_org(p_org_id);
  end if;
  return private.pull_brake(p_kind, p_org_id, p_reason, p_banner);
end;
$$;
comment on function service.pull_brake is
  'Stops a kind of work (sms, email, push, payments, imports, automations, assistant, sign_up) for an organisation, or with none for everybody; false when it was stopped. Fails: org_not_found 404, value_not_allowed 422, reason_missing 422.';
revoke all on function service.pull_brake(text, text, uuid, text) from public, anon, authenticated;
grant execute on function service.pull_brake(text, text, uuid, text) to service_role;

create function service.release_brake(p_kind text, p_reason text, p_org_id uuid default null)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_org_id is not null then
    perform private.require_known_org(p_org_id);
  end if;
  return private.release_brake(p_kind, p_org_id, p_reason);
end;
$$;
comment on function service.release_brake is
  'Lets a kind of work go on that a brake stopped; false when none was on there. Fails: org_not_found 404, value_not_allowed 422, reason_missing 422.';
revoke all on function service.release_brake(text, text, uuid) from public, anon, authenticated;
grant execute on function service.release_brake(text, text, uuid) to service_role;

create function service.list_brakes()
returns table (kind text, org_id uuid, slug text, reason text, banner text, pulled_by uuid, pulled_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select b.kind, b.org_id, o.slug, b.reason, b.banner, b.pulled_by, b.pulled_at
    from private.brakes as b left join public.orgs as o on o.id = b.org_id
   order by b.pulled_at, b.id;
$$;
comment on function service.list_brakes is 'The brakes that are on, oldest first; without an organisation: for everybody.';
revoke all on function service.list_brakes() from public, anon, authenticated;
grant execute on function service.list_brakes() to service_role;
