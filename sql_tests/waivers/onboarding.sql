-- submit_onboarding: a client fills in their form by a link, once; hostile answers are refused whole.
begin;
select plan(58);

select tests.open_messaging();
update public.booking_settings set notify_phone = '+61400000009' where org_id = :'kilo';
select * from tests.only_for_members($$ select send_onboarding(tests.id('ann')) $$, 'client_not_found', 'accountant@kilo.example', 'send_onboarding');
select tests.sign_in('coach@kilo.example');
select send_onboarding(tests.id('ann')) as sent \gset
select tests.remember('link', (:'sent'::jsonb ->> 'onboarding_token')::uuid);
select is(:'sent'::jsonb - 'onboarding_token', jsonb_build_object('onboarding_url', 'https://app.example/onboard/' || tests.id('link'), 'sms_sent', true, 'outcome', 'queued'), 'the link is texted');
select is((send_onboarding(tests.id('ann')) ->> 'onboarding_token')::uuid, tests.id('link'), 'an open link stays open');
update public.orgs set waiver_template = 'I know the risks.' where id = :'kilo';

select tests.sign_out();
select tests.forbids($$ select * from public.clients where onboarding_token = tests.id('link') $$, 'a visitor reads no client directly, the token at hand');
select tests.forbids($$ update public.clients set full_name = 'x' where onboarding_token = tests.id('link') $$, 'nor writes one');
select tests.forbids($$ insert into public.client_waivers (org_id, client_id, status) values (tests.id('kilo'), tests.id('ann'), 'signed') $$, 'nor signs so');
select is(onboarding_form(tests.id('link')::text) #>> '{client,email}', 'ann@kilo.example', 'the form shows what is known');
select is(onboarding_form(tests.id('link')::text) -> 'waiver', '{"version": 1, "text": "I know the risks."}', 'and the waiver to sign');
select ok(not (onboarding_form(tests.id('link')::text) -> 'client') ?| '{id,notes,portal_token,onboarding_token,auth_user_id,status}', 'and none of the coach''s columns');
select is(onboarding_form(gen_random_uuid()::text) ->> 'details', 'link_not_found', 'a guess opens nothing');
select is(submit_onboarding(gen_random_uuid()::text, '{}') ->> 'details', 'link_not_found', 'and takes nothing in');
select is(submit_onboarding(null, '{}') ->> 'details', 'link_not_found', 'null is no token');

select tests.refuses(format('select submit_onboarding(tests.id(''link'')::text, %L, ''Ann Lee'', 1)', a.answers), 422, 'value_not_allowed', 'refused: ' || left(a.answers, 60))
  from (values ('null'), ('[]'), ('"x"'), ('{"notes": "x"}'), ('{"portal_token": "00000000-0000-4000-8000-000000000000"}'), ('{"org_id": "x"}'),
               ('{"full_name": ""}'), ('{"full_name": null}'), ('{"full_name": ["x"]}'), ('{"email": "nobody"}'), ('{"email": {"a": 1}}'),
               ('{"date_of_birth": "2026-13-45"}'), ('{"date_of_birth": "2999-01-01"}'), ('{"date_of_birth": "1066-10-14"}'),
               ('{"height_cm": "-5"}'), ('{"height_cm": 1e9}'), ('{"weight_kg": "NaN"}'), ('{"gender": "robot"}'), ('{"goals": [1]}'), ('{"goals": [["x"]]}'),
               ('{"goals": "x"}'), ('{"phone": true}'),
               (jsonb_build_object('full_name', repeat('x', 201))::text), (jsonb_build_object('goals', jsonb_build_array(repeat('x', 201)))::text),
               (jsonb_build_object('injuries', (select jsonb_agg('x'::text) from generate_series(1, 51)))::text)) as a (answers);
select throws_ok($$ select submit_onboarding(tests.id('link')::text, '{"full_name": "a\u0000b"}', 'Ann Lee', 1) $$, '22P05', null, 'a null character is no text');
select tests.refuses($$ select submit_onboarding(tests.id('link')::text, '{}', null, 1) $$, 422, 'value_not_allowed', 'where there is a waiver it is signed');
select tests.refuses($$ select submit_onboarding(tests.id('link')::text, '{}', 'Ann Lee', 7) $$, 409, 'waiver_changed', 'as it was read');

select set_config('request.headers', '{"x-forwarded-for": "203.0.113.9"}', true);
select is(submit_onboarding(tests.id('link')::text, jsonb_build_object(
  'full_name', e'Ann\u202E <i>Lee</i>', 'email', 'ann.lee@example.com', 'date_of_birth', '1990-02-28', 'height_cm', 170.5, 'weight_kg', '62', 'target_weight_kg', null,
  'gender', 'female', 'goals', '["run", " ", "lift"]'::jsonb, 'injuries', '[]'::jsonb, 'address_line2', null, 'emergency_contact_name', 'Ben'), 'Ann Lee', 1)
  - '{client_id,org_id}'::text[], '{"outcome": "submitted", "waiver_signed": true}', 'the form is taken in');
select is(submit_onboarding(tests.id('link')::text, '{"full_name": "Somebody"}', 'Somebody', 1) ->> 'details', 'link_not_found', 'the link is used once');
select is(onboarding_form(tests.id('link')::text) ->> 'details', 'link_not_found', 'and opens nothing any more');
select tests.as_owner();
select is((select row(full_name, email, phone, date_of_birth, height_cm, weight_kg, target_weight_kg, gender, goals, injuries, onboarding_token, onboarding_completed_at is not null)::text from public.clients where id = tests.id('ann')),
          '("Ann <i>Lee</i>",ann.lee@example.com,"0400 000 001",1990-02-28,170.5,62,,female,"{run,lift}",{},,t)', 'what was answered is written, what was left out stays');
select is((select row(status, source, signer_name, signed_ip, expires_at)::text from public.client_waivers where client_id = tests.id('ann')), '(signed,onboarding,"Ann Lee",203.0.113.9,)', 'the waiver is signed with it');
select is((select count(*) from public.outbox_messages where kind = 'coach_notice' and to_address = '+61400000009'), 1::bigint, 'the coach is told');
select is(service.notify_onboarded(:'kilo', tests.id('ann')), '{"notified": true}', 'and once, though the page asks for it too');
select is((select count(*) from public.outbox_messages where kind = 'coach_notice'), 1::bigint, 'no second text is made');
select is(service.notify_onboarded(:'kilo', tests.id('ben')) ->> 'reason', 'not_onboarded', 'about nobody else');
select is(service.notify_onboarded(:'lima', tests.id('ann')) ->> 'reason', 'not_onboarded', 'nor in another organisation');

-- A link ends after thirty days, whoever made it.
select tests.sign_in('coach@kilo.example');
update public.clients set onboarding_token = 'a0000000-0000-4000-8000-00000000000a' where id = tests.id('ben');
select tests.as_owner();
select ok((select onboarding_sent_at > now() - interval '1 minute' from public.clients where id = tests.id('ben')), 'a link that the app makes is dated');
update public.clients set onboarding_sent_at = now() - interval '31 days' where id = tests.id('ben');
select tests.sign_out();
select is(onboarding_form('a0000000-0000-4000-8000-00000000000a') ->> 'details', 'link_expired', 'and ends');
select is(submit_onboarding('a0000000-0000-4000-8000-00000000000a', '{}') ->> 'details', 'link_expired', 'for answers too');
select * from finish();
rollback;
