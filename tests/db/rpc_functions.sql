-- One function for each shape that a call can have: what goes in, what comes out, what goes wrong.

create schema service;
grant usage on schema service to service_role;

create function service.echo(
  p_uuid uuid default null, p_at timestamptz default null, p_on date default null, p_number numeric default null,
  p_int integer default 7, p_big bigint default null, p_json jsonb default null, p_ids uuid[] default null,
  p_words text[] default null, p_flag boolean default null, p_text text default null)
returns jsonb language sql stable set search_path = ''
begin atomic
  select jsonb_build_object(
    'uuid', p_uuid, 'at', p_at, 'on', p_on, 'number', p_number, 'int', p_int, 'big', p_big, 'json', p_json, 'ids', p_ids,
    'words', p_words, 'flag', p_flag, 'text', p_text);
end;

create function service.give_uuid() returns uuid language sql as $$ select '00000000-0000-0000-0000-000000000001'::uuid $$;
create function service.give_instant() returns timestamptz language sql as $$ select '2026-11-01 01:30:00.5+10'::timestamptz $$;
create function service.give_big() returns bigint language sql as $$ select 5000000000 $$;
create function service.give_flag() returns boolean language sql as $$ select true $$;
create function service.give_text() returns text language sql as $$ select 'it''s "quoted" \ %s é' $$;
create function service.give_null() returns text language sql as $$ select null::text $$;
create function service.give_words() returns text[] language sql as $$ select array['a', 'b'] $$;
create function service.give_nothing() returns void language sql as $$ select $$;
create function service.give_pair(out a integer, out b text) language sql as $$ select 1, 'x' $$;
create function service.give_ids(p_count integer) returns setof uuid language sql as $$
  select ('00000000-0000-0000-0000-00000000000' || n)::uuid from generate_series(1, p_count) as n
$$;
create function service.give_column(p_count integer) returns table (n integer) language sql as $$
  select generate_series(1, p_count)
$$;
create function service.give_rows(p_count integer)
returns table (id uuid, at timestamptz, "on" date, amount numeric, big bigint, words text[], doc jsonb, note text)
language sql as $$
  select ('00000000-0000-0000-0000-00000000000' || n)::uuid, '2026-11-01 01:30:00+10'::timestamptz, '2026-11-01'::date, 1.5,
         5000000000, array['x'], '{"a": [1, null]}'::jsonb, null
    from generate_series(1, p_count) as n
$$;
create function service.who_am_i() returns jsonb language sql as $$
  select jsonb_build_object('user', current_user, 'claim', current_setting('request.jwt.claims')::jsonb ->> 'role',
                            'zone', current_setting('timezone'))
$$;

create function service.refuse(p_status integer default 409) returns void language plpgsql as $$
begin
  raise exception using errcode = 'PT' || p_status, message = 'No.', detail = 'slug_here', hint = 'Do this.';
end;
$$;
create function service.refuse_and_count() returns jsonb language sql as $$
  select '{"code": "PT429", "message": "Slow down.", "details": "too_many", "hint": null}'::jsonb
$$;
create function service.fail_with(p_code text) returns integer language plpgsql as $$
begin
  raise exception 'Failing row contains (someone@example.com)' using errcode = p_code;
end;
$$;
create function service.forbidden() returns integer language sql as $$ select 1 $$;
create function service.wait_for(p_seconds double precision) returns integer language sql as $$
  select 1 from pg_sleep(p_seconds)
$$;
create function service.count_call() returns bigint language plpgsql as $$
begin
  insert into public.calls default values;
  perform pg_sleep(0.3);
  return (select count(*) from public.calls);
end;
$$;
create function service.give_caller() returns text language sql as $$
  select split_part(nullif(current_setting('request.headers', true), '')::json ->> 'x-forwarded-for', ',', 1)
$$;
create table public.calls (id uuid primary key default gen_random_uuid());
grant insert, select on public.calls to service_role;
create function service.give_call() returns public.calls language sql as $$
  select row('00000000-0000-0000-0000-000000000001')::public.calls
$$;
create function service.give_calls() returns setof public.calls language sql as $$ select (service.give_call()).* $$;

revoke execute on all functions in schema service from public;
grant execute on all functions in schema service to service_role;
revoke execute on function service.forbidden() from service_role;
