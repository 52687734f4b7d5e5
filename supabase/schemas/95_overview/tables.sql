-- Overviews keep nothing but the list of work that runs by itself, with the thresholds that the pulse judges it by.

create table private.work_kinds (
  kind text primary key,
  description text not null,
  jobs text[] not null default '{}',
  done_keys text[] not null default '{}',
  brake text,
  degraded_after interval not null,
  failing_after interval not null,
  degraded_error_rate numeric not null default 0.05,
  failing_error_rate numeric not null default 0.25,
  least_errors integer not null default 3,
  fix text not null,
  constraint work_kinds_kind_form check (kind ~ '^[a-z_]{1,40}$'),
  constraint work_kinds_failing_later check (failing_after > degraded_after and degraded_after > interval '0'),
  constraint work_kinds_error_rates_ordered check (0 < degraded_error_rate and degraded_error_rate < failing_error_rate and failing_error_rate <= 1),
  constraint work_kinds_least_errors_range check (least_errors >= 1)
);
comment on table private.work_kinds is
  'The kinds of work that run by themselves and how the pulse judges each. A kind is a row here and a function private.pulse_<kind>(now) that reads what waits; a domain adds its own.';
comment on column private.work_kinds.jobs is 'The jobs (private.job_runs) that do it: a last run that ended in an error counts against it.';
comment on column private.work_kinds.done_keys is 'Which counts of those jobs'' results are its throughput, where its function does not say.';
comment on column private.work_kinds.brake is 'The brake that stops it, if any: what waits then is no fault of its own.';
comment on column private.work_kinds.degraded_after is 'How long what is due longest may wait; failing_after: from when on nobody can be said to work on it.';
comment on column private.work_kinds.degraded_error_rate is 'Share of the last hour''s attempts that failed, judged from least_errors failures on.';
comment on column private.work_kinds.fix is 'The command that gets it going.';
-- What was tried in the last hour; a range index, since attempts come in the order of their time and a queue must not pay for a look at it.
create index outbox_attempts_created_idx on public.outbox_attempts using brin (created_at) with (pages_per_range = 32, autosummarize = on);
-- What failed lately: few, so the index is small, and only a failure writes to it.
create index refunds_failed_idx on public.refunds (settled_at) where status = 'failed';
create index automation_firings_failed_idx on public.automation_firings (fired_at) where status = 'failed';
create index webhook_deliveries_failed_idx on public.webhook_deliveries (created_at) where status = 'failed';
