-- The allow-list: in invite-only mode no account is born that nothing allows, whoever makes it; each decision is audited.
begin;
select plan(30);

create function pg_temp.born(p_email text, p_data jsonb default '{}') returns void language sql as $$
  insert into auth.users (id, email, raw_user_meta_data) values (gen_random_uuid(), p_email, p_data);
$$;
select tests.as_owner();
select lives_ok($$ select pg_temp.born('anybody@open.example') $$, 'while it is open anybody signs up');
select is((select row(action, subject_type, reason)::text from private.platform_audit_log order by happened_at desc limit 1), '(sign_up_allowed,users,open)', 'and it is audited, without their name');
select tests.as_service();
select is(service.set_sign_up_mode('invite_only'), 'invite_only', 'an operator closes it');
select tests.refuses($$ select service.set_sign_up_mode('maybe') $$, 422, 'value_not_allowed', 'it is open or it is not');
select is(service.allow_sign_up(' Ann@Open.example ', 'a friend'), true, 'an email is put on the list');
select is(service.allow_sign_up('ann@open.example'), false, 'once');
select is(service.allow_sign_up('@studio.example'), true, 'a domain too');
select tests.refuses($$ select service.allow_sign_up('nobody') $$, 422, 'value_not_allowed', 'nothing else');
select is((select array_agg(entry) from service.list_allowed_sign_ups()), '{@studio.example,ann@open.example}', 'the list is shown');
select is(service.check_sign_up('x@open.example'), '{"mode": "invite_only", "is_allowed": false, "reason": "not_invited"}', 'and says who may');
select tests.as_owner();
select tests.refuses($$ select pg_temp.born('x@open.example') $$, 403, 'sign_up_not_invited', 'who is not on it has no account');
select tests.refuses($$ select pg_temp.born(null) $$, 403, 'sign_up_not_invited', 'nor has somebody without an email');
select tests.refuses($$ select pg_temp.born('x@evil-studio.example') $$, 403, 'sign_up_not_invited', 'a domain is the whole domain');
select tests.refuses($$ select pg_temp.born('x@studio.example@open.example') $$, 403, 'sign_up_not_invited', 'and no part of an address');
select lives_ok($$ select pg_temp.born('ANN@open.example') $$, 'who is on it has');
select lives_ok($$ select pg_temp.born('coach@studio.example') $$, 'by domain too');

-- Invitations allow by themselves.
select tests.sign_in('coach@kilo.example');
select invite_member(:'kilo', 'new@work.example', 'coach');
insert into public.clients (org_id, full_name) values (:'kilo', 'Without email') returning id as silent \gset
select create_client_invite(:'silent') ->> 'invite_code' as code \gset
select tests.as_owner();
select set_config('test.code', :'code', true);
select lives_ok($$ select pg_temp.born('new@work.example') $$, 'who is invited as a member may');
select lives_ok($$ select pg_temp.born('someone@home.example', jsonb_build_object('invite_code', lower(current_setting('test.code')))) $$, 'and who brings a client''s code');
select tests.refuses($$ select pg_temp.born('else@home.example', '{"invite_code": "GUESSGUESS"}') $$, 403, 'sign_up_not_invited', 'a code is proven, not believed');
update public.client_invites set expires_at = now() - interval '1 second';
select tests.refuses($$ select pg_temp.born('late@home.example', jsonb_build_object('invite_code', current_setting('test.code'))) $$, 403, 'sign_up_not_invited', 'and ends');
select is((select array_agg(reason order by happened_at desc) from (select * from private.platform_audit_log where action = 'sign_up_allowed' order by happened_at desc limit 4) as a),
          '{client_invite,member_invite,listed,listed}', 'each is audited with its reason');

-- The hook answers in words, and leaves its evidence.
select is(service.before_user_created('{"user": {"email": "x@open.example"}}') #>> '{error,http_code}', '403', 'the hook refuses');
select is((select row(action, reason)::text from private.platform_audit_log order by happened_at desc limit 1), '(sign_up_refused,not_invited)', 'which is audited');
select is(service.before_user_created('{"user": {"email": "ann@open.example", "user_metadata": {}}}'), '{}', 'and lets pass who may');
select is(service.before_user_created('{}') #>> '{error,http_code}', '403', 'and nobody for nothing');

-- The brake stops everybody.
select private.set_brake('sign_up', null, 'An attack.', null, true);
select tests.refuses($$ select pg_temp.born('two@studio.example') $$, 423, 'brake_on', 'the brake stops who is on the list, too');
select is(service.before_user_created('{"user": {"email": "ann@open.example"}}') #>> '{error,http_code}', '423', 'by the hook as well');
select tests.as_service();
select is(service.disallow_sign_up('@studio.example'), true, 'an entry is taken off');
select is(service.disallow_sign_up('@studio.example'), false, 'once');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select service.allow_sign_up('x@y.example') $$, 'it is the operators'' list');
select * from finish();
rollback;
