-- doors: the service's functions are the service's alone, and say what they fail with.
begin;
select plan(6);

select is_empty(
  $$ select p.oid::regprocedure, r.role from pg_proc as p cross join unnest(array['anon', 'authenticated']) as r (role)
      where p.pronamespace = 'service'::regnamespace and has_function_privilege(r.role, p.oid, 'execute') $$,
                'no app may call one');
select is_empty(
  $$ select p.oid::regprocedure from pg_proc as p
      where p.pronamespace = 'service'::regnamespace
      and not has_function_privilege('service_role', p.oid, 'execute') $$, 'the service may call each');
select is_empty(
  $$ select p.oid::regprocedure from pg_proc as p
      where p.pronamespace = 'service'::regnamespace
      and (not p.prosecdef or p.proconfig is distinct from array['search_path=""']) $$,
  'each runs as its owner, with an empty search path');
select is_empty(
  $$ select p.oid::regprocedure from pg_proc as p
      where p.pronamespace in ('service'::regnamespace, 'public'::regnamespace)
      and obj_description(p.oid, 'pg_proc') is null $$, 'each is documented');
select is_empty(
  $$ select c.relname, p.privilege from pg_class as c cross join unnest(array['delete', 'truncate']) as p (privilege)
      where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p')
      and has_table_privilege('service_role', c.oid, p.privilege) $$,
  'the service deletes from no table');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select service.use_session(tests.id('kilo_package')) $$,
                     'a coach does not come in by the operator''s door');

select * from finish();
rollback;
