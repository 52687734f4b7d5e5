-- Referrals: a visitor is counted once, a sign-up once, and both sides are rewarded once, where it can be spent.
begin;
select plan(36);

select tests.sign_in('coach@kilo.example');
insert into public.referral_links (org_id, code, name, reward_type, reward_value, referrer_reward_type, referrer_reward_value)
values (:'kilo', 'Friends', 'Bring a friend', 'free_session', 2, 'credit', 1500) returning id as link \gset
select tests.remember('link', :'link');
select tests.refuses($$ insert into public.referral_links (org_id, code, name) values (tests.id('kilo'), 'FRIENDS', 'x') $$, 409, 'referral_code_taken', 'a code is taken, whatever its case');
select tests.sign_in('coach@lima.example');
select tests.refuses($$ insert into public.referral_links (org_id, code, name) values (tests.id('lima'), 'friends', 'x') $$, 409, 'referral_code_taken', 'by whomever');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ insert into public.referral_links (org_id, code, name, reward_type, reward_value) values (tests.id('kilo'), 'half', 'x', 'discount', 101) $$, 422, 'value_not_allowed', 'a discount is a percentage');
select tests.forbids($$ update public.referral_links set clicks = 100 $$, 'nobody writes the counters');
select client_referral_link(:'kilo_client') ->> 'referral_code' as by \gset
select is(client_referral_link(:'kilo_client') ->> 'referral_code', :'by', 'a client''s code stays');
select tests.sign_in('client@kilo.example');
select is(client_referral_link(:'kilo_client') ->> 'url', '/refer/Friends?by=' || :'by', 'a client has their own link');
select tests.refuses($$ select client_referral_link(tests.id('lima_client')) $$, 404, 'client_not_found', 'and nobody else''s');

select tests.sign_out();
select is(referral_page('FRIENDS', 'a0000000-0000-4000-8000-000000000001') - 'offers', jsonb_build_object(
  'code', 'Friends', 'name', 'Bring a friend', 'description', null, 'reward_type', 'free_session', 'reward_value', 2, 'expires_at', null,
  'org_name', 'Kilo', 'org_slug', 'kilo', 'branding', '{"display_name": "Kilo", "primary_color": "#111111", "logo_url": null}'::jsonb), 'the page shows the link, and nobody''s data');
select referral_page('friends', 'a0000000-0000-4000-8000-000000000001'), referral_page('friends', 'a0000000-0000-4000-8000-000000000002');
select is(referral_page('nothing') ->> 'details', 'referral_not_found', 'a code that opens nothing is 404');
select is(refer('friends', 'Ann', 'ann@example.com', p_referred_by => lower(:'by')) ->> 'outcome', 'captured', 'somebody signs up');
select is(refer('friends', 'Ann', 'ANN@example.com', p_referred_by => :'by') ->> 'outcome', 'known', 'twice is once');
select is(refer('friends', 'Client', 'client@kilo.example', p_referred_by => :'by') ->> 'outcome', 'captured', 'a client who refers themselves is a lead');
select tests.refuses($$ select refer('friends', 'Ann', null) $$, 422, 'value_not_allowed', 'an email is needed');
select tests.forbids($$ select * from public.referral_links $$, 'a visitor reads no link');
select tests.forbids($$ update public.referral_links set clicks = clicks + 1 $$, 'nor counts for themselves');
select tests.as_owner();
select is((select row(clicks, signups, conversions)::text from public.referral_links where id = :'link'), '(2,1,0)', 'two visitors, one sign-up');
select is((select row(status, referrer_client_id = tests.id('kilo_client'))::text from public.referrals where referral_link_id = :'link'), '(signed_up,t)', 'and who sent them');
-- As if it had been a while: whoever is a client since then is new.
update public.referrals set signed_up_at = now() - interval '1 hour';

select tests.sign_in('coach@kilo.example');
select id as inquiry from public.inquiries where email = 'ann@example.com' \gset
select convert_inquiry(:'inquiry') ->> 'client_id' as ann \gset
select convert_inquiry(:'inquiry');
select is((select row(status, referrer_rewarded, referrer_reward_cents, referred_rewarded, referred_client_id = :'ann'::uuid, rewarded_at is not null)::text
             from public.referrals where referral_link_id = :'link'), '(rewarded,t,1500,t,t,t)', 'both sides are rewarded');
