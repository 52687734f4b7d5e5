-- anon: a visitor who has not signed in reads no table, and calls the pages of a link or a slug alone.
begin;
select plan(8);

select is_empty(
  $$ select c.relname, p.privilege from pg_class as c
      cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references',
                              'trigger']) as p (privilege)
      where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace)
      and c.relkind in ('r', 'p', 'v', 'm')
        and has_table_privilege('anon', c.oid, p.privilege) $$, 'a visitor has no privilege on any table');
select is_empty(
  $$ select c.relname, a.attname from pg_class as c
     join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      cross join unnest(array['select', 'insert', 'update']) as p (privilege)
      where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p', 'v', 'm')
        and has_column_privilege('anon', c.oid, a.attnum, p.privilege) $$, 'nor on any column');
select is_empty(
  $$ select p.oid::regprocedure from pg_proc as p
      where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace)
        and has_function_privilege('anon', p.oid, 'execute')
        and not (p.pronamespace in ('public'::regnamespace, 'private'::regnamespace) and p.proname in (
          'portal_overview', 'portal_dates', 'portal_slots', 'portal_book', 'portal_reschedule', 'portal_cancel', 'portal_join_waitlist',
          'portal_leave_waitlist', 'public_page', 'public_dates', 'public_slots', 'public_book', 'banner', 'banners',
          'capture_inquiry', 'referral_page', 'refer', 'waiver_form', 'sign_waiver', 'onboarding_form', 'submit_onboarding', 'client_invite',
          'deposit_state', 'portal_checkout', 'show_receipt')) $$,
  'a visitor may call no function but those of the pages of a link or a slug, and what tells of a pause');
select is_empty(
  $$ select p.oid::regprocedure from pg_proc as p
      where p.pronamespace = 'service'::regnamespace and has_function_privilege('authenticated', p.oid, 'execute') $$,
  'a signed-in person may call no function of the service');
select is_empty(
  $$ select r.role, n.nspname from unnest(array['anon', 'authenticated', 'service_role']) as r (role)
      cross join unnest(array['private']) as n (nspname) where has_schema_privilege(r.role, n.nspname, 'usage') $$,
  'no API role may name anything in private');
select is_empty(
  $$ select r.role from unnest(array['anon', 'authenticated']) as r (role)
     where has_schema_privilege(r.role, 'service', 'usage') $$,
  'the service''s schema is the service''s alone');

select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select private.member_take_session(tests.id('kilo_package'), null, null) $$,
                     'what stands behind an RPC cannot be called around it');
select tests.forbids($$ select private.take_session(tests.id('kilo'), tests.id('kilo_package'), null, null, null) $$,
                     'nor the rule itself');

select * from finish();
rollback;
