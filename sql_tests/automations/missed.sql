-- What was due while nothing swept: skip, latest, all, each within its grace; and a changed timezone.
begin;
select plan(14);
create function pg_temp.automate(p_name text, p_trigger jsonb, p_next timestamptz) returns void language plpgsql as $$
declare
  v_id uuid;
begin
  insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
  values (tests.id('kilo'), p_name, p_trigger, '[]', '[{"type": "notify_trainer", "params": {}}]', '{}') returning id into v_id;
  update public.automations set next_run_at = p_next where id = v_id;
end;
$$;
create function pg_temp.firings(p_name text) returns text language sql as $$
  select string_agg(to_char(f.due_at at time zone 'Australia/Brisbane', 'DD HH24:MI') || ' ' || f.status || case when f.missed > 0 then ' +' || f.missed else '' end, ', ' order by f.due_at)
    from public.automation_firings as f join public.automations as a on a.org_id = f.org_id and a.id = f.automation_id where a.name = p_name;
$$;
create function pg_temp.next(p_name text) returns text language sql as $$
  select to_char(next_run_at at time zone 'Australia/Brisbane', 'DD HH24:MI') from public.automations where name = p_name;
$$;
create function pg_temp.sweep(p_now timestamptz) returns void language plpgsql as $$
begin
  while (select s.planned + s.fired > 0 from service.sweep_automations(p_now => p_now) as s) loop
  end loop;
end;
$$;
-- Nothing swept from the 1st to noon on the 4th.
select pg_temp.automate('skip', '{"type": "schedule", "schedule": "daily", "missed": "skip"}', '2027-03-01 09:00+10'),
       pg_temp.automate('latest', '{"type": "schedule", "schedule": "daily"}', '2027-03-01 09:00+10'),
       pg_temp.automate('all', '{"type": "schedule", "schedule": "daily", "missed": "all", "grace_hours": 60}', '2027-03-01 09:00+10'),
       pg_temp.automate('hours', '{"type": "schedule", "schedule": "hourly", "missed": "all", "grace_hours": 3}', '2027-03-01 09:00+10'),
       pg_temp.automate('short', '{"type": "schedule", "schedule": "daily", "grace_hours": 2}', '2027-03-01 09:00+10'),
       pg_temp.automate('long', '{"type": "schedule", "schedule": "monthly", "missed": "all", "grace_hours": 1}', '2027-03-01 09:00+10');
select pg_temp.sweep('2027-03-04 12:00+10');
select is(pg_temp.firings('skip'), '04 09:00 skipped +3', 'skip: what is half an hour late is left out, and it says so');
select is(pg_temp.firings('latest'), '04 09:00 ok +3', 'latest: the last of them');
select is(pg_temp.firings('all'), '02 09:00 ok +1, 03 09:00 ok, 04 09:00 ok', 'all: each within its grace');
select is(pg_temp.firings('hours'), '04 09:00 ok +72, 04 10:00 ok, 04 11:00 ok, 04 12:00 ok', 'by the hour too');
select is(pg_temp.firings('short'), '04 09:00 skipped +3', 'what is too late for its grace is left out');
select is(pg_temp.firings('long'), '01 09:00 skipped', 'also the only one there is');
select is(pg_temp.next('skip') || ' ' || pg_temp.next('latest') || ' ' || pg_temp.next('all') || ' ' || pg_temp.next('hours') || ' ' || pg_temp.next('long'),
          '05 09:00 05 09:00 05 09:00 04 13:00 01 09:00', 'the next is ahead');
select is((select count(distinct reason) || min(reason) from public.automation_firings where status = 'skipped'), '1missed', 'the reason is kept');
select pg_temp.sweep('2027-03-04 12:30+10'), pg_temp.sweep('2027-03-05 09:29+10');
select is(pg_temp.firings('skip'), '04 09:00 skipped +3, 05 09:00 ok', 'skip: within half an hour it fires');

-- Nine o'clock stays nine o'clock; what is due already is not lost.
select pg_temp.automate('zone', '{"type": "schedule", "schedule": "daily"}', '2030-01-01 09:00+10'), pg_temp.automate('due', '{"type": "schedule", "schedule": "daily"}', now() - interval '1 minute');
update public.booking_settings set timezone = 'Australia/Perth' where org_id = :'kilo';
select is((select (next_run_at at time zone 'Australia/Perth')::time from public.automations where name = 'zone'), '09:00'::time, 'a new timezone plans anew');
select is((select next_run_at from public.automations where name = 'due'), now() - interval '1 minute', 'what is due stays due');
update public.automations set enabled = false where name = 'zone';
select is((select num_nulls(next_run_at, enabled_at) from public.automations where name = 'zone'), 2, 'what is off is not planned');
update public.automations set enabled = true where name = 'zone';
select ok((select next_run_at > now() from public.automations where name = 'zone'), 'what is on again is');
update public.automations set trigger = '{"type": "event", "event": "risk_red"}' where name = 'zone';
select is((select next_run_at from public.automations where name = 'zone'), null, 'what waits for an event is not');
select * from finish();
rollback;
