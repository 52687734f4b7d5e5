-- entitlements: derived from grants that know nothing of each other, with the reason of each.
begin;
select plan(39);
create function pg_temp.because(p_feature text, p_at timestamptz default now()) returns text language sql as $$
  select string_agg(w ->> 'why', ' ') from jsonb_array_elements(private.entitlements(tests.id('kilo'), p_at) #> array['features', p_feature, 'why']) as w $$;
create function pg_temp.subscribe(p_status text, p_more jsonb default '{}', p_price text default 'price_pro') returns text language sql as $$
  select private.mirror_subscription(jsonb_build_object('id', 'sub_1', 'customer', 'cus_kilo', 'status', p_status, 'created', 1790000000, 'current_period_end', 1800000000,
    'cancel_at_period_end', false, 'items', jsonb_build_object('data', jsonb_build_array(jsonb_build_object('price', jsonb_build_object('id', p_price))))) || p_more,
    '2026-09-22 00:00+00'::timestamptz, null, 0) $$;
select tests.remember('request', gen_random_uuid());

-- No plans: the platform charges nobody.
select is(private.entitlements(:'kilo') -> 'is_configured', 'false', 'without plans nothing is asked of anybody');
select ok(private.has_feature(:'kilo', 'marketing'), 'and everything is allowed');
select is(private.entitlements(:'kilo') #> '{features,marketing}', '{"is_allowed": true, "until": null, "why": ["no_plans"]}', 'which the answer says');
select is(private.entitlements(:'kilo') #>> '{limits,clients,allowed}', null, 'in any number');
select is(private.platform_fee_rate(:'kilo'), 0.05, 'the share of sales is the organisation''s');

select service.set_plan('free', 'Free', 0, p_limits => '{"clients": 2}', p_is_default => true, p_trial_days => 0);
select service.set_plan('pro', 'Pro', 4900, p_features => '{marketing}', p_commission_rate => 0.02, p_rank => 10, p_stripe_price_id => 'price_pro');
select service.set_plan('team', 'Team', 9900, p_features => '{marketing}', p_commission_rate => 0, p_rank => 20, p_limits => '{"staff": 5}');
select is(private.entitlements(:'kilo') ->> 'plan', 'free', 'with plans, who has nothing has the default');
select ok(not private.has_feature(:'kilo', 'marketing'), 'and nothing else');
select is(private.plan_limit(:'kilo', 'clients'), 2, 'within its limits');
select is(private.plan_limit(:'kilo', 'staff'), null, 'a limit that a plan does not name is none');
select is(private.platform_fee_rate(:'kilo'), 0.05, 'a plan without a share leaves the organisation''s');
select tests.refuses($$ select private.require_feature(tests.id('kilo'), 'marketing') $$, 402, 'feature_not_in_plan', 'a feature behind a plan is refused with 402');

-- A comp, to the instant.
select private.grant_plan(:'kilo', 'comp', 'pro', '2027-02-01 00:00+00', 'Founding coach', null, tests.id('request'), '2027-01-01 00:00+00') as comp \gset
select ok(not private.has_feature(:'kilo', 'marketing', '2026-12-31 23:59:59.999999+00'), 'a comp gives nothing before it starts');
select ok(private.has_feature(:'kilo', 'marketing', '2027-01-01 00:00+00'), 'counts from its first instant');
select ok(private.has_feature(:'kilo', 'marketing', '2027-01-31 23:59:59.999999+00'), 'to its last');
select ok(not private.has_feature(:'kilo', 'marketing', '2027-02-01 00:00+00'), 'and not at its end');
select is(pg_temp.because('marketing', '2027-01-15'), 'comp', 'and says why');
select is(private.grant_plan(:'kilo', 'comp', 'pro', '2027-02-01 00:00+00', 'Founding coach', null, tests.id('request'), '2027-01-02 00:00+00'), :'comp'::uuid, 'the same request is one grant');
select tests.refuses($$ select private.grant_plan(tests.id('kilo'), 'comp', 'team', '2027-02-01', null, null, tests.id('request'), '2027-01-01') $$, 409, 'request_reused', 'and no other one');
select tests.refuses($$ select private.grant_plan(tests.id('kilo'), 'comp', 'pro', null, null, null, null) $$, 422, 'value_not_allowed', 'a comp has an end');
select tests.refuses($$ select private.grant_plan(tests.id('kilo'), 'comp', 'pro', now(), null, null, null) $$, 422, 'value_not_allowed', 'that is ahead');
select tests.refuses($$ select private.grant_plan(tests.id('kilo'), 'comp', 'gold', now() + interval '1 day', null, null, null) $$, 404, 'plan_not_found', 'of a plan that exists');

-- A subscription beside it.
select service.link_billing_customer(:'kilo', 'cus_kilo');
select is(pg_temp.subscribe('active'), 'mirrored', 'a subscription is mirrored');
select is(pg_temp.because('marketing', '2027-01-15 00:00+00'), 'comp subscription_active', 'both give the same, each for itself');
select is(pg_temp.because('marketing', '2027-01-15 08:00+00'), 'comp renewal_awaited', 'a renewal nobody heard of counts for the grace');
select is(pg_temp.because('marketing', '2026-12-15 00:00+00'), 'subscription_active', 'active is active');
select is(pg_temp.subscribe('canceled', '{"ended_at": 1790000001}'), 'mirrored', 'the subscription ends');
select is(pg_temp.because('marketing', '2027-01-15 00:00+00'), 'comp', 'and the comp stays as it was');
select is(private.revoke_grant(:'kilo', :'comp', null, '2027-01-10 00:00+00'), true, 'an admin revokes the comp');
select ok(not private.has_feature(:'kilo', 'marketing', '2027-01-10 00:00+00'), 'which ends at that instant');
select is(private.revoke_grant(:'kilo', :'comp', null, '2027-01-11 00:00+00'), false, 'once');

-- Failed payment: the grace, from the first failure.
select is(pg_temp.subscribe('past_due'), 'mirrored', 'a payment fails');
select is(pg_temp.because('marketing', '2026-09-28 23:59+00'), 'payment_failed_grace', 'the plan counts on for its grace');
select is(pg_temp.because('marketing', '2026-09-29 00:00+00'), null, 'and no longer');
select is(pg_temp.subscribe('active', '{"cancel_at_period_end": true}'), 'mirrored', 'cancelled for the period''s end');
select is(pg_temp.because('marketing', to_timestamp(1800000000) - interval '1 second'), 'subscription_ending', 'counts to that end');
select is(pg_temp.because('marketing', to_timestamp(1800000000)), null, 'without grace');

-- The better of two.
select private.grant_plan(:'kilo', 'trial', 'team', null, null, null, null, '2026-12-01 00:00+00') as trial \gset
select is(private.entitlements(:'kilo', '2026-12-02') ->> 'plan', 'team', 'of two plans the higher rank is the organisation''s');
select is(private.platform_fee_rate(:'kilo', '2026-12-02'), 0::numeric, 'with its share of sales');
select is(private.plan_limit(:'kilo', 'clients', '2026-12-02'), null, 'and the most generous limit of all counts');

select * from finish();
rollback;
