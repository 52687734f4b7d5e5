-- The platform's own events come by the same door as everybody's, and have their effect once.
begin;
select plan(9);
select service.set_plan('pro', 'Pro', 4900, p_features => '{marketing}', p_stripe_price_id => 'price_pro');
select service.link_billing_customer(:'kilo', 'cus_kilo');
create function pg_temp.sent(p_id text, p_customer text, p_account text) returns jsonb language sql as $$
  select service.receive_stripe_event(jsonb_strip_nulls(jsonb_build_object('id', p_id, 'object', 'event', 'type', 'customer.subscription.created', 'created', 1790000000, 'livemode', true,
    'account', p_account, 'data', jsonb_build_object('object', jsonb_build_object(
      'id', 'sub_1', 'object', 'subscription', 'customer', p_customer, 'status', 'active', 'created', 1790000000, 'cancel_at_period_end', false, 'description', 'Kilo Training, jo@kilo.example',
      'items', jsonb_build_object('object', 'list', 'data', jsonb_build_array(jsonb_build_object('id', 'si_1', 'price', jsonb_build_object('id', 'price_pro', 'object', 'price'),
        'current_period_end', extract(epoch from now() + interval '20 days')::bigint)))))))) $$;

select is(pg_temp.sent('evt_1', 'cus_kilo', null) ->> 'outcome', 'applied', 'an event of the platform''s account is applied');
select is(private.entitlements(:'kilo') #>> '{features,marketing,why,0,why}', 'subscription_active', 'and opens what was paid for');
select is(pg_temp.sent('evt_1', 'cus_kilo', null) ->> 'outcome', 'repeated', 'once');
select is((select count(*) from public.org_subscriptions), 1::bigint, 'and leaves one subscription');
select is(pg_temp.sent('evt_2', 'cus_nobody', null) ->> 'outcome', 'refused', 'of a customer nobody is, it is kept and refused');
select is((select error from private.stripe_events where id = 'evt_2'), 'billing_customer_unknown', 'with the reason');
select is(pg_temp.sent('evt_3', 'cus_kilo', 'acct_stranger') ->> 'outcome', 'refused', 'a connected account does not speak for the platform');
select is((select count(*) from private.stripe_events where payload::text like '%jo@kilo.example%'), 0::bigint, 'words are not kept');
select is((select s.event_id from public.org_subscriptions as s), 'evt_1', 'and nothing else had an effect');
select * from finish();
rollback;
