-- roles_and_permissions: what each role may do is data, and a person has it in the organisations of their memberships alone.
begin;
select plan(21);

create function pg_temp.permissions_of(p_role text) returns setof text language sql stable as $$
  select p.permission from public.role_permissions as p where p.role = p_role;
$$;
create function pg_temp.all_permissions() returns setof text language sql stable as $$
  select distinct p.permission from public.role_permissions as p;
$$;

select set_eq($$ select role from public.roles $$,
              array['owner', 'manager', 'coach', 'staff', 'front_desk', 'accountant_readonly', 'support'],
              'there are these roles');
select set_eq($$ select pg_temp.permissions_of('owner') $$, $$ select pg_temp.all_permissions() $$,
              'an owner may do everything');
select set_eq($$ select pg_temp.permissions_of('manager') $$,
              $$ select p from pg_temp.all_permissions() as p where p not in ('owners.write', 'payouts.write') $$,
              'a manager everything but making owners and being paid out');
select set_eq($$ select pg_temp.permissions_of('coach') $$,
              array['org.read', 'members.read', 'settings.write', 'alerts.read', 'clients.read', 'clients.write', 'leads.read', 'leads.write',
                    'progress.read', 'progress.write', 'offers.read', 'offers.write',
                    'packages.read', 'packages.sell', 'packages.correct', 'sessions.use', 'sessions.release',
                    'bookings.read', 'bookings.write', 'messages.read', 'messages.write', 'marketing.send',
                    'automations.read', 'automations.write', 'money.read'],
              'a coach trains, sells and sets up, and changes neither the team nor the organisation');
select set_eq($$ select pg_temp.permissions_of('staff') $$, $$ select pg_temp.permissions_of('coach') $$,
              'the existing app''s staff are coaches');
select set_eq($$ select pg_temp.permissions_of('front_desk') $$,
              array['org.read', 'members.read', 'alerts.read', 'clients.read', 'clients.write', 'leads.read', 'leads.write', 'offers.read',
                    'packages.read', 'packages.sell',
                    'sessions.use', 'sessions.release', 'bookings.read', 'bookings.write', 'messages.read', 'messages.write', 'automations.read'],
              'a front desk serves, writes and sells, and corrects nothing');
select set_eq($$ select pg_temp.permissions_of('accountant_readonly') $$,
              array['org.read', 'finance.read', 'billing.read', 'clients.read', 'offers.read', 'packages.read', 'bookings.read', 'automations.read', 'money.read'],
              'an accountant reads');

-- The helper behind every policy.
select tests.join_org('kilo', 'coach2@kilo.example', 'coach', 'kilo_coach');
select tests.as_owner();
create function pg_temp.orgs_with(p_email text, p_permission text) returns uuid[] language plpgsql as $$
declare
  v_orgs uuid[];
begin
  perform set_config('request.jwt.claims',
                     jsonb_build_object('sub', tests.user_id(p_email), 'role', 'authenticated')::text, true);
  v_orgs := private.orgs_with(p_permission);
  perform set_config('request.jwt.claims', '{}', true);
  return v_orgs;
end;
$$;
select is(pg_temp.orgs_with('coach@kilo.example', 'owners.write'), array[:'kilo'::uuid],
          'an owner has an owner''s right in their organisation');
select is(pg_temp.orgs_with('manager@kilo.example', 'owners.write'), '{}'::uuid[], 'a manager has it nowhere');
select is(pg_temp.orgs_with('desk@kilo.example', 'packages.correct'), '{}'::uuid[], 'a front desk corrects nowhere');
select is(pg_temp.orgs_with('client@kilo.example', 'org.read'), '{}'::uuid[], 'a client is no member');
select is(pg_temp.orgs_with('coach@kilo.example', 'no.such'), '{}'::uuid[], 'an unknown permission is held nowhere');
select is(private.orgs_with('org.read'), '{}'::uuid[], 'nobody signed in: empty, not null');
select is(private.orgs_with(null), '{}'::uuid[], 'no permission: empty, not null');

-- The same, seen from the tables.
select tests.sign_in('accountant@kilo.example');
select tests.forbids($$ insert into public.clients (org_id, full_name) values (tests.id('kilo'), 'A client') $$,
                     'an accountant adds no client');
select tests.changes_nothing($$ update public.clients set notes = 'x' where org_id = tests.id('kilo') $$,
                             'nor changes one');
select tests.forbids($$ insert into public.bookings (org_id, client_id, start_time, end_time)
                        values (tests.id('kilo'), tests.id('kilo_client'), now(), now() + interval '1 hour') $$,
                     'nor books');
select tests.sign_in('desk@kilo.example');
select tests.changes_nothing($$ delete from public.offers where org_id = tests.id('kilo') $$,
                             'a front desk deletes no offer');
select tests.changes_nothing($$ update public.orgs set name = 'Desk' where id = tests.id('kilo') $$,
                             'nor renames the organisation');
select tests.sign_in('coach2@kilo.example');
select tests.changes_nothing($$ update public.branding set display_name = 'Coach' where org_id = tests.id('kilo') $$,
                             'a coach keeps the branding as it is');
select tests.forbids($$ insert into public.role_permissions (role, permission) values ('coach', 'owners.write') $$,
                     'nobody gives a role a permission');

select * from finish();
rollback;
