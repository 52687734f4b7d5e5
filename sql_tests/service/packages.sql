-- packages: an operator sells, freezes, extends and corrects packages and moves sessions by a coach's rules.
begin;
select plan(47);

select tests.sign_in('coach@kilo.example');
update public.offers set pack_validity_days = 100, bonus_sessions = 1 where id = :'kilo_offer';
select tests.as_service();
select results_eq($$ select name, offer_type, price_cents, currency, sessions, is_active
                     from service.list_offers(tests.id('kilo')) $$,
                  $$ values ('Ten sessions', 'session_pack', 80000, 'aud', 11, true) $$,
                  'offers are listed with their bonus');
select service.sell_package(:'kilo', :'kilo_client', :'kilo_offer', 'cash',
                            p_request_id => tests.id('kilo')) as sold \gset
select tests.remember('sold', :'sold');
select is(service.sell_package(:'kilo', :'kilo_client', :'kilo_offer', 'cash', p_request_id => tests.id('kilo')),
          :'sold'::uuid, 'a package is sold once per request');
select results_eq($$ select client_name, offer_name, amount_paid_cents, payment_status, payment_method, sessions_total,
                     sessions_used, sessions_remaining, bookable, frozen_since
                       from service.get_package(tests.id('sold')) $$,
                  $$ values ('Client of Kilo', 'Ten sessions', 80000, 'succeeded', 'cash', 11, 0, 11, 11,
                             null::timestamptz) $$, 'and told');
select set_eq($$ select purchase_id, bookable, is_frozen from service.list_packages(tests.id('kilo')) $$,
              $$ values (tests.id('sold'), 11, false), (tests.id('kilo_package'), 9, false) $$,
              'packages are listed, with what may be booked');
select is(count(*), 2::bigint, 'a client''s too') from service.list_packages(:'kilo', :'kilo_client');
select is(count(*), 1::bigint, 'at most as many as asked for') from service.list_packages(:'kilo', p_limit => 0);

select ok(service.use_session(:'sold') and service.use_session(:'sold'), 'an operator takes sessions');
select is(sessions_used, 2, 'each call one, without a click window') from service.get_package(:'sold');
select is(service.release_session(:'sold'), 1, 'and gives one back');
select is(service.release_session(:'sold'), 0, 'and another');
select is(service.release_session(:'sold'), -1, 'until nothing is left to give back');
select is(service.correct_package(:'sold', 5), 5, 'a package is corrected');
select set_eq($$ select kind, used_delta, reason, actor_id from service.list_session_entries(tests.id('sold')) $$,
  $$ values ('use', 1, 'click', null::uuid), ('release', -1, 'released', null),
     ('correction', 5, 'correction', null) $$, 'its ledger is listed, by nobody in person');
select is(used_delta, 5, 'the latest first') from service.list_session_entries(:'sold', 1);

select isnt(service.freeze_package(:'sold'), null, 'a package is frozen');
select isnt(frozen_since, null, 'which is told') from service.get_package(:'sold');
select ok(not service.use_session(:'sold'), 'and pays nothing');
select isnt(service.unfreeze_package(:'sold'), null, 'it is unfrozen');
select ok(service.use_session(:'sold'), 'and pays again');
select is(service.extend_package(:'sold', date_trunc('day', now()) + interval '200 days'),
          date_trunc('day', now()) + interval '200 days', 'it is extended');
select tests.refuses($$ select service.extend_package(tests.id('sold'), now()) $$,
                     422, 'expiry_not_later', 'not to an earlier day');
select tests.refuses($$ select service.correct_package(tests.id('sold'), 99) $$,
                     422, 'sessions_out_of_range', 'a correction stays in range');
select ok(service.use_session(:'kilo_package', :'kilo_booking'), 'a booking''s session is taken');
select tests.refuses($$ select service.use_session(tests.id('sold'), tests.id('kilo_booking')) $$,
                     422, 'booking_not_in_package', 'from its own package');
select is(service.release_session(:'kilo_package', :'kilo_booking'), 0, 'and given back');
select ok(service.use_session(:'sold', null, tests.id('lima')), 'a click has its own id');
select tests.refuses($$ select service.release_session(tests.id('sold'), null, tests.id('lima')) $$,
                     409, 'request_reused', 'which stays with what it was used for');

-- What does not exist.
select tests.refuses(format('select %s', c), 404, 'purchase_not_found',
                     format('%s: an unknown package does not exist', split_part(split_part(c, '.', 2), '(', 1)))
  from unnest(array['service.use_session(gen_random_uuid())', 'service.release_session(gen_random_uuid())',
                    'service.freeze_package(gen_random_uuid())',
                    'service.unfreeze_package(gen_random_uuid())', 'service.extend_package(gen_random_uuid(), now())',
                    'service.correct_package(gen_random_uuid(), 1)',
                    'service.list_session_entries(gen_random_uuid())', 'service.get_package(gen_random_uuid())',
                    'service.use_session(null)']) as c;
select tests.refuses(format('select %s', c), 404, s, format('%s: %s', split_part(split_part(c, '.', 2), '(', 1), s))
  from (values
  ('service.list_offers(gen_random_uuid())', 'org_not_found'),
        ('service.list_packages(gen_random_uuid())', 'org_not_found'),
  ('service.list_packages(tests.id(''kilo''), tests.id(''lima_client''))', 'client_not_found'),
  ('service.sell_package(tests.id(''kilo''), gen_random_uuid(), tests.id(''kilo_offer''))', 'client_not_found'),
  ('service.sell_package(gen_random_uuid(), tests.id(''kilo_client''), tests.id(''kilo_offer''))', 'client_not_found'),
  ('service.sell_package(tests.id(''kilo''), tests.id(''kilo_client''), tests.id(''lima_offer''))', 'offer_not_found'),
  ('service.sell_package(tests.id(''kilo''), tests.id(''kilo_client''), tests.id(''kilo_offer''), p_promo_code_id => gen_random_uuid())', 'promo_code_not_found'),
  ('service.use_session(tests.id(''kilo_package''), tests.id(''lima_booking''))', 'booking_not_found'),
  ('service.release_session(tests.id(''kilo_package''), gen_random_uuid())', 'booking_not_found')) as t (c, s);
select tests.refuses($$ select service.sell_package(tests.id('kilo'), tests.id('kilo_client'), tests.id('kilo_offer'),
                                                    'shells') $$, 422, 'value_not_allowed',
                     'it is paid in a known way');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
