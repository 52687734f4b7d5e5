-- Schedules: when an automation is due, by its organisation's clock.
-- A wall time that a day leaves out moves forward; one that comes twice counts at the first only; a date that a month lacks is its last.

create function private.due_times(p_trigger jsonb, p_timezone text, p_from timestamptz, p_until timestamptz)
returns setof timestamptz
language sql stable security definer set search_path = ''
as $$
  with asked as (
    select coalesce(p_trigger ->> 'schedule', 'daily') as schedule, coalesce((p_trigger ->> 'time')::time, '09:00') as time,
           coalesce((p_trigger ->> 'minute')::integer, 0) as minute, coalesce((p_trigger ->> 'day_of_week')::integer, 1) as day_of_week,
           coalesce((p_trigger ->> 'day_of_month')::integer, 1) as day_of_month, (p_trigger ->> 'starts_on')::date as starts_on,
           p_from at time zone p_timezone as first, p_until at time zone p_timezone as last),
  walls as (
    select h.hour + make_interval(mins => a.minute) as wall
      from asked as a
     cross join lateral generate_series(date_trunc('hour', a.first) - interval '2 hours', a.last + interval '2 hours', '1 hour') as h (hour)
     where a.schedule = 'hourly'
    union all
    select d.day::date + a.time
      from asked as a
     cross join lateral generate_series(a.first::date - 1, a.last::date + 1, interval '1 day') as d (day)
     where case a.schedule
             when 'daily' then true
             when 'weekly' then extract(dow from d.day) = a.day_of_week
             when 'fortnightly' then extract(dow from d.day) = a.day_of_week
                                     and (d.day::date - private.first_day(a.starts_on, a.day_of_week)) % 14 = 0
             when 'monthly' then extract(day from d.day) = least(
               a.day_of_month, extract(day from date_trunc('month', d.day) + interval '1 month - 1 day')) end)
  select distinct i.at
    from walls as w
   cross join asked as a
   cross join lateral (select private.local_to_instant(p_timezone, w.wall)) as i (at)
   where i.at > p_from and i.at <= p_until and (a.starts_on is null or w.wall::date >= a.starts_on);
$$;
comment on function private.due_times is 'The due times of a schedule after one instant and up to another.';

create function private.first_day(p_from date, p_day_of_week integer)
returns date
language sql immutable security invoker set search_path = ''
as $$
  select p_from + (p_day_of_week - extract(dow from p_from)::integer + 7) % 7;
$$;
comment on function private.first_day is 'The first such day of the week on or after a date; 0 is Sunday.';

