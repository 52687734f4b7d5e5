-- append_only: an entry of a ledger is never changed, and deleted only by the owner who has opened the erase door.
begin;
select plan(22);

select tests.sign_in('coach@kilo.example');
select use_session(:'kilo_package') as taken \gset
select tests.as_owner();

select tests.refuses(format('update public.%I set org_id = org_id where org_id = tests.id(''kilo'')', t), 403,
                     'ledger_append_only',
                     format('%s: not even the owner changes an entry', t))
                     from unnest(array['session_entries', 'audit_log']) as t;
select tests.refuses(format('delete from public.%I where org_id = tests.id(''kilo'')', t), 403, 'ledger_append_only',
                     format('%s: nor deletes one', t)) from unnest(array['session_entries', 'audit_log']) as t;
select tests.refuses(format('truncate public.%I cascade', t), 403, 'ledger_append_only',
                     format('%s: nor empties it', t)) from unnest(array['session_entries', 'audit_log']) as t;

select tests.as_service();
select tests.forbids(format('delete from public.%I where org_id = tests.id(''kilo'')', t),
                     format('%s: the service deletes none', t))
  from unnest(array['session_entries', 'audit_log']) as t;
select tests.forbids(format('update public.%I set org_id = org_id', t), format('%s: nor changes one', t))
  from unnest(array['session_entries', 'audit_log']) as t;
select tests.sign_in('coach@kilo.example');
select tests.forbids(format('delete from public.%I where org_id = tests.id(''kilo'')', t),
                     format('%s: a coach deletes none', t))
  from unnest(array['session_entries', 'audit_log']) as t;

-- The door.
set local coach.erase = 'on';
select tests.forbids(format('delete from public.%I where org_id = tests.id(''kilo'')', t),
                     format('%s: a coach does not open the erase door', t))
  from unnest(array['session_entries', 'audit_log']) as t;
select tests.as_service();
select tests.forbids(format('delete from public.%I where org_id = tests.id(''kilo'')', t),
                     format('%s: nor does the service', t))
  from unnest(array['session_entries', 'audit_log']) as t;
select tests.as_owner();
select tests.refuses(format('update public.%I set org_id = org_id where org_id = tests.id(''kilo'')', t), 403,
                     'ledger_append_only',
                     format('%s: an open door lets nobody rewrite', t))
                     from unnest(array['session_entries', 'audit_log']) as t;
select tests.refuses(format('truncate public.%I cascade', t), 403, 'ledger_append_only',
                     format('%s: nor empty it', t)) from unnest(array['session_entries', 'audit_log']) as t;
select lives_ok(format('delete from public.%I where org_id = tests.id(''kilo'')', t),
                format('%s: the owner erases through it', t))
  from unnest(array['session_entries', 'audit_log']) as t;

select * from finish();
rollback;
