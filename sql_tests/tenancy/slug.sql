-- slug: an organisation's name in addresses is made from its name when it is not sent, and is unique everywhere.
begin;
select plan(11);

select tests.sign_in('nobody@nowhere.example');
insert into public.orgs (name) values ('  Kilo & Söhne: Fitness  ') returning slug as made \gset
select is(:'made'::text, 'kilo-s-hne-fitness', 'a slug is made of lower-case letters, digits and single dashes');
insert into public.orgs (name) values ('Kilo') returning slug as made, id as id \gset
select is(:'made'::text, 'kilo-' || left(:'id', 8), 'a slug that is taken gets a tail');
insert into public.orgs (name) values ('東京') returning slug as made \gset
select is(:'made'::text, 'org', 'a name without Latin letters still makes one');
insert into public.orgs (name) values (repeat('long ', 40)) returning slug as made \gset
select cmp_ok(length(:'made'), '<=', 60, 'a long name makes a short slug');

select tests.refuses($$ insert into public.orgs (name, slug) values ('Mine', 'kilo') $$,
                     409, 'value_taken', 'another''s slug is taken');
select tests.refuses($$ insert into public.orgs (name, slug) values ('Mine', 'Mine') $$,
                     422, 'value_not_allowed', 'a slug has no capitals');
select tests.refuses($$ insert into public.orgs (name, slug) values ('Mine', 'a b') $$,
                     422, 'value_not_allowed', 'nor blanks');
select tests.refuses($$ insert into public.orgs (name, slug) values ('Mine', 'a/b') $$,
                     422, 'value_not_allowed', 'nor slashes');
select tests.refuses($$ insert into public.orgs (name, slug) values ('Mine', '') $$,
                     422, 'value_not_allowed', 'nor is it empty');
select tests.refuses($$ insert into public.orgs (name, slug) values ('   ', 'blank') $$,
                     422, 'value_not_allowed', 'a name is not blank');
select tests.refuses($$ insert into public.orgs (slug) values ('nameless') $$,
                     422, 'value_missing', 'nor is it missing');

select * from finish();
rollback;