create function private.next_due(p_trigger jsonb, p_timezone text, p_after timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select min(d.at)
    from (select greatest(p_after, private.local_to_instant(p_timezone, (p_trigger ->> 'starts_on')::date::timestamp) - interval '1 second') as after) as s
   cross join lateral private.due_times(p_trigger, p_timezone, s.after, s.after + case p_trigger ->> 'schedule'
     when 'hourly' then interval '1 day' when 'weekly' then interval '9 days' when 'fortnightly' then interval '16 days'
     when 'monthly' then interval '63 days' else interval '4 days' end) as d (at);
$$;
comment on function private.next_due is 'The first due time of a schedule after an instant.';

-- What is told of by a daily look, at the trigger's time: nothing happens in the database on a birthday.
create function private.is_planned(p_trigger jsonb)
returns boolean
language sql immutable security invoker set search_path = ''
as $$
  select p_trigger ->> 'type' = 'schedule' or p_trigger ->> 'event' in ('inactivity', 'birthday');
$$;
comment on function private.is_planned is 'True for what is due by the clock: schedules, and the events that a daily look finds.';

create function private.tg_automations__plan()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(new.org_id);
begin
  -- What is missing is another trigger's refusal.
  if num_nulls(new.org_id, new.trigger, new.conditions, new.actions, new.guardrails) > 0 then
    return new;
  end if;
  if tg_op = 'INSERT' or (new.trigger, new.conditions, new.actions, new.guardrails)
                         is distinct from (old.trigger, old.conditions, old.actions, old.guardrails) then
    perform private.check_automation(new.org_id, new.trigger, new.conditions, new.actions, new.guardrails);
  end if;
  -- Which fortnight is meant is kept, and so does not depend on when anybody asks.
  if new.trigger ->> 'schedule' = 'fortnightly' and new.trigger ->> 'starts_on' is null then
    new.trigger := new.trigger || jsonb_build_object('starts_on', (now() at time zone v_timezone)::date);
  end if;
  if not new.enabled then
    new.enabled_at := null;
    new.next_run_at := null;
  elsif tg_op = 'INSERT' or not old.enabled then
    new.enabled_at := now();
    new.next_run_at := case when private.is_planned(new.trigger) then private.next_due(new.trigger, v_timezone, now()) end;
  elsif new.trigger is distinct from old.trigger then
    new.next_run_at := case when private.is_planned(new.trigger) then private.next_due(new.trigger, v_timezone, now()) end;
  end if;
  return new;
end;
$$;
comment on function private.tg_automations__plan is 'Checks an automation that is saved, and says when it is due next and since when it is on.';
create trigger automations__plan before insert or update of enabled, trigger, conditions, actions, guardrails on public.automations
  for each row execute function private.tg_automations__plan();
create trigger automations__touch before update of name, enabled, trigger, conditions, actions, guardrails on public.automations
  for each row execute function private.tg__touch_updated_at();
create trigger webhook_endpoints__touch before update on public.webhook_endpoints
  for each row execute function private.tg__touch_updated_at();
create trigger risk_settings__touch before update on public.risk_settings
  for each row execute function private.tg__touch_updated_at();

-- Nine o'clock is nine o'clock by the new clock; what is due already stays due.
create function private.tg_booking_settings__replan()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.automations as a set next_run_at = private.next_due(a.trigger, new.timezone, now())
   where a.org_id = new.org_id and a.next_run_at > now();
  update private.risk_schedule as r
     set next_at = private.local_to_instant(new.timezone, (r.scored_on + 1)::timestamp)
   where r.org_id = new.org_id;
  return null;
end;
$$;
comment on function private.tg_booking_settings__replan is 'Lets a change of the timezone hold for what is planned.';
create trigger booking_settings__replan after update of timezone on public.booking_settings
  for each row when (old.timezone <> new.timezone) execute function private.tg_booking_settings__replan();
create trigger booking_settings__replan_first after insert on public.booking_settings
  for each row when (new.timezone <> 'Australia/Brisbane') execute function private.tg_booking_settings__replan();

create function private.claim_automations(p_limit integer, p_now timestamptz)
returns table (org_id uuid, id uuid, trigger jsonb, guardrails jsonb, next_run_at timestamptz)
language sql volatile security definer set search_path = ''
as $$
  select a.org_id, a.id, a.trigger, a.guardrails, a.next_run_at
    from public.automations as a
   where a.next_run_at <= p_now and a.org_id <> all ((select private.braked_orgs('automations'))::uuid[])
   order by a.next_run_at
   limit p_limit for no key update of a skip locked;
$$;
comment on function private.claim_automations is 'Locks what is due by the clock, oldest first, but what another worker has and what is braked.';

-- What was due while nothing swept: `skip` leaves out what is half an hour late, `latest` (the default) fires the last of what is
-- no older than grace_hours (24), `all` each of it. What is passed over is counted on the next firing.
create function private.plan_automations(p_limit integer, p_now timestamptz, p_dry_run boolean)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_planned integer;
begin
  with due as materialized (
    select c.* from private.claim_automations(p_limit, p_now) as c),
  timed as (
    select d.*, z.timezone, coalesce(d.trigger ->> 'missed', 'latest') as policy, t.times,
           p_now - case coalesce(d.trigger ->> 'missed', 'latest') when 'skip' then interval '30 minutes'
                   else make_interval(hours => coalesce((d.trigger ->> 'grace_hours')::integer, 24)) end as not_before
      from due as d
     cross join lateral (select private.org_timezone(d.org_id)) as z (timezone)
     cross join lateral (
       select array_agg(x.at order by x.at) from (
         select d.next_run_at
         union
         select private.due_times(d.trigger, z.timezone, greatest(d.next_run_at, p_now - interval '366 days'), p_now)) as x (at)) as t (times)),
  chosen as materialized (
    select t.*, case when t.policy = 'all' and t.times[cardinality(t.times)] >= t.not_before
                     then (select min(x.at) from unnest(t.times) as x (at) where x.at >= t.not_before)
                     else t.times[cardinality(t.times)] end as due_at
      from timed as t),
  fired as (
    insert into public.automation_firings (org_id, automation_id, due_at, next_at, status, reason, missed, fired_at)
    select c.org_id, c.id, c.due_at, coalesce(private.guard_until(c.guardrails, c.timezone, c.due_at), c.due_at),
           case when c.due_at < c.not_before then 'skipped' else 'pending' end,
           case when c.due_at < c.not_before then 'missed' end,
           array_position(c.times, c.due_at) - 1, case when c.due_at < c.not_before then p_now end
      from chosen as c
     where c.trigger ->> 'type' = 'schedule' and not p_dry_run
    on conflict (org_id, automation_id, due_at) where event_key is null do nothing),
  found as (
    insert into public.automation_firings (org_id, automation_id, due_at, next_at, event, event_key, client_id)
    select c.org_id, c.id, c.due_at, coalesce(private.guard_until(c.guardrails, c.timezone, c.due_at), c.due_at),
           c.trigger ->> 'event', (c.trigger ->> 'event') || '-' || e.key, e.client_id
      from chosen as c
     cross join lateral private.find_events(c.org_id, c.trigger, (c.times[1] at time zone c.timezone)::date, p_now) as e
     where c.trigger ->> 'type' = 'event' and not p_dry_run
    on conflict (org_id, automation_id, event_key) where event_key is not null do nothing),
  planned as (
    update public.automations as a
       set next_run_at = coalesce(
             case when c.policy = 'all' and a.trigger ->> 'type' = 'schedule'
                  then (select min(x.at) from unnest(c.times) as x (at) where x.at > c.due_at) end,
             private.next_due(c.trigger, c.timezone, p_now))
      from chosen as c
     where a.org_id = c.org_id and a.id = c.id and not p_dry_run)
  select count(*)::integer into v_planned from chosen;
  return v_planned;
end;
$$;
comment on function private.plan_automations is
  'Turns what is due by the clock into firings, once for each due time, and says when each is due next; how many were due.';

-- Quiet hours of an automation's own, in whole local hours.
create function private.guard_until(p_guardrails jsonb, p_timezone text, p_at timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select private.quiet_until(p_timezone, private.guard_hour(p_guardrails -> 'quiet_hours_start'), private.guard_hour(p_guardrails -> 'quiet_hours_end'), p_at)
   where p_guardrails ->> 'quiet_hours_start' is not null and p_guardrails ->> 'quiet_hours_end' is not null;
$$;
comment on function private.guard_until is 'When the quiet hours of an automation end that an instant lies in; null outside of them.';

create function private.guard_hour(p_value jsonb)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select case when p_value #>> '{}' ~ '^([01]?[0-9]|2[0-3])(:00(:00)?)?$' then split_part(p_value #>> '{}', ':', 1)::integer end;
$$;
comment on function private.guard_hour is 'A local hour, 0 to 23, as a number or as 21:00; null when it is none.';
