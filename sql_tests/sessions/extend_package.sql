-- extend_package: an expiry only ever moves to a later instant.
begin;
select plan(19);

select tests.make_package('pack', 5, now() + interval '3 days'), tests.make_package('endless', 5),
  tests.make_package('expired', 5, now() - interval '3 days');
select (now() + interval '10 days')::text as later \gset

select tests.sign_in('coach@kilo.example');
select is(extend_package(tests.id('pack'), :'later'), :'later'::timestamptz, 'a later expiry is taken');
select is(expires_at, :'later'::timestamptz, 'and kept') from public.client_purchases where id = tests.id('pack');
select is(extend_package(tests.id('pack'), :'later'), :'later'::timestamptz, 'the same again changes nothing');
select ok(not use_session(tests.id('expired')), 'an expired package pays nothing');
select isnt(extend_package(tests.id('expired'), :'later'), null, 'it can be extended');
select ok(use_session(tests.id('expired')), 'and then pays');

select tests.refuses(format('select extend_package(tests.id(''pack''), %s)', e), 422, 'expiry_not_later',
                     format('not to %s', e))
  from unnest(array['now()', 'null', '''-infinity''', '''infinity''', '''9999-12-31''']) as e;
select tests.refuses($$ select extend_package(tests.id('endless'), now() + interval '1 year') $$,
                     422, 'expiry_not_later', 'what never expires gets no expiry');
select tests.refuses($$ select extend_package(gen_random_uuid(), now()) $$,
                     404, 'purchase_not_found', 'an unknown package does not exist');
select tests.only_for_members($$ select extend_package(tests.id('kilo_package'), now() + interval '1 year') $$,
                              'purchase_not_found', 'desk@kilo.example', 'extend_package');

select * from finish();
rollback;
