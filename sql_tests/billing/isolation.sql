-- Billing is the organisation's own: who reads it, who changes it, and who does not know it exists.
begin;
select plan(49);
select service.set_plan('pro', 'Pro', 4900, p_features => '{marketing}', p_stripe_price_id => 'price_pro');
select service.set_plan('old', 'Old', 100, p_is_active => false);
select tests.remember('grant', private.grant_plan(:'kilo', 'comp', 'pro', now() + interval '1 day', null, null, null));
select service.link_billing_customer(:'kilo', 'cus_kilo');
select private.mirror_subscription('{"id": "sub_1", "customer": "cus_kilo", "status": "canceled", "created": 1, "current_period_end": 2, "items": {"data": [{"price": {"id": "price_pro"}}]}}', now(), null, 0);

select tests.sign_in('manager@kilo.example');
select is((select count(*) from plan_grants), 1::bigint, 'a manager sees the organisation''s grants');
select is((select count(*) from org_subscriptions), 1::bigint, 'and its subscriptions');
select is((select string_agg(plan, ' ') from plans), 'pro', 'and the plans that can be chosen');
select is(entitlements(:'kilo') ->> 'plan', 'pro', 'and what it may use');
select tests.forbids($$ update plan_grants set ends_at = 'infinity' $$, 'nobody lengthens a grant');
select tests.forbids($$ insert into plan_grants (org_id, source, plan, ends_at) values (tests.id('kilo'), 'comp', 'pro', 'infinity') $$, 'or gives one');
select tests.forbids($$ update org_subscriptions set status = 'active' $$, 'or writes a subscription');
select tests.forbids($$ update plans set price_cents = 0 $$, 'or sets a price');
select tests.forbids($$ select service.act('grant_plan', '{}') $$, 'or comes through the operator''s door');
select is(admin_grant_plan(:'kilo', 'comp', 'pro', 'For me', now() + interval '1 year') ->> 'details', 'platform_permission_missing', 'or through the platform''s');
select is((select count(*) from plan_grants), 1::bigint, 'which gives nothing');
select tests.sign_in('desk@kilo.example');
select is((select count(*) from plan_grants) + (select count(*) from org_subscriptions), 0::bigint, 'the desk sees neither');
select is(entitlements(:'kilo') #>> '{features,marketing,is_allowed}', 'true', 'but what can be used');
select tests.sign_in('coach@lima.example');
select is((select count(*) from plan_grants) + (select count(*) from org_subscriptions), 0::bigint, 'another organisation sees nothing');
select tests.refuses($$ select entitlements(tests.id('kilo')) $$, 404, 'org_not_found', 'nor what it may use');
select tests.sign_in('client@kilo.example');
select is((select count(*) from plan_grants) + (select count(*) from org_subscriptions), 0::bigint, 'nor does a client');
select tests.refuses($$ select entitlements(tests.id('kilo')) $$, 404, 'org_not_found', 'nor what it may use');
select tests.sign_out();
select tests.forbids($$ select entitlements(tests.id('kilo')) $$, 'a visitor asks nothing');
select tests.forbids($$ select * from plans $$, 'and reads no prices');
select tests.as_service();
select tests.forbids($$ select entitlements(tests.id('kilo')) $$, 'the service has its own door');
select is(service.entitlements(:'kilo') ->> 'plan', 'pro', 'which opens');
select tests.refuses($$ select service.entitlements(gen_random_uuid()) $$, 404, 'org_not_found', 'for organisations that exist');
select is(service.act('grant_plan', jsonb_build_object('org_id', gen_random_uuid(), 'source', 'comp', 'plan', 'pro', 'reason', 'x', 'ends_at', now() + interval '1 day')) ->> 'details', 'org_not_found', 'no grant for nobody');
select is(service.act('revoke_grant', jsonb_build_object('org_id', tests.id('lima'), 'grant_id', tests.id('grant'), 'reason', 'x')) ->> 'details', 'grant_not_found', 'another organisation''s grant does not exist');
select tests.refuses($$ select service.link_billing_customer(tests.id('lima'), 'cus_kilo') $$, 409, 'value_taken', 'nor may its customer be taken');
select is(service.link_billing_customer(:'kilo', 'cus_other'), 'cus_kilo', 'the first customer of an organisation stays');
select tests.as_owner();

select tests.only_for_members($$ select start_trial(tests.id('kilo')) $$, 'org_not_found', 'desk@kilo.example', 'start_trial');
select tests.only_for_members($$ select plan_checkout(tests.id('kilo'), 'pro') $$, 'org_not_found', 'desk@kilo.example', 'plan_checkout');
select tests.only_for_members($$ select billing_customer(tests.id('kilo')) $$, 'org_not_found', 'desk@kilo.example', 'billing_customer');

-- The owner.
select tests.sign_in('coach@kilo.example');
select is(billing_customer(:'kilo') ->> 'stripe_customer_id', 'cus_kilo', 'an owner may open the portal');
select is(plan_checkout(:'kilo', 'pro') ->> 'stripe_price_id', 'price_pro', 'and Checkout');
select tests.refuses($$ select plan_checkout(tests.id('kilo'), 'old') $$, 409, 'plan_not_sold', 'of a plan that is sold');
select tests.refuses($$ select plan_checkout(tests.id('kilo'), 'gold') $$, 404, 'plan_not_found', 'and exists');
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select billing_customer(tests.id('lima')) $$, 409, 'not_a_customer', 'who never subscribed has no portal');

select * from finish();
rollback;
