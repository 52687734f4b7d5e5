-- The existing app's own writes of waivers: it sends one, and marks one as signed on paper.
begin;
select plan(8);

select tests.sign_in('coach@kilo.example');
insert into public.client_waivers (org_id, client_id, name, status, sent_at) values (:'kilo', :'kilo_client', 'Waiver', 'sent', now())
returning id as waiver, token as token \gset
select tests.remember('waiver', :'waiver');
select isnt(:'token'::uuid, null, 'the app gets the token that it texts');
select lives_ok($$ update public.client_waivers set status = 'signed' where id = tests.id('waiver') $$, 'a coach marks it as signed');
select is((select row(signed_at is not null, recorded_by = auth.uid(), signer_name is null)::text from public.client_waivers where id = :'waiver'), '(t,t,t)', 'and it says that they did');
select tests.refuses($$ update public.client_waivers set status = 'sent' where id = tests.id('waiver') $$, 409, 'waiver_signed', 'what is signed does not become unsigned');
select lives_ok($$ update public.client_waivers set status = 'expired' where id = tests.id('waiver') $$, 'but may be taken back');
select tests.forbids($$ update public.client_waivers set signer_name = 'x', signed_at = now() $$, 'nobody writes evidence');
select tests.forbids($$ insert into public.client_waivers (org_id, client_id, token) values (tests.id('kilo'), tests.id('kilo_client'), gen_random_uuid()) $$, 'nor chooses a token');
select tests.sign_in('client@kilo.example');
select is((select count(*) from public.client_waivers), 0::bigint, 'a client has the link, and no table');
select * from finish();
rollback;
