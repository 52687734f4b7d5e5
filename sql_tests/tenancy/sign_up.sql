-- sign_up: a coach signs up through the inserts of the existing app alone, each of which asks for its row back.
begin;
select plan(19);

select tests.sign_up('coach@mike.example', 'mike_owner');
select tests.sign_up('second@mike.example', 'mike_second');
select tests.sign_in('coach@mike.example');

insert into public.orgs (name, slug) values ('Mike', 'mike') returning id as mike \gset
select tests.remember('mike', :'mike');
select isnt(:'mike'::text, null, 'the founder gets the new organisation''s row back');
select is(name, 'Mike', 'and sees it before joining it') from public.orgs where id = :'mike';
select is(created_by, tests.id('mike_owner'), 'it knows who founded it') from public.orgs where id = :'mike';
select is_empty($$ select from public.org_members $$, 'nobody has joined it by that');

insert into public.org_members (org_id, user_id, role) values (:'mike', tests.id('mike_owner'), 'owner')
  returning role as role \gset
select is(:'role'::text, 'owner', 'the founder joins as owner and gets the membership back');
insert into public.branding (org_id, display_name, primary_color) values (:'mike', 'Mike Moves', '#ff0000')
  returning display_name as shown \gset
select is(:'shown'::text, 'Mike Moves', 'the branding is theirs to insert');
insert into public.booking_settings (org_id, timezone) values (:'mike', 'Europe/Berlin')
  returning timezone as zone \gset
select is(:'zone'::text, 'Europe/Berlin', 'so are the booking settings');
update public.orgs set onboarding_completed = true where id = :'mike';
select ok(onboarding_completed, 'the wizard ends by completing the onboarding') from public.orgs where id = :'mike';

select results_eq($$ select org_id, role from public.org_members where user_id = tests.id('mike_owner') $$,
                  $$ values (tests.id('mike'), 'owner') $$, 'the app finds exactly one membership by the user''s id');
select is(active_org_id, tests.id('mike'), 'the new organisation is the active one') from public.profiles
  where id = tests.id('mike_owner');
select is((select name from public.orgs where id = m.org_id), 'Mike', 'the membership leads to the organisation')
  from public.org_members as m where user_id = tests.id('mike_owner');

-- A sign-up may be cut off between its steps: what the app has not inserted yet is not there.
select tests.sign_in('second@mike.example');
insert into public.orgs (name, slug) values ('Mike Two', 'mike-two') returning id as two \gset
select tests.remember('two', :'two');
insert into public.branding (org_id, display_name) values (:'two', 'Two');
select is_empty($$ select from public.branding where org_id = tests.id('two') $$,
                'a founder may dress up an organisation before joining it, and sees it once they have joined');
insert into public.org_members (org_id, user_id, role) values (:'two', tests.id('mike_second'), 'owner');
select is(display_name, 'Two', 'which they can, also later') from public.branding where org_id = :'two';

select tests.sign_out();
select tests.forbids($$ insert into public.orgs (name, slug) values ('Anonymous', 'anonymous') $$,
                     'a visitor founds nothing');
select tests.sign_in('second@mike.example');
select tests.forbids($$ insert into public.orgs (name, slug, created_by)
                        values ('Forged', 'forged', tests.id('mike_owner')) $$,
                     'nobody says who founded an organisation');
select tests.forbids($$ insert into public.orgs (id, name, slug) values (gen_random_uuid(), 'Forged', 'forged') $$,
                     'nobody chooses an organisation''s id');
select tests.forbids($$ update public.orgs set slug = 'other' where id = tests.id('two') $$,
                     'an organisation keeps its slug');
select tests.forbids($$ delete from public.orgs where id = tests.id('two') $$,
                     'nobody deletes an organisation through the API');
select tests.forbids($$ update public.profiles set active_org_id = tests.id('mike')
                        where id = tests.id('mike_second') $$,
                     'the active organisation is changed by switch_org alone');

select * from finish();
rollback;
