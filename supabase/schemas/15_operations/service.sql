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
returns table (id uuid, kind text, client_id uuid, purchase_id uuid, booking_id uuid, created_at timestamptz, note text)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select a.id, a.kind, a.client_id, a.purchase_id, a.booking_id, a.created_at, a.note
    from public.alerts as a
   where a.org_id = p_org_id and a.resolved_at is null
   order by a.created_at desc
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_alerts is
  'An organisation''s open alerts, newest first; the note is what an automation says. Fails: org_not_found 404.';
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

create function service.act(p_action text, p_args jsonb default '{}')
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.act(p_action, p_args, true);
$$;
comment on function service.act is
  'Does what an operator asks, and writes its one audit row; a refusal is returned with its status. Actions and their arguments: private.admin_actions and the comments of private.act_<action>. Fails: value_not_allowed 422.';
revoke all on function service.act(text, jsonb) from public, anon, authenticated;
grant execute on function service.act(text, jsonb) to service_role;

create function service.sweep_support_access(
  p_limit integer default 1000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (ended integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  with due as (
    select s.org_id, s.id from public.support_access as s
     where s.ended_at is null and s.expires_at <= p_now
     order by s.expires_at limit p_limit for update skip locked),
  -- Before it ends: the row is the organisation's, and says that nobody ended it.
  done as (
    select case when p_dry_run then false else private.end_support_access(d.org_id, d.id, p_now) end as is_ended, d.org_id, d.id from due as d),
  told as (
    select private.record_audit(d.org_id, 'expire_support', 'support_access', d.id) from done as d where d.is_ended)
  select count(*)::integer + 0 * (select count(*)::integer from told) into ended from done;
  return next;
end;
$$;
comment on function service.sweep_support_access is
  'Puts away support accesses that have run out (they let nobody in from that instant on), at most p_limit (1 to 100000) a call. Fails: value_not_allowed 422.';
revoke all on function service.sweep_support_access(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_support_access(integer, timestamptz, boolean) to service_role;

create function service.sweep_audit(
  p_limit integer default 10000, p_now timestamptz default now(), p_dry_run boolean default false, p_keep_days integer default 2557)
returns table (deleted integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_until timestamptz := p_now - make_interval(days => p_keep_days);
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  perform private.require_value(p_keep_days between 90 and 36500, 'keep_days');
  if p_dry_run then
    select (select count(*) from public.audit_log as a where a.happened_at < v_until)
         + (select count(*) from private.platform_audit_log as a where a.happened_at < v_until) into deleted;
    return next;
    return;
  end if;
  -- The ledgers' one door, for their owner in this transaction alone.
  perform set_config('coach.erase', 'on', true);
  with old as (
    select a.org_id, a.id from public.audit_log as a where a.happened_at < v_until order by a.happened_at limit p_limit for update skip locked),
  gone as (
    delete from public.audit_log as a using old as o where a.org_id = o.org_id and a.id = o.id returning 1),
  old_platform as (
    select a.id from private.platform_audit_log as a where a.happened_at < v_until order by a.happened_at limit p_limit for update skip locked),
  gone_platform as (
    delete from private.platform_audit_log as a using old_platform as o where a.id = o.id returning 1)
  select (select count(*) from gone) + (select count(*) from gone_platform) into deleted;
  perform set_config('coach.erase', 'off', true);
  return next;
end;
$$;
comment on function service.sweep_audit is
  'Deletes audit rows that are older than p_keep_days (90 to 36500, else seven years), at most p_limit (1 to 100000) of each log a call. Fails: value_not_allowed 422.';
revoke all on function service.sweep_audit(integer, timestamptz, boolean, integer) from public, anon, authenticated;
grant execute on function service.sweep_audit(integer, timestamptz, boolean, integer) to service_role;

create function service.defer_provider(p_provider text, p_account text, p_until timestamptz, p_reason text default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_provider ~ '^[a-z][a-z0-9_-]{0,39}$', 'provider');
  perform private.require_value(coalesce(char_length(p_account), 0) <= 200, 'account');
  perform private.defer_provider(p_provider, p_account, least(p_until, now() + interval '1 day'),
                                 substring(p_reason from '^[A-Za-z0-9_.-]{1,100}$'));
end;
$$;
comment on function service.defer_provider is
  'Leaves a provider''s account (null: the platform''s) alone until an instant, at most a day; what waits goes on by itself then. p_reason: the provider''s code. Fails: value_not_allowed 422.';
revoke all on function service.defer_provider(text, text, timestamptz, text) from public, anon, authenticated;
grant execute on function service.defer_provider(text, text, timestamptz, text) to service_role;

create function service.list_provider_limits()
returns table (provider text, account text, until_at timestamptz, reason text)
language sql stable security definer set search_path = ''
as $$
  select l.provider, l.account, l.until_at, l.reason from private.provider_limits as l where l.until_at > now() order by l.until_at;
$$;
comment on function service.list_provider_limits is 'The providers'' accounts that are left alone now, and until when.';
revoke all on function service.list_provider_limits() from public, anon, authenticated;
grant execute on function service.list_provider_limits() to service_role;

create function service.install_cron_job(p_job text, p_function text, p_limit integer, p_schedule text)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.install_cron_job(p_job, p_function, p_limit, p_schedule);
$$;
comment on function service.install_cron_job is
  'Lets pg_cron run a sweep of the database (a function service.sweep_…) by a cron expression in UTC; again: by the new one. Fails: pg_cron_missing 409, value_not_allowed 422.';
revoke all on function service.install_cron_job(text, text, integer, text) from public, anon, authenticated;
grant execute on function service.install_cron_job(text, text, integer, text) to service_role;

create function service.list_cron_jobs()
returns table (job text, schedule text, is_active boolean, last_started_at timestamptz, last_error text)
language sql stable security definer set search_path = ''
as $$
  select j.job, j.schedule, j.is_active, j.last_started_at, j.last_error from private.list_cron_jobs() as j;
$$;
comment on function service.list_cron_jobs is 'The sweeps that pg_cron runs, and how each ended last. Fails: pg_cron_missing 409.';
revoke all on function service.list_cron_jobs() from public, anon, authenticated;
grant execute on function service.list_cron_jobs() to service_role;

create function service.remove_cron_jobs()
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.remove_cron_jobs();
$$;
comment on function service.remove_cron_jobs is 'Lets pg_cron run none of the sweeps any more; how many it had. Fails: pg_cron_missing 409.';
revoke all on function service.remove_cron_jobs() from public, anon, authenticated;
grant execute on function service.remove_cron_jobs() to service_role;
