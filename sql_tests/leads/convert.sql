-- convert_inquiry: a lead becomes a client in one call, once, and their history goes along.
begin;
select plan(22);

select tests.sign_out();
select capture_inquiry('kilo', 'Ann Lee', 'ann@example.com', '0400 000 111', 'How much?');
select capture_inquiry('kilo', 'Ann Lee', 'ann@example.com', null, 'And when?');
select tests.sign_in('coach@kilo.example');
select id as inquiry from public.inquiries where email = 'ann@example.com' \gset
select tests.remember('inquiry', :'inquiry');
select * from tests.only_for_members($$ select convert_inquiry(tests.id('inquiry')) $$, 'inquiry_not_found', 'accountant@kilo.example', 'convert_inquiry');

select tests.sign_in('desk@kilo.example');
update public.inquiries set status = 'CONTACTED' where id = :'inquiry';
select convert_inquiry(:'inquiry') as answer \gset
select is(:'answer'::jsonb - 'client_id', '{"outcome": "converted", "is_new": true, "was_converted": false}'::jsonb, 'a lead becomes a client');
select is(convert_inquiry(:'inquiry') - 'client_id', '{"outcome": "converted", "is_new": false, "was_converted": true}'::jsonb, 'again answers that they are');
select tests.remember('client', (:'answer'::jsonb ->> 'client_id')::uuid);
select is((select row(full_name, email, phone, source)::text from public.clients where id = tests.id('client')), '("Ann Lee",ann@example.com,"0400 000 111",lead)', 'with what they gave');
select is((select row(status, converted_client_id = tests.id('client'), converted_at is not null)::text from public.inquiries where id = :'inquiry'), '(WON,t,t)', 'the lead stays, won');
select is((select array_agg(kind || ' ' || status order by happened_at) from public.inquiry_events where inquiry_id = :'inquiry'),
          '{"received NEW","repeated NEW","moved CONTACTED","converted WON"}', 'and what happened to it is kept');
select is((select content from public.client_communications where client_id = tests.id('client')), e'Came as a lead (website): How much?\nAnd when?', 'the client''s log says what they asked');
select tests.refuses($$ update public.inquiries set converted_client_id = tests.id('kilo_client') where id = tests.id('inquiry') $$, 409, 'inquiry_converted', 'another tab''s client does not take their place');
select tests.refuses($$ update public.inquiries set converted_client_id = null where id = tests.id('inquiry') $$, 409, 'inquiry_converted', 'nor is it undone');
select tests.refuses($$ select convert_inquiry(tests.id('inquiry'), tests.id('kilo_client')) $$, 409, 'inquiry_converted', 'nor given to another client');

-- Whoever is a client already.
insert into public.inquiries (org_id, name, email) values (:'kilo', 'Client', 'CLIENT@kilo.example') returning id as known \gset
select is((convert_inquiry(:'known') ->> 'client_id')::uuid, :'kilo_client'::uuid, 'a lead with a client''s email is that client');
insert into public.inquiries (org_id, name, phone) values (:'kilo', 'Family', '0400 000 000') returning id as family \gset
select is((convert_inquiry(:'family') ->> 'client_id')::uuid, :'kilo_client'::uuid, 'without an email the phone says');
insert into public.inquiries (org_id, name, email, phone) values (:'kilo', 'Sister', 'sister@example.com', '0400 000 000') returning id as sister \gset
select isnt((convert_inquiry(:'sister') ->> 'client_id')::uuid, :'kilo_client'::uuid, 'with one, a shared phone is another person''s');
insert into public.inquiries (org_id, name) values (:'kilo', 'Chosen') returning id as chosen \gset
select tests.remember('chosen', :'chosen');
select is((convert_inquiry(:'chosen', :'kilo_client') ->> 'client_id')::uuid, :'kilo_client'::uuid, 'the coach may say who it is');
insert into public.inquiries (org_id, name) values (:'kilo', 'Foreign') returning id as foreign \gset
select tests.remember('foreign', :'foreign');
select tests.refuses($$ select convert_inquiry(tests.id('foreign'), tests.id('lima_client')) $$, 404, 'client_not_found', 'not another organisation''s client');
select is((select converted_client_id from public.inquiries where id = :'foreign'), null, 'and nothing has changed');
-- What the existing app does: it makes the client, then writes the lead.
insert into public.inquiries (org_id, name, email) values (:'kilo', 'By app', 'app@example.com') returning id as app \gset
select tests.remember('app', :'app');
select lives_ok($$ update public.inquiries set status = 'WON', converted_client_id = tests.id('kilo_client') where id = tests.id('app') $$, 'the existing app''s conversion is one too');
select * from finish();
rollback;
