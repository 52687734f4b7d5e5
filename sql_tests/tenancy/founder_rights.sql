-- founder_rights: what founding gives ends with the first membership; from then on a role alone counts.
begin;
select plan(11);

select tests.sign_up('coach@mike.example', 'mike_owner');
select tests.sign_up('other@mike.example', 'mike_other');
select tests.sign_in('coach@mike.example');
insert into public.orgs (name, slug) values ('Mike', 'mike') returning id as mike \gset
select tests.remember('mike', :'mike');

-- Another person, before anybody has joined.
select tests.sign_in('nobody@nowhere.example');
select is_empty($$ select from public.orgs where id = tests.id('mike') $$,
                'an organisation nobody has joined is seen by its founder alone');
select tests.forbids($$ insert into public.branding (org_id, display_name) values (tests.id('mike'), 'Mine') $$,
                     'only its founder dresses it up');
select tests.forbids($$ insert into public.booking_settings (org_id, timezone)
                        values (tests.id('mike'), 'Europe/Berlin') $$,
                     'only its founder sets it up');

select tests.sign_in('coach@mike.example');
select tests.changes_nothing($$ update public.orgs set name = 'Other' where id = tests.id('mike') $$,
                             'the founder changes it once they have joined, not before');
select tests.forbids($$ insert into public.clients (org_id, full_name) values (tests.id('mike'), 'A client') $$,
                     'the founder works in it once they have joined, not before');
insert into public.org_members (org_id, user_id, role) values (:'mike', tests.id('mike_owner'), 'owner');

-- The founder leaves the business to somebody else.
select tests.as_service();
select service.set_member(:'mike', 'other@mike.example', 'owner'),
  service.remove_member(:'mike', 'coach@mike.example') as left \gset
select ok(:'left', 'an owner who has made another owner may leave');
select tests.sign_in('coach@mike.example');
select is_empty($$ select from public.orgs where id = tests.id('mike') $$,
                'a founder who has left does not see the organisation any more');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role)
                        values (tests.id('mike'), tests.id('mike_owner'), 'owner') $$,
                     403, 'membership_by_invitation', 'nor gets back in by having founded it');
select tests.forbids($$ insert into public.branding (org_id, display_name) values (tests.id('mike'), 'Mine') $$,
                     'nor dresses it up');
select tests.changes_nothing($$ update public.orgs set name = 'Other' where id = tests.id('mike') $$, 'nor renames it');
select is_empty($$ select from public.org_members $$, 'nor finds a membership');

select * from finish();
rollback;
