-- Foundation: the schemas beside `public`, and the rule that nobody may do anything unless a line says so.
-- Invariant: what the owner creates carries no grant to PUBLIC or to an API role until an `access`, `api` or `service` room gives one.
-- Hosted projects differ in their default privileges (older ones grant everything), so they are taken back here, first.

create extension if not exists btree_gist with schema extensions;

create schema private;
comment on schema private is 'How it is done: rules, trigger functions, policy helpers, tables no app may see. No API role has USAGE.';

create schema service;
comment on schema service is 'The contract with webhooks, sweeps and operators: functions for service_role alone.';

alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;

revoke all on schema private from public, anon, authenticated, service_role;
revoke all on schema service from public, anon, authenticated, service_role;
grant usage on schema service to service_role;
