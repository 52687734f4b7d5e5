-- switch_org: a person of two organisations is in one at a time, and reads exactly one membership row.
begin;
select plan(19);

select tests.as_service();
select service.set_member(:'lima', 'coach@kilo.example', 'coach');

select tests.sign_in('coach@kilo.example');
select results_eq($$ select org_id, role from public.org_members where user_id = tests.id('kilo_owner') $$,
                  $$ values (tests.id('kilo'), 'owner') $$,
                  'a second membership leaves the active organisation as it is');
select is(switch_org(:'lima'), :'lima'::uuid, 'switching answers with the organisation');
select results_eq($$ select org_id, role from public.org_members where user_id = tests.id('kilo_owner') $$,
                  $$ values (tests.id('lima'), 'coach') $$, 'now the one membership row is the other''s');
select is(switch_org(:'lima'), :'lima'::uuid, 'switching to where one is changes nothing');
select is(count(*), 2::bigint, 'both organisations stay in reach') from public.orgs;
select is(count(*), 1::bigint, 'the one that is not active too') from public.clients where org_id = :'kilo';

select tests.refuses($$ select switch_org(gen_random_uuid()) $$,
                     404, 'org_not_found', 'an unknown organisation does not exist');
select tests.refuses($$ select switch_org(null) $$, 404, 'org_not_found', 'nor does none');
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select switch_org(tests.id('kilo')) $$,
                     404, 'org_not_found', 'nor one that one does not belong to');
select tests.sign_in('client@kilo.example');
select tests.refuses($$ select switch_org(tests.id('kilo')) $$, 404, 'org_not_found', 'a client is not a member');
select tests.sign_out();
select tests.forbids($$ select switch_org(tests.id('kilo')) $$, 'a visitor may not call it');
select tests.as_service();
select tests.forbids($$ select switch_org(tests.id('kilo')) $$, 'the service has no active organisation');

-- Leaving the active organisation leads back to one that is left.
select service.remove_member(:'lima', 'coach@kilo.example') as gone \gset
select ok(:'gone', 'a membership ends');
select tests.sign_in('coach@kilo.example');
select results_eq($$ select org_id from public.org_members $$, $$ values (tests.id('kilo')) $$,
                  'whoever leaves the active organisation is back in another of theirs');
select is(active_org_id, :'kilo'::uuid, 'which their profile says too') from public.profiles;
select tests.refuses($$ select switch_org(tests.id('lima')) $$, 404, 'org_not_found', 'and cannot switch back');

-- A second organisation of one's own, founded as the first was.
insert into public.orgs (name, slug) values ('Kilo Two', 'kilo-two') returning id as two \gset
select tests.remember('two', :'two');
select results_eq($$ select org_id from public.org_members $$, $$ values (tests.id('kilo')) $$,
                  'founding another organisation without joining it hides no membership');
insert into public.org_members (org_id, user_id, role) values (:'two', :'kilo_owner', 'owner')
  returning org_id as joined \gset
select is(:'joined'::uuid, :'two'::uuid, 'joining it gives the membership back');
select results_eq($$ select org_id from public.org_members $$, $$ values (tests.id('two')) $$,
                  'and is then the one membership row');

select * from finish();
rollback;
