-- Pulse: for every kind of work that runs by itself, what waits and since when, how it goes, what is stuck, and what fixes it.
-- Each kind's function is a few looks at partial indexes of what is due, so that it costs what waits and not what was ever done; a count
-- stops at 10,000. The thresholds are rows of private.work_kinds.

-- What waits for one kind: {backlog, oldest_due_at, done, failed, deferred_until, failures: [{reason, count}], stuck: [{id, since, reason, fix}]},
-- each of which a function may leave out.
create function private.pulse_bookings(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with due as (
    (select b.id, b.end_time as due_at from public.bookings as b
      where b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < p_now order by b.end_time limit 10000)
    union all
    (select b.id, b.due_since + interval '2 minutes' from public.bookings as b
      where b.settlement = 'due' and b.due_since < p_now - interval '2 minutes' order by b.due_since limit 10000))
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(d.due_at), 'stuck', (
    select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.due_at, 'reason', 'not_settled', 'fix', 'coach booking complete ' || s.id) order by s.due_at)
      from (select * from due as x where x.due_at < p_now - interval '1 day' order by x.due_at limit 10) as s))
    from due as d;
$$;
comment on function private.pulse_bookings is 'Pulse: bookings that are over and not completed, or due and not settled; stuck after a day.';

create function private.pulse_holds(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(d.expires_at))
    from (select h.expires_at from private.holds as h where h.status = 'held' and h.expires_at < p_now order by h.expires_at limit 10000) as d;
$$;
comment on function private.pulse_holds is 'Pulse: holds that have run out and still keep their row.';

-- What is due is what the sweep itself finds out, at its cost; here it is enough that it has run where somebody wants reminders.
create function private.pulse_reminders(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('oldest_due_at', greatest(
    (select min(s.created_at) from public.sms_schedules as s where s.enabled),
    (select j.started_at from private.job_runs as j
      where j.job = 'sweep_reminders' and j.error is null and j.finished_at is not null order by j.started_at desc limit 1)));
$$;
comment on function private.pulse_reminders is 'Pulse: since when nobody has asked what reminders are due, where an organisation has a schedule.';

create function private.pulse_channel(p_channel text, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with due as (
    select m.next_at
      from (select x.channel, x.org_id, x.next_at from public.outbox_messages as x
             where x.status in ('pending', 'queued') and x.priority in (0, 1) and x.next_at <= p_now limit 30000) as m
     where m.channel = p_channel and m.org_id <> all ((select private.braked_orgs(p_channel))::uuid[])),
  tries as (
    select a.status, a.error_code
      from public.outbox_attempts as a
      join public.outbox_messages as m on m.org_id = a.org_id and m.id = a.message_id
     where a.created_at > p_now - interval '1 hour' and m.channel = p_channel),
  stuck as (
    select m.id, m.claimed_at from public.outbox_messages as m
     where m.status = 'sending' and m.next_at < p_now - interval '15 minutes' and m.channel = p_channel order by m.next_at limit 10)
  select jsonb_build_object(
    'backlog', (select count(*) from due), 'oldest_due_at', (select min(d.next_at) from due as d),
    'done', (select count(*) from tries as t where t.status = 'sent'),
    'failed', (select count(*) from tries as t where t.status in ('failed', 'unknown')),
    'deferred_until', (select max(l.until_at) from private.provider_limits as l where l.provider = private.provider_of(p_channel) and l.until_at > p_now),
    'failures', (select jsonb_agg(jsonb_build_object('reason', f.reason, 'count', f.n) order by f.n desc, f.reason)
                   from (select coalesce(t.error_code, t.status) as reason, count(*) as n
                           from tries as t where t.status in ('failed', 'unknown') group by 1 order by 2 desc, 1 limit 5) as f),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.claimed_at, 'reason', 'lease_ran_out', 'fix', 'coach sweep messages') order by s.claimed_at)
                from stuck as s));
$$;
comment on function private.pulse_channel is 'Pulse of one channel: what may leave and has not, the last hour''s attempts, and claims that were never given back.';

