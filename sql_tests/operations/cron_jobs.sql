-- pg_cron: sweeps scheduled inside of the database, by what its extension offers; refused where it is not there.
begin;
select plan(20);
select tests.as_service();
select tests.refuses($$ select service.list_cron_jobs() $$, 409, 'pg_cron_missing', 'without pg_cron there is nothing to list');
select tests.refuses($$ select service.install_cron_job('bookings', 'sweep_overdue_bookings', 100, '* * * * *') $$, 409, 'pg_cron_missing', 'nor to schedule');
select tests.as_owner();
-- As much of pg_cron as is used of it.
create schema cron;
create table cron.job (jobid bigint generated always as identity primary key, schedule text, command text, active boolean default true, jobname text unique);
create function cron.schedule(job_name text, schedule text, command text) returns bigint language sql as $$
  insert into cron.job as j (jobname, schedule, command) values (job_name, schedule, command)
  on conflict (jobname) do update set schedule = excluded.schedule, command = excluded.command returning j.jobid;
$$;
create function cron.unschedule(job_id bigint) returns boolean language sql as $$ delete from cron.job where jobid = job_id returning true; $$;
insert into cron.job (jobname, schedule, command) values ('somebody elses', '* * * * *', 'select 1');

select tests.as_service();
select lives_ok($$ select service.install_cron_job('bookings', 'sweep_overdue_bookings', 100, '* * * * *') $$, 'a sweep is scheduled');
select lives_ok($$ select service.install_cron_job('bookings', 'sweep_overdue_bookings', 100, '*/5 * * * *') $$, 'and again, otherwise');
select lives_ok($$ select service.install_cron_job('automations', 'sweep_automations', 200, '30 seconds') $$, 'every half minute');
select is((select string_agg(job || ' ' || schedule || ' ' || is_active, ', ' order by job) from service.list_cron_jobs()), 'automations 30 seconds true, bookings */5 * * * * true', 'and listed once');
select tests.refuses(format($$ select service.install_cron_job('x', %L, 100, '* * * * *') $$, f), 422, 'value_not_allowed', 'no sweep: ' || f)
  from unnest(array['sweep_nothing', 'health', 'sweep_rate_limits(1); drop table public.orgs; --', 'claim_messages']) as f;
select tests.refuses(format($$ select service.install_cron_job('x', 'sweep_automations', 100, %L) $$, s), 422, 'value_not_allowed', 'no schedule: ' || s)
  from unnest(array['daily', '* * * *', '']) as s;

-- What it runs does what the sweep does, and is on record.
select tests.as_owner();
select tests.make_booking('over', null, now() - interval '5 hours');
do $$ declare v_command text := (select command from cron.job where jobname = 'coach_bookings'); begin execute v_command; end; $$;
select is((select status from public.bookings where id = tests.id('over')), 'completed', 'the scheduled command sweeps');
select is((select result ->> 'completed' || coalesce(error, '') from private.job_runs where job = 'sweep_bookings' order by started_at desc limit 1), '1', 'and keeps a record');
select is((select last_error from service.list_cron_jobs() where job = 'bookings' and last_started_at is not null), null, 'which the list shows');
create or replace function service.sweep_reminders(p_limit integer default 1000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (queued integer, skipped integer) language plpgsql as $$ begin perform private.fail(409, 'broken_today', 'x'); end; $$;
select is(private.run_sweep('reminders', 'sweep_reminders', 10), null, 'one that fails');
select is((select error from private.job_runs where job = 'sweep_reminders'), 'broken_today', 'leaves why');
select is(service.remove_cron_jobs(), 2, 'they are removed');
select is((select string_agg(jobname, '') from cron.job), 'somebody elses', 'and nobody else''s');
select * from finish();
rollback;
