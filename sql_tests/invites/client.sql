-- redeem_client_invite: a code makes one person the client, once; a guess is counted.
begin;
select plan(31);

select tests.as_owner();
update public.clients set auth_user_id = null where id in (:'kilo_client', :'lima_client');
select tests.sign_up('one@app.example', 'one'), tests.sign_up('two@app.example', 'two');
select * from tests.only_for_members($$ select create_client_invite(tests.id('kilo_client')) $$, 'client_not_found', 'accountant@kilo.example', 'create_client_invite');
select tests.sign_in('coach@kilo.example');
select create_client_invite(:'kilo_client') as invite \gset
select :'invite'::jsonb ->> 'invite_code' as code, :'invite'::jsonb ->> 'invite_id' as id \gset
select tests.remember('invite', :'id');
select matches((:'code')::text, '^[A-HJ-NP-Z2-9]{10}$', 'a code has nothing that looks alike');
select is(create_client_invite(:'kilo_client') ->> 'invite_code', :'code', 'a client has one open invite');
select tests.refuses($$ select create_client_invite(tests.id('kilo_client'), 0) $$, 422, 'value_not_allowed', 'an invite lasts a day at least');
select tests.forbids($$ insert into public.client_invites (org_id, client_id, invite_code, expires_at) values (tests.id('kilo'), tests.id('kilo_client'), 'CHOSEN', now() + interval '1 day') $$, 'nobody chooses a code');

select tests.sign_out();
select tests.forbids($$ select * from public.client_invites $$, 'a visitor reads no invite, the code at hand');
select is(client_invite(lower(:'code')) - 'expires_at', '{"first_name": "Client", "org_name": "Kilo"}', 'but sees whom a code is for, and no more');
select is(client_invite('AAAAAAAAAA') ->> 'details', 'invite_not_found', 'a guess finds nothing');
select is(client_invite(null) ->> 'details', 'invite_not_found', 'nor does null');
select tests.forbids($$ select redeem_client_invite('x') $$, 'whoever redeems is signed in');

select tests.sign_in('one@app.example');
select is((select count(*) from public.client_invites), 0::bigint, 'before redeeming one sees no invite');
select tests.changes_nothing($$ update public.client_invites set redeemed_by = auth.uid(), redeemed_at = now() where id = tests.id('invite') $$, 'nor redeems one by a direct write, the id at hand');
select is(redeem_client_invite(substr(:'code', 1, 5) || ' ' || lower(substr(:'code', 6))) - '{invite_id,redeemed_at}'::text[],
          jsonb_build_object('outcome', 'redeemed', 'client_id', :'kilo_client', 'org_id', :'kilo'), 'a code is redeemed, however it is typed');
select is(redeem_client_invite(:'code') ->> 'outcome', 'redeemed', 'again answers the same');
select is((select auth_user_id from public.clients where id = :'kilo_client'), tests.id('one'), 'they are the client');
select is((select client_id from public.client_invites where redeemed_by = auth.uid()), :'kilo_client'::uuid, 'the app finds its client by the invite');
select lives_ok($$ update public.client_invites set redeemed_at = now() + interval '1 day', redeemed_by = tests.id('two') where id = tests.id('invite') $$, 'what the app writes afterwards is taken');
select is((select redeemed_by from public.client_invites where id = :'id'), tests.id('one'), 'and changes nothing');

select tests.sign_in('two@app.example');
select is(redeem_client_invite(:'code') ->> 'details', 'invite_used', 'a second person has no use of it');
select is((select count(*) from public.client_invites), 0::bigint, 'and sees nothing');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select create_client_invite(tests.id('kilo_client')) $$, 409, 'client_linked', 'who signs in needs no invite');
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select revoke_client_invite(tests.id('invite')) $$, 404, 'invite_not_found', 'another organisation''s invite does not exist');
select create_client_invite(:'lima_client') as revoked \gset
select is(revoke_client_invite((:'revoked'::jsonb ->> 'invite_id')::uuid), true, 'an invite is taken back');
select tests.sign_in('two@app.example');
select is(redeem_client_invite(:'revoked'::jsonb ->> 'invite_code') ->> 'details', 'invite_not_found', 'and opens nothing any more');
select tests.as_owner();
insert into public.client_invites (org_id, client_id, invite_code, expires_at) values (:'lima', :'lima_client', 'LATELATE22', now() - interval '1 second');
select tests.sign_in('two@app.example');
select is(redeem_client_invite('LATELATE22') ->> 'details', 'invite_expired', 'an invite ends');
select count(redeem_client_invite('GUESSGUESS')) from generate_series(1, 30);
select is(redeem_client_invite('GUESSGUESS') ->> 'details', 'rate_limited', 'whoever guesses is stopped');
select * from finish();
rollback;
