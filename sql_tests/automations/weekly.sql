-- A weekly automation that is looked at every minute for three weeks over the end of daylight saving fires three times.
begin;
select plan(5);
select tests.open_studio();
update public.booking_settings set timezone = 'Australia/Sydney' where org_id = :'kilo';
select tests.sign_in('coach@kilo.example');
insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
values (:'kilo', 'Mondays', '{"type": "schedule", "schedule": "weekly", "day_of_week": 1, "time": "09:00"}', '[]',
        '[{"type": "send_message", "params": {"message": "Hi {first_name}, ready for the week?"}}]', '{}')
returning id as mondays \gset
select tests.remember('mondays', :'mondays');
select tests.as_owner();
update public.automations set next_run_at = private.next_due(trigger, 'Australia/Sydney', '2027-03-23 00:00+00') where id = :'mondays';
create function pg_temp.tick(p_from timestamptz, p_until timestamptz) returns integer language plpgsql as $$
declare
  v_now timestamptz := p_from;
  v_fired integer := 0;
begin
  while v_now < p_until loop
    v_fired := v_fired + (select s.fired from service.sweep_automations(p_now => v_now) as s);
    v_now := v_now + interval '1 minute';
  end loop;
  return v_fired;
end;
$$;
select is(pg_temp.tick('2027-03-23 00:00+00', '2027-04-13 00:00+00'), 3, 'thirty thousand looks, three firings');
select results_eq($$ select due_at at time zone 'Australia/Sydney', due_at at time zone 'UTC', status, ok_count from public.automation_firings where automation_id = tests.id('mondays') order by due_at $$,
  $$ values ('2027-03-29 09:00'::timestamp, '2027-03-28 22:00'::timestamp, 'ok', 3), ('2027-04-05 09:00', '2027-04-04 23:00', 'ok', 3), ('2027-04-12 09:00', '2027-04-11 23:00', 'ok', 3) $$,
  'each at nine by the clock on the wall, before and after it was put back');
select is((select count(*) from public.automation_runs where automation_id = tests.id('mondays')), 9::bigint, 'each for each client, and no row for any other look');
select is((select string_agg(distinct m.body, ' | ' order by m.body) from public.messages as m), 'Hi Ann, ready for the week? | Hi Ben, ready for the week? | Hi Client, ready for the week?', 'in their own names');
select is((select next_run_at at time zone 'Australia/Sydney' from public.automations where id = :'mondays'), '2027-04-19 09:00'::timestamp, 'and the next is planned');
select * from finish();
rollback;
