-- send_portal_link: texts a client the link they have; the link stays open, however often it is sent.
begin;
select plan(14);
select tests.open_studio();
select service.set_platform_setting('app_url', 'https://app.example/');
insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end) values (:'kilo', 0, 0);

select tests.sign_in('desk@kilo.example');
select is(send_portal_link(:'kilo_client'), jsonb_build_object('portal_url', 'https://app.example/portal/' || tests.id('token'), 'portal_token', tests.id('token'), 'sms_sent', true, 'outcome', 'queued'),
          'the link that is open is sent');
select is(send_portal_link(:'kilo_client') ->> 'sms_sent', 'true', 'a second click');
select is((select count(*) from public.outbox_messages where kind = 'portal_link'), 1::bigint, 'within the minute sends nothing more');
select is((select show_message(id) ->> 'preview' from public.outbox_messages where kind = 'portal_link'), 'Hi Client, your sessions and bookings with Kilo: https://app.example/portal/' || tests.id('token'), 'what it says');
select send_portal_link(tests.id('ben')) as bens \gset
select is(:'bens'::jsonb - '{portal_url,portal_token}'::text[], '{"sms_sent": false, "outcome": "no_phone"}', 'without a phone it is shown and not sent');
select is(:'bens'::jsonb ->> 'portal_url', 'https://app.example/portal/' || portal_token, 'and the link is made') from public.clients where id = tests.id('ben');
select tests.as_owner();
delete from private.platform_settings;
select tests.sign_in('desk@kilo.example');
select is(send_portal_link(:'kilo_client') - 'portal_token', jsonb_build_object('portal_url', '/portal/' || tests.id('token'), 'sms_sent', false, 'outcome', 'off'),
          'where the platform has not said where the apps are, no text with half an address leaves');
select tests.refuses($$ select send_portal_link(tests.id('lima_client')) $$, 404, 'client_not_found', 'another organisation''s client does not exist');
select tests.only_for_members($$ select send_portal_link(tests.id('kilo_client')) $$, 'client_not_found', 'accountant@kilo.example', 'send_portal_link');

select * from finish();
rollback;
