-- The platform's roles, once per cluster: who hosted Supabase lets in, with the attributes and timeouts it gives them.
-- Invariant: running it again changes nothing. What lies in one database (schemas, grants) is platform.sql's.
-- Runs as the superuser supabase_admin, in one transaction; `postgres` is made here, and is no superuser.

-- Roles are shared by all databases, so two databases that are prepared at once queue here.
lock table pg_catalog.pg_authid in share row exclusive mode;

do $$
declare
  v_role text;
begin
  foreach v_role in array array[
    'anon', 'authenticated', 'service_role', 'authenticator', 'postgres', 'supabase_auth_admin', 'data_api'
  ] loop
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I', v_role);
    end if;
  end loop;
end;
$$;

alter role anon nologin noinherit nosuperuser nocreatedb nocreaterole nobypassrls;
alter role authenticated nologin noinherit nosuperuser nocreatedb nocreaterole nobypassrls;
alter role service_role nologin noinherit nosuperuser nocreatedb nocreaterole bypassrls;
alter role authenticator login noinherit nosuperuser nocreatedb nocreaterole nobypassrls;
alter role postgres login inherit nosuperuser createdb createrole replication bypassrls;
alter role supabase_auth_admin nologin noinherit nosuperuser nocreatedb createrole nobypassrls;
-- Hosted Supabase has two logins here, authenticator and supabase_auth_admin; @supabase/lite serves both through one
-- connection. It owns nothing and grants nothing: what it may not do, no request can make it do. It may read, because
-- lite learns the schema from information_schema, which hides what one may not touch; a request takes on its own role.
alter role data_api login inherit nosuperuser nocreatedb nocreaterole nobypassrls;

grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to data_api;
grant anon, authenticated, service_role, authenticator to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
grant pg_read_all_data to data_api;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role data_api set statement_timeout = '8s';
alter role data_api set lock_timeout = '8s';
alter role data_api set search_path = public, extensions;
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_admin set search_path = "$user", public, auth, extensions;
alter role supabase_auth_admin set search_path = auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = '60s';

comment on role supabase_auth_admin is 'coach-os platform: owns auth';
