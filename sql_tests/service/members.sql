-- members: an operator gives a person a role, changes it and ends it.
begin;
select plan(20);

select tests.as_service();
select results_eq($$ select email, role from service.list_members(tests.id('lima')) $$,
                  $$ values ('coach@lima.example', 'owner') $$, 'a team is listed');
select isnt(service.set_member(:'lima', ' Nobody@Nowhere.example ', 'coach'), null,
            'a person who has signed up is made a member, however their email is written');
select results_eq($$ select email, role from service.list_members(tests.id('lima')) $$,
                  $$ values ('coach@lima.example', 'owner'), ('nobody@nowhere.example', 'coach') $$, 'and listed');
select is(service.set_member(:'lima', 'nobody@nowhere.example', 'manager'),
          (select member_id from service.list_members(:'lima') where role = 'coach'),
          'a member is given another role: the membership stays');
select is(count(*), 2::bigint, 'nobody is a member twice') from service.list_members(:'lima');
select tests.sign_in('nobody@nowhere.example');
select results_eq($$ select org_id, role from public.org_members $$, $$ values (tests.id('lima'), 'manager') $$,
                  'the person finds their membership');
select tests.as_service();
select ok(service.remove_member(:'lima', 'nobody@nowhere.example'), 'a membership is ended');
select ok(not service.remove_member(:'lima', 'nobody@nowhere.example'), 'once');
select tests.sign_in('nobody@nowhere.example');
select is_empty($$ select from public.org_members $$, 'the person finds none any more');
select is(active_org_id, null, 'and is in no organisation') from public.profiles where id = tests.id('nobody');

select tests.as_service();
select tests.refuses($$ select service.set_member(tests.id('lima'), 'nobody@nowhere.example', 'emperor') $$,
                     422, 'value_not_allowed', 'an unknown role is none');
select tests.refuses($$ select service.set_member(tests.id('lima'), 'nobody@nowhere.example', null) $$,
                     422, 'value_not_allowed', 'nor is no role');
select tests.refuses($$ select service.set_member(tests.id('lima'), 'stranger@nowhere.example', 'coach') $$,
                     404, 'user_not_found', 'who has not signed up is nobody');
select tests.refuses($$ select service.set_member(tests.id('lima'), '', 'coach') $$,
                     404, 'user_not_found', 'nor is an empty email anybody');
select tests.refuses($$ select service.set_member(gen_random_uuid(), 'nobody@nowhere.example', 'coach') $$,
                     404, 'org_not_found', 'an unknown organisation does not exist');
select tests.refuses($$ select * from service.list_members(gen_random_uuid()) $$,
                     404, 'org_not_found', 'nor has it a team');
select tests.refuses($$ select service.remove_member(gen_random_uuid(), 'nobody@nowhere.example') $$,
                     404, 'org_not_found', 'nor members to remove');
select tests.refuses($$ select service.remove_member(tests.id('lima'), 'stranger@nowhere.example') $$,
                     404, 'user_not_found', 'who has not signed up is not removed');
select tests.refuses($$ select service.set_member(null, 'nobody@nowhere.example', 'coach') $$,
                     404, 'org_not_found', 'no organisation is none');
select tests.refuses($$ select service.remove_member(tests.id('lima'), 'coach@lima.example') $$,
                     409, 'last_owner', 'the last owner stays');

select * from finish();
rollback;