select is((select conversions from public.referral_links where id = :'link'), 1, 'one conversion');
select is((select count(*) from public.referral_rewards), 2::bigint, 'one reward for each side');
select is(credit_balance(:'kilo_client'), '{"balance_cents": 1500, "currency": "aud"}'::jsonb, 'the referrer''s is credit');
select is((select row(sessions_total, sessions_used, amount_paid_cents, payment_status, source, entry_count)::text from public.client_purchases where client_id = :'ann'::uuid),
          '(2,0,0,succeeded,reward,1)', 'the referred person''s a package of sessions, free');
select is((select row(kind, used_delta, reason)::text from public.session_entries as e join public.client_purchases as p on p.id = e.purchase_id where p.client_id = :'ann'::uuid),
          '(opening,0,referral_reward)', 'whose ledger opens with where it is from');
select id as package from public.client_purchases where client_id = :'ann'::uuid \gset
select ok(use_session(:'package'), 'and whose sessions are spent like any other');
select tests.as_owner();
select private.convert_referral(:'kilo', (select id from public.referrals where referral_link_id = :'link'), :'ann'::uuid);
select is((select count(*) from public.credit_entries), 1::bigint, 'a referral is settled once');

-- Credit is spent within what there is.
select tests.sign_in('coach@kilo.example');
select is(spend_credit(:'kilo_client', 500, 'Towel', 'b0000000-0000-4000-8000-000000000001'), 1000::bigint, 'credit is spent');
select is(spend_credit(:'kilo_client', 500, 'Towel', 'b0000000-0000-4000-8000-000000000001'), 1000::bigint, 'a second click spends nothing more');
select tests.refuses($$ select spend_credit(tests.id('kilo_client'), 600, null, 'b0000000-0000-4000-8000-000000000001') $$, 409, 'request_reused', 'one request is one thing');
select tests.refuses($$ select spend_credit(tests.id('kilo_client'), 1001) $$, 409, 'credit_exhausted', 'not more than there is');
select tests.refuses($$ select spend_credit(tests.id('kilo_client'), -1) $$, 422, 'value_not_allowed', 'nor less than nothing');
select tests.sign_in('client@kilo.example');
select is(credit_balance(:'kilo_client') ->> 'balance_cents', '1000', 'a client sees their own');
select is((select count(*) from public.credit_entries), 2::bigint, 'and what it came from');
select tests.refuses($$ select spend_credit(tests.id('kilo_client'), 1) $$, 404, 'client_not_found', 'and spends none by themselves');

-- A discount becomes a code for one sale; who was a client before is no referral.
select tests.sign_in('coach@kilo.example');
insert into public.referral_links (org_id, code, name, reward_type, reward_value, referrer_reward_type)
values (:'kilo', 'TenOff', 'Ten off', 'discount', 10, 'none') returning id as tenoff \gset
select tests.sign_out();
select refer('tenoff', 'Ben', 'ben@example.com');
select tests.as_owner();
update public.referrals set signed_up_at = now() - interval '1 hour';
select tests.sign_in('coach@kilo.example');
select convert_inquiry((select id from public.inquiries where email = 'ben@example.com'));
select is((select row(c.discount_type, c.discount_value, c.max_uses)::text from public.referral_rewards as w join public.promo_codes as c on c.id = w.promo_code_id where w.reward_type = 'discount'),
          '(percentage,10,1)', 'a discount is a promo code for one sale');
select tests.sign_out();
select refer('tenoff', 'Cat', 'cat@example.com');
select tests.as_owner();
insert into public.clients (org_id, full_name, email, created_at) values (:'kilo', 'Cat', 'cat@example.com', now() - interval '1 year');
select tests.sign_in('coach@kilo.example');
select convert_inquiry((select id from public.inquiries where email = 'cat@example.com'));
select is((select status from public.referrals where referred_email = 'cat@example.com'), 'expired', 'a client from before is no referral');
update public.referral_links set is_active = false where id = :'tenoff';
select tests.sign_out();
select is(referral_page('tenoff') ->> 'details', 'referral_not_found', 'a closed link opens nothing');
select * from finish();
rollback;