create function private.pulse_sms(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$ select private.pulse_channel('sms', p_now); $$;
comment on function private.pulse_sms is 'Pulse: texts.';

create function private.pulse_email(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$ select private.pulse_channel('email', p_now); $$;
comment on function private.pulse_email is 'Pulse: emails.';

create function private.pulse_push(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$ select private.pulse_channel('push', p_now); $$;
comment on function private.pulse_push is 'Pulse: push messages.';

-- A text is looked up for three days; of an email or a push message nobody can be asked. What is not found then is for somebody to send
-- again or to leave, and told for a day.
create function private.pulse_unknown_messages(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with unknown as (
    select m.org_id, m.id, m.next_at, m.claimed_at, case m.channel when 'sms' then m.claimed_at + interval '3 days' else m.claimed_at end as given_up_at
      from public.outbox_messages as m
     where m.status = 'unknown' order by m.next_at limit 10000)
  select jsonb_build_object(
    'backlog', count(*) filter (where u.given_up_at > p_now), 'oldest_due_at', min(u.next_at) filter (where u.next_at <= p_now and u.given_up_at > p_now),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.claimed_at, 'reason', 'never_found', 'fix', 'coach messages retry ' || s.id) order by s.claimed_at)
                from (select * from unknown as x
                       where x.given_up_at between p_now - interval '1 day' and p_now
                         and not exists (select from public.outbox_messages as f where f.org_id = x.org_id and f.cause_id = x.id)
                       order by x.claimed_at limit 10) as s))
    from unknown as u;
$$;
comment on function private.pulse_unknown_messages is 'Pulse: messages that may have been sent; stuck when they can no longer be looked up and nobody has sent them again, for a day.';

create function private.pulse_callbacks(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  -- Kept for a week, for messages that are recorded late: what lies there longer was not cleared.
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(e.received_at) filter (where e.received_at < p_now - interval '7 days') + interval '7 days')
    from (select x.received_at from private.unmatched_sms_events as x order by x.received_at limit 10000) as e;
$$;
comment on function private.pulse_callbacks is 'Pulse: status callbacks of messages that nobody knows.';

create function private.pulse_clean_up(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(r.window_started_at) + interval '1 day')
    from (select x.window_started_at from private.rate_limits as x
           where x.window_started_at < p_now - interval '1 day' order by x.window_started_at limit 10000) as r;
$$;
comment on function private.pulse_clean_up is 'Pulse: counts of calls that are older than a day.';

-- What a kind's function says; one that cannot be read says so and hides no other.
create function private.read_pulse(p_kind text, p_now timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_reading jsonb;
begin
  execute format('select private.%I($1)', 'pulse_' || p_kind) into v_reading using p_now;
  return jsonb_strip_nulls(v_reading);
exception when others then
  raise log 'pulse of % failed: SQLSTATE %', p_kind, sqlstate;
  return jsonb_build_object('unreadable', sqlstate);
end;
$$;
comment on function private.read_pulse is 'The reading of private.pulse_<kind>, or {unreadable: SQLSTATE}.';

create function private.pulse(p_now timestamptz default now())
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with readings as (
    select k.*, r.reading, j.runs, j.failed_runs, j.last_run_at, j.last_error, j.done as jobs_done,
           coalesce((r.reading ->> 'backlog')::bigint, 0) as backlog, (r.reading ->> 'oldest_due_at')::timestamptz as oldest_due_at,
           coalesce((r.reading ->> 'done')::bigint, j.done) as done, coalesce((r.reading ->> 'failed')::bigint, 0) as failed,
           (r.reading ->> 'deferred_until')::timestamptz as deferred_until, coalesce(r.reading -> 'failures', '[]') as failures,
           coalesce(r.reading -> 'stuck', '[]') as stuck, r.reading ? 'unreadable' as is_unreadable,
           k.brake is not null and private.is_braked(k.brake) as is_braked
      from private.work_kinds as k
     cross join lateral (select private.read_pulse(k.kind, p_now) as reading offset 0) as r
     cross join lateral (
       select count(*) as runs, count(*) filter (where x.error is not null) as failed_runs, max(x.started_at) as last_run_at,
              (array_agg(x.error order by x.started_at desc))[1] as last_error,
              coalesce(sum((select sum((x.result ->> key)::bigint) from unnest(k.done_keys) as key)), 0)::bigint as done
         from private.job_runs as x
        where x.job = any (k.jobs) and x.started_at > p_now - interval '1 hour' and x.started_at <= p_now and x.finished_at is not null) as j),
  judged as (
    select r.*, r.failed::numeric / nullif(r.done + r.failed, 0) as error_rate, w.failing, w.degraded
      from readings as r
     cross join lateral (
       select array_remove(array[
                case when r.is_unreadable then 'unreadable' end,
                case when not r.is_braked and r.oldest_due_at < p_now - r.failing_after then 'overdue' end,
                case when r.failed >= r.least_errors and r.failed >= r.failing_error_rate * (r.done + r.failed) then 'errors' end,
                case when r.runs >= 3 and r.failed_runs = r.runs then 'runs_fail' end], null) as failing,
              array_remove(array[
                case when r.is_braked then 'brake_on' end,
                case when not r.is_braked and r.oldest_due_at < p_now - r.degraded_after then 'overdue' end,
                case when r.failed >= r.least_errors and r.failed >= r.degraded_error_rate * (r.done + r.failed) then 'errors' end,
                case when r.last_error is not null then 'last_run_failed' end,
                case when r.deferred_until > p_now then 'deferred' end,
                case when r.stuck <> '[]' then 'stuck' end], null) as degraded) as w),
  verdicts as (
    select j.*, case when j.failing <> '{}' then 'failing' when j.degraded <> '{}' then 'degraded' else 'healthy' end as verdict,
           case when j.failing <> '{}' then j.failing else j.degraded end as reasons
      from judged as j)
  select jsonb_build_object(
    'as_of', p_now,
    'verdict', coalesce((array_agg(v.verdict order by array_position('{failing,degraded,healthy}'::text[], v.verdict)))[1], 'healthy'),
    'kinds', jsonb_agg(jsonb_build_object(
      'kind', v.kind, 'description', v.description, 'verdict', v.verdict, 'reasons', v.reasons,
      'backlog', v.backlog, 'oldest_due_at', v.oldest_due_at,
      'oldest_due_secs', greatest(extract(epoch from p_now - v.oldest_due_at), 0)::bigint,
      'done', v.done, 'failed', v.failed, 'error_rate', round(v.error_rate, 4), 'deferred_until', v.deferred_until,
      'failures', v.failures || case when v.last_error is null then '[]' else jsonb_build_array(jsonb_build_object('reason', v.last_error, 'count', v.failed_runs)) end,
      'stuck', v.stuck, 'runs', v.runs, 'last_run_at', v.last_run_at,
      'degraded_after_secs', extract(epoch from v.degraded_after)::bigint, 'failing_after_secs', extract(epoch from v.failing_after)::bigint,
      'fix', case when v.verdict = 'healthy' then null when v.is_braked then 'coach brake list' else v.fix end) order by v.kind))
    from verdicts as v;
$$;
comment on function private.pulse is
  'The pulse: {as_of, verdict: healthy | degraded | failing, kinds: [{kind, description, verdict, reasons, backlog, oldest_due_at, oldest_due_secs, done, failed, error_rate, deferred_until, failures, stuck, runs, last_run_at, degraded_after_secs, failing_after_secs, fix}]}; done, failed and runs are of the last hour.';

create function private.admin_pulse()
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  if not private.may_operate('pulse.read') then
    perform private.fail(403, 'platform_permission_missing', 'Your rights on the platform do not include this.', 'Ask who manages the platform''s admins.');
  end if;
  return private.pulse();
end;
$$;
comment on function private.admin_pulse is 'The pulse, for a platform admin with pulse.read. Fails: platform_permission_missing 403.';
