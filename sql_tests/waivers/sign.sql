-- sign_waiver: a link is signed once, the very text that was read, by whom and from where; a guess opens nothing.
begin;
select plan(38);

select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select send_waiver(tests.id('kilo_client')) $$, 409, 'waiver_text_missing', 'without a text there is nothing to sign');
update public.orgs set waiver_template = 'I know the risks.' where id = :'kilo';
select * from tests.only_for_members($$ select send_waiver(tests.id('kilo_client')) $$, 'client_not_found', 'accountant@kilo.example', 'send_waiver');
select tests.as_owner();
insert into private.platform_settings (name, value) values ('app_url', 'https://app.example/');
select tests.sign_in('coach@kilo.example');
select send_waiver(:'kilo_client') as sent \gset
select tests.remember('token', (:'sent'::jsonb ->> 'token')::uuid), tests.remember('waiver', (:'sent'::jsonb ->> 'waiver_id')::uuid);
select is(:'sent'::jsonb - '{token,waiver_id,expires_at}'::text[], jsonb_build_object('signing_url', 'https://app.example/sign-waiver/' || tests.id('token'), 'sms_sent', true, 'outcome', 'queued'), 'a waiver is sent');
select is((send_waiver(:'kilo_client') ->> 'waiver_id')::uuid, tests.id('waiver'), 'a double click sends one');
select is((select count(*) from public.outbox_messages where kind = 'waiver_link'), 1::bigint, 'and one text');

select tests.sign_out();
select tests.forbids($$ select * from public.client_waivers where token = tests.id('token') $$, 'a visitor reads no waiver directly, the token at hand');
select tests.forbids($$ update public.client_waivers set status = 'signed', signed_at = now() where token = tests.id('token') $$, 'nor signs one so');
select tests.forbids($$ select * from public.waiver_texts $$, 'nor reads its text');
select is(waiver_form(tests.id('token')::text) -> 'text', '"I know the risks."', 'the form shows the text');
select is(waiver_form(tests.id('token')::text) -> 'version', '1', 'and its version');
select is(waiver_form(tests.id('token')::text) #>> '{client,full_name}', 'Client of Kilo', 'and the client it is for');
select is(waiver_form('00000000-0000-4000-8000-000000000000') ->> 'details', 'link_not_found', 'a guess opens nothing');
select is(waiver_form(t) ->> 'details', 'link_not_found', 'nor what is no token: ' || coalesce(t, 'null')) from unnest('{"",x,"'' or true --",NULL}'::text[]) as t;
select tests.refuses($$ select sign_waiver(tests.id('token')::text, ' ', 1) $$, 422, 'value_not_allowed', 'a signer has a name');
select tests.refuses($$ select sign_waiver(tests.id('token')::text, null, 1) $$, 422, 'value_not_allowed', 'null is none');
select tests.refuses($$ select sign_waiver(tests.id('token')::text, repeat('x', 201), 1) $$, 422, 'value_not_allowed', 'a name has an end');
select tests.refuses($$ select sign_waiver(tests.id('token')::text, 'Ann Lee', null) $$, 409, 'waiver_changed', 'it is said what was read');

select tests.sign_in('coach@kilo.example');
update public.orgs set waiver_template = 'I know all the risks.' where id = :'kilo';
select tests.sign_out();
select tests.refuses($$ select sign_waiver(tests.id('token')::text, 'Ann Lee', 1) $$, 409, 'waiver_changed', 'a text that has changed since is read again');
select set_config('request.headers', '{"x-forwarded-for": "203.0.113.9"}', true);
select is(sign_waiver(tests.id('token')::text, e'  Ann\u202E Lee\n', 2) - 'signed_at', '{"outcome": "signed", "version": 2, "bookings_confirmed": 0}', 'it is signed');
select is(sign_waiver(tests.id('token')::text, 'Ann Lee', 2) ->> 'outcome', 'signed', 'the same signer again is answered so');
select tests.refuses($$ select sign_waiver(tests.id('token')::text, 'Somebody Else', 2) $$, 409, 'waiver_signed', 'another signs it no more');
select is(waiver_form(tests.id('token')::text) -> 'client', 'null', 'once signed it shows nobody''s details');

select tests.as_owner();
select is((select row(status, signer_name, signed_ip, t.body, recorded_by)::text from public.client_waivers as w join public.waiver_texts as t on t.id = w.waiver_text_id where w.id = tests.id('waiver')),
          '(signed,"Ann Lee",203.0.113.9,"I know all the risks.",)', 'who, from where, and what they read');
select tests.refuses($$ update public.client_waivers set signer_name = 'Nobody' where id = tests.id('waiver') $$, 403, 'waiver_evidence_kept', 'the evidence stays, whoever writes');
select tests.refuses($$ update public.waiver_texts set body = 'x' $$, 403, 'ledger_append_only', 'and so does the text');

-- An end, and a coach who takes it back.
insert into public.client_waivers (org_id, client_id, expires_at) values (:'kilo', :'kilo_client', now() - interval '1 minute') returning token as late \gset
insert into public.client_waivers (org_id, client_id, status) values (:'kilo', :'kilo_client', 'expired') returning token as gone \gset
select tests.sign_out();
select is(waiver_form(:'late') ->> 'details', 'link_expired', 'a link ends');
select is(sign_waiver(:'late', 'Ann Lee', 2) ->> 'details', 'link_expired', 'and is signed no more');
select is(sign_waiver(:'gone', 'Ann Lee', 2) ->> 'details', 'link_expired', 'nor is one that the coach took back');

-- Guessing is counted by the caller.
select set_config('request.headers', '{"x-forwarded-for": "203.0.113.66"}', true);
select count(waiver_form(gen_random_uuid()::text)) from generate_series(1, 20);
select is(waiver_form(gen_random_uuid()::text) ->> 'details', 'rate_limited', 'whoever guesses is stopped');
select isnt(waiver_form(tests.id('token')::text) ->> 'details', 'rate_limited', 'and whoever has a link is not');
select * from finish();
rollback;
