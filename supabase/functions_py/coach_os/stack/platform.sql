-- The platform's part of one database: the schemas and grants that hosted Supabase has before the first migration.
-- Invariant: running it again changes nothing; migrations, which run as postgres, can do here what they can do there.
-- The roles are platform_roles.sql's, the tables of auth platform_auth.sql's. Not here: storage, realtime, vault.

do $$
begin
  -- The owner may alter the database and, as pg_database_owner, owns the schema public.
  execute format('alter database %I owner to postgres', current_database());
  execute format('grant connect, temporary on database %I to anon, authenticated, service_role', current_database());
end;
$$;

create schema if not exists extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role, data_api;

grant all on schema public to postgres;
grant usage on schema public to anon, authenticated, service_role, data_api;

create schema if not exists auth authorization supabase_auth_admin;
comment on schema auth is 'coach-os platform: stands in for the auth of hosted Supabase';
revoke all on schema auth from postgres, anon, authenticated, service_role, data_api;
grant usage on schema auth to postgres, anon, authenticated, service_role, data_api;

do $$
begin
  if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
    alter publication supabase_realtime owner to postgres;
  end if;
end;
$$;

-- As on hosted Supabase: whoever changes the schema, the Data API hears of it when the change commits.
create or replace function extensions.pgrst_ddl_watch()
returns event_trigger
language plpgsql set search_path = ''
as $$
begin
  if exists (
    select from pg_catalog.pg_event_trigger_ddl_commands() as c
     where c.schema_name is distinct from 'pg_temp'
       and (c.command_tag ~ '^(CREATE|ALTER) (SCHEMA|TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|TRIGGER|TYPE|RULE)'
            or c.command_tag in ('CREATE TABLE AS', 'SELECT INTO', 'COMMENT', 'GRANT', 'REVOKE'))
  ) then
    notify pgrst, 'reload schema';
  end if;
end;
$$;

create or replace function extensions.pgrst_drop_watch()
returns event_trigger
language plpgsql set search_path = ''
as $$
begin
  if exists (
    select from pg_catalog.pg_event_trigger_dropped_objects() as o
     where not o.is_temporary
       and o.object_type in ('schema', 'table', 'foreign table', 'view', 'materialized view', 'function', 'trigger', 'type', 'rule')
  ) then
    notify pgrst, 'reload schema';
  end if;
end;
$$;

do $$
begin
  if not exists (select from pg_catalog.pg_event_trigger where evtname = 'pgrst_ddl_watch') then
    create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
  end if;
  if not exists (select from pg_catalog.pg_event_trigger where evtname = 'pgrst_drop_watch') then
    create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
  end if;
end;
$$;
