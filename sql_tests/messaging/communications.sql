-- client_communications: the log of what was exchanged with a client; who made an entry is who is signed in.
begin;
select plan(16);
select tests.open_studio();

select tests.sign_in('desk@kilo.example');
insert into public.client_communications (org_id, client_id, user_id, type, direction, subject, content) values (:'kilo', :'kilo_client', :'kilo_owner', 'phone', 'outbound', null, 'Called') returning user_id as who \gset
select is(:'who'::uuid, :'kilo_desk'::uuid, 'an entry is by who made it, whatever is sent');
insert into public.client_communications (org_id, client_id, type, direction, subject, content) values (:'kilo', tests.id('ann'), 'in_person', 'inbound', 'Knee', 'Hurts');
select is((select string_agg(content, ' ' order by content) from public.client_communications), 'Called Hurts', 'the log');
select tests.refuses(format($$ insert into public.client_communications (org_id, client_id, type, direction, content) values (tests.id('kilo'), tests.id('ann'), %L, %L, %L) $$, t.type, t.direction, t.content), 422, t.slug, t.title) from (values
  ('fax', 'outbound', 'x', 'value_not_allowed', 'of a known type'), ('phone', 'sideways', 'x', 'value_not_allowed', 'in or out'), ('phone', 'inbound', repeat('x', 20001), 'value_not_allowed', 'of a length'), ('phone', 'inbound', null, 'value_missing', 'with something in it')) as t (type, direction, content, slug, title);
select tests.refuses($$ insert into public.client_communications (org_id, client_id, type, direction, content) values (tests.id('kilo'), tests.id('lima_client'), 'phone', 'inbound', 'x') $$, 404, 'reference_not_found', 'of one''s own client');
select tests.forbids($$ update public.client_communications set content = 'x' $$, 'an entry stays');
select tests.forbids($$ delete from public.client_communications $$, 'and is not deleted');
select tests.sign_in('accountant@kilo.example');
select is((select count(*) from public.client_communications), 0::bigint, 'who may not read messages reads none');
select tests.forbids($$ insert into public.client_communications (org_id, client_id, type, direction, content) values (tests.id('kilo'), tests.id('ann'), 'phone', 'inbound', 'x') $$, 'and makes none');
select tests.sign_in('coach@lima.example');
select is((select count(*) from public.client_communications), 0::bigint, 'nor does another organisation');
select tests.forbids($$ insert into public.client_communications (org_id, client_id, type, direction, content) values (tests.id('kilo'), tests.id('ann'), 'phone', 'inbound', 'x') $$, 'which makes none either');
select tests.sign_in('client@kilo.example');
select is((select count(*) from public.client_communications), 0::bigint, 'nor does the client: it is the coach''s');
select tests.sign_out();
select tests.forbids($$ select content from public.client_communications $$, 'nor a visitor');
select tests.as_service();
insert into public.client_communications (org_id, client_id, type, direction, subject, content) values (:'kilo', :'kilo_client', 'sms', 'outbound', null, 'Sent by a route');
select is((select count(*) from public.client_communications where user_id is null), 1::bigint, 'the service makes entries of nobody');

select * from finish();
rollback;
