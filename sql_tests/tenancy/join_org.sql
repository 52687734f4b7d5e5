-- join_org: nobody gets into another's organisation, whatever they send; the founder joins their own, once.
begin;
select plan(19);

select tests.sign_up('coach@mike.example', 'mike_owner');

-- An organisation with members.
select tests.sign_in('nobody@nowhere.example');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('kilo'), tests.id('nobody'), 'owner') $$,
                     403, 'membership_by_invitation', 'nobody joins another''s organisation as owner');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('kilo'), tests.id('nobody'), 'coach') $$,
                     403, 'membership_by_invitation', 'nor as anything else');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('kilo'), tests.id('kilo_owner'), 'owner') $$,
                     403, 'membership_by_invitation', 'nor in the name of its owner');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (gen_random_uuid(), tests.id('nobody'), 'owner') $$,
                     403, 'membership_by_invitation', 'an organisation that does not exist answers the same');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (null, tests.id('nobody'), 'owner') $$,
                     403, 'membership_by_invitation', 'so does none');
select tests.forbids($$ insert into public.org_members (org_id, id, user_id, role)
                        values (tests.id('kilo'), gen_random_uuid(), tests.id('nobody'), 'owner') $$,
                     'nobody chooses a membership''s id');

select tests.sign_in('client@kilo.example');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('kilo'), tests.id('kilo_client_user'), 'owner') $$,
                     403, 'membership_by_invitation',
                     'a client does not become a member of their coach''s organisation');
select tests.sign_in('manager@kilo.example');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('kilo'), tests.id('nobody'), 'coach') $$,
                     403, 'membership_by_invitation', 'a member adds nobody by a bare insert');

-- Rights are not raised by changing a membership either.
select tests.sign_in('desk@kilo.example');
select tests.forbids($$ update public.org_members set role = 'owner' where user_id = tests.id('kilo_desk') $$,
                     'nobody raises their own role');
select tests.forbids($$ update public.org_members set org_id = tests.id('lima')
                        where user_id = tests.id('kilo_desk') $$,
                     'nobody moves their membership to another organisation');
select tests.forbids($$ delete from public.org_members where user_id = tests.id('kilo_owner') $$,
                     'nobody ends a membership by a bare delete');

-- An organisation that is founded and not joined yet.
select tests.sign_in('coach@mike.example');
insert into public.orgs (name, slug) values ('Mike', 'mike') returning id as mike \gset
select tests.remember('mike', :'mike');
select tests.sign_in('nobody@nowhere.example');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('mike'), tests.id('nobody'), 'owner') $$,
                     403, 'membership_by_invitation', 'nobody slips in between another''s founding and joining');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('mike'), tests.id('mike_owner'), 'owner') $$,
                     403, 'membership_by_invitation', 'nor lets the founder in, in their name');

select tests.sign_in('coach@mike.example');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('mike'), tests.id('nobody'), 'owner') $$,
                     403, 'membership_by_invitation', 'the founder lets in nobody else before themselves');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('mike'), tests.id('mike_owner'), 'manager') $$,
                     403, 'membership_by_invitation', 'the founder joins as owner or not at all');
select lives_ok($$ insert into public.org_members (org_id, user_id, role)
                   values (tests.id('mike'), tests.id('mike_owner'), 'owner') $$,
                'the founder joins');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('mike'), tests.id('mike_owner'), 'owner') $$,
                     403, 'membership_by_invitation', 'the founder''s second tab does not join again');
select is(count(*), 1::bigint, 'there is one membership') from public.org_members where org_id = :'mike';

select tests.sign_out();
select tests.forbids($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('mike'), tests.id('nobody'), 'owner') $$,
                     'a visitor joins nothing');

select * from finish();
rollback;
