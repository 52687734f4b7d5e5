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
