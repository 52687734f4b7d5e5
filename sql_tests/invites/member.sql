-- accept_invite: whoever has the email joins with the role, once, before the end.
begin;
select plan(31);

select tests.as_owner();
insert into private.platform_settings (name, value) values ('app_url', 'https://app.example');
select tests.sign_up('new@work.example', 'new'), tests.sign_up('other@work.example', 'other');
select * from tests.only_for_members($$ select invite_member(tests.id('kilo'), 'new@work.example', 'coach') $$, 'org_not_found', 'desk@kilo.example', 'invite_member');
select tests.sign_in('manager@kilo.example');
select tests.refuses($$ select invite_member(tests.id('kilo'), 'new@work.example', 'owner') $$, 403, 'permission_missing', 'a manager makes no owner');
select tests.refuses($$ select invite_member(tests.id('kilo'), 'new@work.example', 'support') $$, 422, 'value_not_allowed', 'nobody is invited as support');
select tests.refuses($$ select invite_member(tests.id('kilo'), 'new@work.example', 'king') $$, 422, 'value_not_allowed', 'a role is one of the roles');
select tests.refuses($$ select invite_member(tests.id('kilo'), e'new@work.example\nBcc: x@y.example', 'coach') $$, 422, 'value_not_allowed', 'an email is one line');
select tests.refuses($$ select invite_member(tests.id('kilo'), 'desk@kilo.example', 'coach') $$, 409, 'already_member', 'who belongs needs no invitation');
select invite_member(:'kilo', ' New@Work.example ', 'coach') as invite \gset
select tests.remember('invite', (:'invite'::jsonb ->> 'invite_id')::uuid);
select is(:'invite'::jsonb - '{invite_id,expires_at}'::text[], '{"email": "new@work.example", "role": "coach", "email_queued": true}', 'a person is invited');
select is(invite_member(:'kilo', 'new@work.example', 'coach') ->> 'email_queued', 'false', 'a double click sends one email');
select throws_ok($$ select token_hash from public.member_invites $$, '42501', null, 'nobody reads the token''s hash');
select is((select count(*) from public.member_invites), 1::bigint, 'who may invite sees the invitations');
select tests.sign_in('desk@kilo.example');
select is((select count(*) from public.member_invites), 0::bigint, 'and others do not');
select tests.as_owner();
select split_part(m.metadata ->> 'link', '/join/', 2) as token from public.outbox_messages as m where m.kind = 'member_invite' \gset
select is((select row(count(*), min(to_address), min(client_id::text))::text from public.outbox_messages where kind = 'member_invite'), '(1,new@work.example,)', 'the email goes to them');

select tests.sign_out();
select tests.forbids($$ select accept_invite('x') $$, 'whoever accepts is signed in');
select tests.sign_in('other@work.example');
select is(accept_invite(:'token') ->> 'details', 'invite_other_email', 'the link alone is not enough');
select is(accept_invite(gen_random_uuid()::text) ->> 'details', 'invite_not_found', 'a guess opens nothing');
select is(accept_invite(null) ->> 'details', 'invite_not_found', 'nor does null');
select tests.as_owner();
update auth.users set email_confirmed_at = null where id = tests.id('new');
select tests.sign_in('new@work.example');
select is(accept_invite(:'token') ->> 'details', 'invite_other_email', 'an email that is not confirmed is nobody''s');
select tests.as_owner();
update auth.users set email_confirmed_at = now() where id = tests.id('new');
select tests.sign_in('new@work.example');
select is(accept_invite(upper(:'token')) - 'member_id', jsonb_build_object('outcome', 'joined', 'org_id', :'kilo', 'role', 'coach'), 'they join');
select is(accept_invite(:'token') ->> 'outcome', 'joined', 'again answers the same');
select is((select role from public.org_members where user_id = auth.uid()), 'coach', 'with the role');
select tests.sign_in('manager@kilo.example');
select is(revoke_invite(tests.id('invite')), false, 'what was accepted is not taken back');
select tests.as_owner();
delete from public.org_members where user_id = tests.id('new');
select tests.sign_in('new@work.example');
select is(accept_invite(:'token') ->> 'details', 'invite_used', 'and is no way back for somebody who was removed');

select tests.sign_in('coach@kilo.example');
select invite_member(:'kilo', 'other@work.example', 'manager') as other \gset
select tests.remember('other_invite', (:'other'::jsonb ->> 'invite_id')::uuid);
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select revoke_invite(tests.id('other_invite')) $$, 404, 'invite_not_found', 'another organisation''s invitation does not exist');
select tests.sign_in('coach@kilo.example');
select is(revoke_invite(tests.id('other_invite')), true, 'an invitation is taken back');
select tests.as_owner();
select is((select status || ' ' || error_code from public.outbox_messages where to_address = 'other@work.example'), 'cancelled invite_revoked', 'with its email');
insert into public.member_invites (org_id, email, role, token_hash, expires_at)
values (:'kilo', 'other@work.example', 'coach', sha256(convert_to('a0000000-0000-4000-8000-00000000000a', 'UTF8')), now() - interval '1 second');
select tests.sign_in('other@work.example');
select is(accept_invite('a0000000-0000-4000-8000-00000000000a') ->> 'details', 'invite_expired', 'an invitation ends');
select * from finish();
rollback;
