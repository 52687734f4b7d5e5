-- The doctor for operators.

create function service.examine(p_is_quick boolean default false, p_now timestamptz default now())
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.examine(p_now, p_is_quick);
$$;
comment on function service.examine is
  'Looks at everything that private.doctor_checks lists, or quickly at what costs little: {checked, findings: [{check, severity, meaning, fix, count, examples: [{org_id, subject, detail}]}], blind: [{check, sqlstate}]}. Changes nothing.';
revoke all on function service.examine(boolean, timestamptz) from public, anon, authenticated;
grant execute on function service.examine(boolean, timestamptz) to service_role;

-- What the migrations say is given by whoever has them; both directions are drift.
create function service.grant_drift(p_expected jsonb)
returns table (function text, role text, is_extra boolean)
language sql stable security definer set search_path = ''
as $$
  with expected as (
    select f.key as function, jsonb_array_elements_text(f.value) as role from jsonb_each(p_expected) as f)
  select coalesce(a.function, e.function), coalesce(a.role, e.role), e.function is null
    from (select distinct g.function, g.role from private.function_grants() as g) as a
    full join expected as e on e.function = a.function and e.role = a.role
   where a.function is null or e.function is null
   order by 1, 2;
$$;
comment on function service.grant_drift is
  'Where the right to call functions differs from what the migrations gave: p_expected {function: [role]}; is_extra: may be called and should not.';
revoke all on function service.grant_drift(jsonb) from public, anon, authenticated;
grant execute on function service.grant_drift(jsonb) to service_role;

create function service.clock()
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select clock_timestamp();
$$;
comment on function service.clock is 'What time it is in the database.';
revoke all on function service.clock() from public, anon, authenticated;
grant execute on function service.clock() to service_role;

create function service.timezones(p_limit integer default 200)
returns table (timezone text, utc_offset_secs integer, utc_offset_secs_in_half_a_year integer)
language sql stable security definer set search_path = ''
as $$
  select b.timezone,
         extract(epoch from (now() at time zone b.timezone) - (now() at time zone 'UTC'))::integer,
         extract(epoch from ((now() + interval '182 days') at time zone b.timezone) - ((now() + interval '182 days') at time zone 'UTC'))::integer
    from (select distinct s.timezone from public.booking_settings as s
           where exists (select from pg_catalog.pg_timezone_names as n where n.name = s.timezone)) as b
   order by 1 limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.timezones is 'The timezones that organisations have, with their offsets from UTC by the database''s data: now, and in half a year.';
revoke all on function service.timezones(integer) from public, anon, authenticated;
grant execute on function service.timezones(integer) to service_role;
