-- sell_package: an offer is sold at its own price, sessions and expiry, once per request.
begin;
select plan(29);

select tests.sign_in('coach@kilo.example');
insert into public.promo_codes (org_id, code, discount_type, discount_value, max_uses)
  values (:'kilo', 'HALF', 'percentage', 50, 1) returning id as half \gset
update public.offers set pack_validity_days = 90, bonus_sessions = 2 where id = :'kilo_offer';
insert into public.clients (org_id, full_name) values (:'kilo', 'Another client') returning id as another \gset
select tests.remember('half', :'half'), tests.remember('another', :'another'),
  tests.remember('click', gen_random_uuid()), tests.remember('late', gen_random_uuid());

select tests.sign_in('desk@kilo.example');
select sell_package(:'kilo_client', :'kilo_offer', 'card') as sold \gset
select is((amount_paid_cents, discount_cents, currency, sessions_total, sessions_used, payment_status,
           payment_method)::text, '(80000,0,aud,12,0,succeeded,card)',
          'a package is sold as the offer says') from public.client_purchases where id = :'sold';
select is(expires_at, purchased_at + interval '90 days', 'with the offer''s expiry') from public.client_purchases
  where id = :'sold';
select sell_package(:'kilo_client', :'kilo_offer', p_payment_status => 'pending') as owed \gset
select is((payment_status, payment_method)::text, '(pending,)', 'it may be paid later') from public.client_purchases
  where id = :'owed';
select ok(not use_session(:'owed'), 'and serves once it is');

-- Once per request.
select sell_package(:'kilo_client', :'kilo_offer', 'cash', 'succeeded', :'half', tests.id('click')) as once \gset
select is(sell_package(:'kilo_client', :'kilo_offer', 'cash', 'succeeded', :'half', tests.id('click')), :'once'::uuid,
          'the same request sells once');
select is((amount_paid_cents, discount_cents)::text, '(40000,40000)', 'at the price less the discount')
  from public.client_purchases where id = :'once';
select is(times_used, 1, 'the promo code''s last use is counted once') from public.promo_codes where id = :'half';
select tests.refuses($$ select sell_package(tests.id('another'), tests.id('kilo_offer'),
                                            p_request_id => tests.id('click')) $$,
                     409, 'request_reused', 'a request is not used for another client');
select isnt(sell_package(:'kilo_client', :'kilo_offer'), sell_package(:'kilo_client', :'kilo_offer'),
            'without a request id each call sells');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), tests.id('kilo_offer'), 'cash', 'succeeded',
                                            tests.id('half'), tests.id('late')) $$,
                     409, 'promo_code_unavailable', 'a code that is used up sells nothing');
select is_empty($$ select from public.client_purchases where request_id = tests.id('late') $$,
                'and leaves nothing behind');

select tests.refuses($$ select sell_package(gen_random_uuid(), tests.id('kilo_offer')) $$,
                     404, 'client_not_found', 'an unknown client does not exist');
select tests.refuses($$ select sell_package(tests.id('lima_client'), tests.id('kilo_offer')) $$,
                     404, 'client_not_found', 'nor another organisation''s');
select tests.refuses($$ select sell_package(null, null) $$, 404, 'client_not_found', 'nor none');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), gen_random_uuid()) $$,
                     404, 'offer_not_found', 'an unknown offer does not exist');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), tests.id('lima_offer')) $$,
                     404, 'offer_not_found', 'nor another organisation''s');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), null) $$, 404, 'offer_not_found', 'nor none');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), tests.id('kilo_offer'),
                                            p_promo_code_id => gen_random_uuid()) $$,
                     404, 'promo_code_not_found', 'an unknown promo code does not exist');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), tests.id('kilo_offer'), 'shells') $$,
                     422, 'value_not_allowed', 'it is paid in a known way');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), tests.id('kilo_offer'), 'cash', 'refunded') $$,
                     422, 'value_not_allowed', 'it does not begin refunded');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), tests.id('kilo_offer'), 'cash', null) $$,
                     422, 'value_not_allowed', 'nor without a status');

select tests.only_for_members($$ select sell_package(tests.id('kilo_client'), tests.id('kilo_offer')) $$,
                              'client_not_found', 'accountant@kilo.example', 'sell_package');
select tests.as_service();
select isnt(service.sell_package(:'kilo', :'kilo_client', :'kilo_offer'), null, 'the operator''s door sells likewise');
select tests.refuses($$ select service.sell_package(tests.id('lima'), tests.id('kilo_client'),
                                                    tests.id('lima_offer')) $$, 404, 'client_not_found',
                     'within the organisation it names');

select * from finish();
rollback;
