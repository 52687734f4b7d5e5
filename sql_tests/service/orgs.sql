-- orgs: an operator finds, lists and makes organisations.
begin;
select plan(33);

select tests.as_service();
select is(service.find_org('kilo'), :'kilo'::uuid, 'an organisation is found by its slug');
select is(service.find_org(:'kilo'), :'kilo'::uuid, 'and by its id');
select tests.refuses(format('select service.find_org(%L)', o), 404, 'org_not_found', format('not by %L', o))
  from unnest(array['', 'no-such', gen_random_uuid()::text, 'KILO']) as o;
select tests.refuses($$ select service.find_org(null) $$, 404, 'org_not_found', 'nor by nothing');
select tests.sign_in('nobody@nowhere.example');
insert into public.orgs (name, slug) values ('Squatter', :'kilo') returning id as squatter \gset
select tests.as_service();
select is(service.find_org(:'kilo'), :'kilo'::uuid, 'a slug that looks like another''s id does not stand in its way');

select results_eq($$ select name, slug, timezone, members, clients, packages, open_alerts
                     from service.get_org('kilo') $$,
                  $$ values ('Kilo', 'kilo', 'Australia/Brisbane', 4, 1, 1, 0) $$,
                  'an organisation is told with how much it holds');
select tests.refuses($$ select * from service.get_org('no-such') $$, 404, 'org_not_found', 'an unknown one is not');

select set_eq($$ select slug from service.list_orgs(p_search => 'LIM') $$,
              array['lima'], 'they are listed by part of name or slug');
select is_empty($$ select from service.list_orgs(p_search => '%') $$, 'where a percent sign is a percent sign');
select is(count(*), 1::bigint, 'at most as many as asked for') from service.list_orgs(1);
select is(count(*), 1::bigint, 'at least one') from service.list_orgs(-3);
select cmp_ok(count(*), '>=', 3::bigint, 'and many without a limit that makes sense')
  from service.list_orgs(2147483647);
select results_eq($$ select members, clients from service.list_orgs(p_search => 'kilo') where slug = 'kilo' $$,
                  $$ values (4, 1) $$, 'with their members and clients');

-- Making one.
select service.create_org('  November  ', 'NOBODY@nowhere.example', 'november', 'Europe/Berlin') as made \gset
select tests.remember('made', :'made');
select results_eq($$ select name, slug, timezone, members from service.get_org('november') $$,
                  $$ values ('November', 'november', 'Europe/Berlin', 1) $$, 'it is made');
select results_eq($$ select email, role from service.list_members(tests.id('made')) $$,
                  $$ values ('nobody@nowhere.example', 'owner') $$, 'with its owner');
select service.create_org('November', 'nobody@nowhere.example') as second \gset
select matches(slug, '^november-[0-9a-f]{8}$', 'a slug is made when none is given') from service.get_org(:'second');
select is(timezone, 'Australia/Brisbane', 'the default timezone holds when none is given')
  from service.get_org(:'second');
select tests.refuses($$ select service.create_org('Other', 'nobody@nowhere.example', 'kilo') $$,
                     409, 'value_taken', 'not with another''s slug');
select tests.refuses($$ select service.create_org('Other', 'stranger@nowhere.example') $$,
                     404, 'user_not_found', 'not for somebody who has not signed up');
select tests.refuses($$ select service.create_org('Other', null) $$, 404, 'user_not_found', 'nor for nobody');
select tests.refuses(format('select service.create_org(%L, ''nobody@nowhere.example'', %L)', n, s), 422,
                     'value_not_allowed', d)
  from (values ('', null, 'not without a name'), (' ', null, 'nor a blank one'),
        (repeat('x', 201), null, 'nor a very long one'), ('X', 'Has Space', 'not with a slug that has blanks'),
               ('X', 'a/b', 'or slashes'), ('X', repeat('x', 101), 'or no end')) as t (n, s, d);
select tests.refuses($$ select service.create_org(null, 'nobody@nowhere.example') $$,
                     422, 'value_not_allowed', 'nor without any');
select tests.refuses($$ select service.create_org('Other', 'nobody@nowhere.example', 'other', 'Nowhere/Land') $$,
                     422, 'timezone_unknown', 'not in an unknown timezone');
select is_empty($$ select from public.orgs where name in ('Other', 'X') $$, 'and nothing half-made is left');

select tests.sign_in('nobody@nowhere.example');
select is(count(*), 1::bigint, 'its owner finds one membership') from public.org_members;

select * from finish();
rollback;
