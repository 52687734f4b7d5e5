-- Overviews for operators and monitors.

create function service.pulse()
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.pulse();
$$;
comment on function service.pulse is
  'Every kind of work that runs by itself: {as_of, verdict: healthy | degraded | failing, kinds: [{kind, description, verdict, reasons, backlog, oldest_due_at, oldest_due_secs, done, failed, error_rate, deferred_until, failures: [{reason, count}], stuck: [{id, since, reason, fix}], runs, last_run_at, degraded_after_secs, failing_after_secs, fix}]}. done, failed and runs are of the last hour.';
revoke all on function service.pulse() from public, anon, authenticated;
grant execute on function service.pulse() to service_role;
