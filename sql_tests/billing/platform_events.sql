-- apply_platform_event: the mirror holds what the provider said last, whatever order it is heard in.
begin;
select plan(33);
select service.set_plan('pro', 'Pro', 4900, p_features => '{marketing}', p_stripe_price_id => 'price_pro');
select service.set_plan('team', 'Team', 9900, p_features => '{marketing}', p_stripe_price_id => 'price_team');
select service.link_billing_customer(:'kilo', 'cus_kilo'), service.link_billing_customer(:'lima', 'cus_lima');
-- An event of the new shape; p_more goes into the subscription.
create function pg_temp.event(p_id text, p_created integer, p_status text, p_more jsonb default '{}', p_type text default 'customer.subscription.updated')
returns jsonb language sql as $$
  select jsonb_build_object('id', p_id, 'type', p_type, 'created', p_created, 'data', jsonb_build_object('object', jsonb_strip_nulls(jsonb_build_object(
    'id', 'sub_1', 'customer', 'cus_kilo', 'status', p_status, 'created', 100, 'cancel_at_period_end', false, 'current_period_end', null,
    'items', jsonb_build_object('data', jsonb_build_array(jsonb_build_object('price', jsonb_build_object('id', 'price_pro'), 'current_period_end', 2000000000))))) || p_more)) $$;
create function pg_temp.standing() returns text language sql as $$
  select string_agg(concat_ws(' ', s.plan, s.status, case when s.refetch_at is not null then 'asks' end), ', ') from public.org_subscriptions as s where s.org_id = tests.id('kilo') $$;

select is(private.apply_platform_event(pg_temp.event('evt_1', 1000, 'active')), 'mirrored', 'a subscription is mirrored');
select is(pg_temp.standing(), 'pro active', 'with the plan of its price');
select is(private.apply_platform_event(pg_temp.event('evt_1', 1000, 'active')), 'repeated', 'the same event again is none');
select is(pg_temp.standing(), 'pro active', 'and asks nothing');
select is(private.apply_platform_event(pg_temp.event('evt_0', 999, 'incomplete')), 'stale', 'an earlier one is too late');
select is(pg_temp.standing(), 'pro active', 'and changes nothing');
select is(private.apply_platform_event(pg_temp.event('evt_2', 1000, 'past_due')), 'refetch', 'another of the same second: nobody knows which was last');
select is(pg_temp.standing(), 'pro active asks', 'so the provider is asked, and meanwhile what was known stays');
select is(private.apply_platform_event(pg_temp.event('evt_3', 1000, 'canceled', '{"ended_at": 1000}')), 'mirrored', 'but what ended does not begin again');
select is(pg_temp.standing(), 'pro canceled asks', 'so that much is known');

-- What was asked.
select c.id as subscription, c.revision as revision from service.claim_subscription_checks() as c \gset
select tests.remember('subscription', :'subscription');
select is((select count(*) from service.claim_subscription_checks()), 0::bigint, 'what one asks about is lent to nobody else');
select is((select count(*) from service.claim_subscription_checks(p_now => now() + interval '3 minutes')), 1::bigint, 'but for two minutes');
select is(private.apply_platform_event(pg_temp.event('evt_4', 1000, 'past_due')), 'refetch', 'while it is asked another is heard of the second');
select is(service.record_subscription(:'kilo', :'subscription', pg_temp.event('', 0, 'active') #> '{data,object}', to_timestamp(1000), :'revision'::bigint), 'mirrored', 'the answer counts');
select is(pg_temp.standing(), 'pro active asks', 'but does not settle what came after the question');
select is(service.record_subscription(:'kilo', :'subscription', pg_temp.event('', 0, 'past_due') #> '{data,object}', to_timestamp(1001), (select revision from org_subscriptions where org_id = :'kilo')), 'mirrored', 'the next answer');
select is(pg_temp.standing(), 'pro past_due', 'settles it');
select is(private.apply_platform_event(pg_temp.event('evt_5', 1000, 'canceled')), 'stale', 'an event from before the answer is too late');
select is(service.record_subscription(:'kilo', :'subscription', pg_temp.event('', 0, 'active') #> '{data,object}', to_timestamp(900), 0), 'stale', 'as is an answer from before an event');
select tests.refuses($$ select service.record_subscription(tests.id('lima'), tests.id('subscription'), pg_temp.event('', 0, 'active') #> '{data,object}', now(), 0) $$, 404, 'subscription_not_found', 'an answer is of the organisation that was asked about');

-- The failed payment's instant stays through further failures.
select is((select past_due_since from org_subscriptions where org_id = :'kilo'), to_timestamp(1001), 'the grace runs from the first failure');
select private.apply_platform_event(pg_temp.event('evt_6', 2000, 'past_due'));
select is((select past_due_since from org_subscriptions where org_id = :'kilo'), to_timestamp(1001), 'also where more fail');
select private.apply_platform_event(pg_temp.event('evt_7', 2001, 'active')), private.apply_platform_event(pg_temp.event('evt_8', 2002, 'past_due'));
select is((select past_due_since from org_subscriptions where org_id = :'kilo'), to_timestamp(2002), 'and anew after one was paid');

-- Invoices notice what no subscription event told.
select is(private.apply_platform_event('{"id": "evt_9", "type": "invoice.paid", "created": 2003, "data": {"object": {"customer": "cus_kilo", "subscription": "sub_1"}}}'), 'refetch', 'a paid invoice of what is thought past due is asked about');
select is(private.apply_platform_event('{"id": "evt_10", "type": "invoice.payment_failed", "created": 2003, "data": {"object": {"customer": "cus_kilo", "parent": {"subscription_details": {"subscription": "sub_1"}}}}}'), 'agreed', 'what agrees is not, in the new shape too');
select is(private.apply_platform_event('{"id": "evt_11", "type": "invoice.paid", "created": 2003, "data": {"object": {"customer": "cus_lima", "subscription": "sub_1"}}}'), 'ignored', 'another customer''s invoice touches nothing');

-- Shapes, and what is missing.
select is(private.apply_platform_event(pg_temp.event('evt_12', 3000, 'active', '{"current_period_end": 1900000000, "items": {"data": [{"price": "price_team"}]}}')), 'mirrored', 'the old shape, with a price that is not expanded');
select is((select concat_ws(' ', plan, extract(epoch from current_period_ends_at)::bigint) from org_subscriptions where org_id = :'kilo'), 'team 1900000000', 'is read as well');
select tests.refuses($$ select private.apply_platform_event(pg_temp.event('evt_13', 3001, 'active', '{"items": {"data": [{"price": "price_pro"}]}}')) $$, 422, 'stripe_field_missing', 'a period that is nowhere is not taken for none');
select tests.refuses($$ select private.apply_platform_event(pg_temp.event('evt_14', 3001, 'active', '{"customer": "cus_nobody"}')) $$, 404, 'billing_customer_unknown', 'a customer nobody is has no effect');
select is(private.apply_platform_event(pg_temp.event('evt_15', 3002, 'active', '{"items": {"data": [{"price": "price_unknown", "current_period_end": 2000000000}]}}')), 'mirrored', 'a price no plan has is mirrored');
select is(private.entitlements(:'kilo') ->> 'plan', null, 'and gives nothing');
select service.set_plan('pro', p_stripe_price_id => 'price_unknown');
select is(private.entitlements(:'kilo') ->> 'plan', 'pro', 'until it is a plan''s');

select * from finish();
rollback;
