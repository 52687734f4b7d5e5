-- pg_cron, where the database has it: sweeps that need nothing but the database run inside of it. Its schema may be absent, so
-- nothing here names it before it is asked for.

create function private.require_pg_cron()
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if to_regclass('cron.job') is null or to_regprocedure('cron.schedule(text, text, text)') is null then
    perform private.fail(409, 'pg_cron_missing', 'This database has no pg_cron.',
                         'Run create extension pg_cron, or use another scheduler: see docs/schedules.md.');
  end if;
end;
$$;
comment on function private.require_pg_cron is 'Refuses where the extension pg_cron is not there: pg_cron_missing 409.';

-- Only a sweep: a function of `service` that takes a limit and can be run dry.
create function private.require_sweep(p_function text)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_value(
    p_function ~ '^sweep_[a-z_]{1,50}$' and exists (
      select from pg_catalog.pg_proc as p
       where p.pronamespace = 'service'::regnamespace and p.proname = p_function and p.proargnames @> '{p_limit,p_dry_run}'), 'function');
end;
$$;
comment on function private.require_sweep is 'Refuses what is no sweep that the database does alone: value_not_allowed 422.';

-- As `coach sweep` does it once: a record of the run, and batches until nothing is done, within half a minute. All of it is one
-- transaction, since a scheduled command is; what is left over, the next run does.
create function private.run_sweep(p_job text, p_function text, p_limit integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_run_id uuid;
  v_counts jsonb;
  v_total jsonb := '{}';
  v_slug text;
  v_ends timestamptz := clock_timestamp() + interval '30 seconds';
begin
  perform private.require_sweep(p_function);
  v_run_id := service.start_job_run('sweep_' || p_job);
  begin
    loop
      execute format('select to_jsonb(s) from (select * from service.%I(p_limit => $1, p_dry_run => false)) as s', p_function) into v_counts using p_limit;
      select jsonb_object_agg(c.key, c.value::bigint + coalesce((v_total ->> c.key)::bigint, 0)) into v_total from jsonb_each_text(v_counts) as c;
      exit when not exists (select from jsonb_each_text(v_counts - 'skipped') as c where c.value::bigint > 0) or clock_timestamp() > v_ends;
    end loop;
  exception when others then
    get stacked diagnostics v_slug = pg_exception_detail;
    perform service.finish_job_run(v_run_id, v_total, case when sqlstate like 'PT%' then v_slug else 'internal_error' end);
    return null;
  end;
  perform service.finish_job_run(v_run_id, v_total);
  return v_total;
end;
$$;
comment on function private.run_sweep is 'Runs a sweep as a scheduled command, and keeps a record of it; its counts, or null when it failed.';

create function private.install_cron_job(p_job text, p_function text, p_limit integer, p_schedule text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_pg_cron(), private.require_sweep(p_function);
  perform private.require_value(p_job ~ '^[a-z_]{1,50}$', 'job');
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  perform private.require_value(p_schedule ~ '^([0-9*/,-]+( [0-9*/,-]+){4}|[1-5]?[0-9] seconds)$', 'schedule');
  -- The same name again replaces what was scheduled under it.
  execute 'select cron.schedule($1, $2, $3)'
    using 'coach_' || p_job, p_schedule, format('select private.run_sweep(%L, %L, %s)', p_job, p_function, p_limit);
end;
$$;
comment on function private.install_cron_job is 'Schedules a sweep by pg_cron. Fails: pg_cron_missing 409, value_not_allowed 422.';

create function private.list_cron_jobs()
returns table (job text, schedule text, is_active boolean, last_started_at timestamptz, last_error text)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_pg_cron();
  return query execute $q$
    select substr(j.jobname, 7), j.schedule, j.active, r.started_at, r.error
      from cron.job as j
      left join lateral (select x.started_at, x.error from private.job_runs as x
                          where x.job = 'sweep_' || substr(j.jobname, 7) order by x.started_at desc limit 1) as r on true
     where j.jobname like 'coach\_%'
     order by j.jobname $q$;
end;
$$;
comment on function private.list_cron_jobs is 'The sweeps that pg_cron runs, and how each ended last. Fails: pg_cron_missing 409.';

create function private.remove_cron_jobs()
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_removed integer;
begin
  perform private.require_pg_cron();
  execute $q$ select count(cron.unschedule(j.jobid))::integer from cron.job as j where j.jobname like 'coach\_%' $q$ into v_removed;
  return v_removed;
end;
$$;
comment on function private.remove_cron_jobs is 'Lets pg_cron run none of the sweeps any more; how many it had. Fails: pg_cron_missing 409.';
