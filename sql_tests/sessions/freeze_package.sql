-- freeze_package, unfreeze_package: a frozen package pays nothing, and its expiry moves by as long as it was frozen.
begin;
select plan(32);

select tests.make_package('pack', 5, now() + interval '30 days'), tests.make_package('endless', 5),
  tests.make_package('expired', 5, now() - interval '1 day'),
       tests.make_package('refunded', 5, null, 'refunded'), tests.make_package('failed', 5, null, 'failed'),
       tests.make_package('owed', 5, null, 'pending');
select (now() - interval '10 days')::text as began, (now() - interval '4 days')::text as ended \gset

select is(private.freeze_package(:'kilo', tests.id('pack'), :'began'), :'began'::timestamptz,
          'freezing says since when');
select is(private.freeze_package(:'kilo', tests.id('pack'), :'ended'), :'began'::timestamptz,
          'freezing it again changes nothing');
select tests.sign_in('coach@kilo.example');
select is(freeze_package(tests.id('pack')), :'began'::timestamptz, 'through the public door too');
select ok(not use_session(tests.id('pack')), 'a frozen package pays nothing');
select is(bookable_sessions_remaining(tests.id('pack')), 0, 'and can be booked for nothing');
select tests.as_owner();
select is(private.unfreeze_package(:'kilo', tests.id('pack'), :'ended'), now() + interval '36 days',
          'after six days of frost it expires six days later');
select is(private.unfreeze_package(:'kilo', tests.id('pack'), now()), now() + interval '36 days',
          'unfreezing it again moves nothing');
select tests.sign_in('coach@kilo.example');
select is(unfreeze_package(tests.id('pack')), now() + interval '36 days', 'through the public door too');
select ok(use_session(tests.id('pack')), 'it serves again');
select is(bookable_sessions_remaining(tests.id('pack')), 4, 'and can be booked');
select tests.as_owner();
select is(frozen_periods, tstzmultirange(tstzrange(:'began', :'ended')), 'what was frozen is remembered')
  from public.client_purchases where id = tests.id('pack');

-- A second frost.
select private.freeze_package(:'kilo', tests.id('pack'), now() - interval '2 days');
select is(private.unfreeze_package(:'kilo', tests.id('pack'), now() - interval '1 day'), now() + interval '37 days',
          'a second frost moves it by its own length alone');

select tests.sign_in('coach@kilo.example');
select isnt(freeze_package(tests.id('endless')), null, 'a package without expiry can be frozen');
select is(unfreeze_package(tests.id('endless')), null, 'and still has none afterwards');
select isnt(freeze_package(tests.id('owed')), null, 'so can one that is not paid yet');
select tests.refuses(format('select freeze_package(tests.id(%L))', p), 409, 'package_ended',
                     format('one that is %s cannot', p))
  from unnest(array['expired', 'refunded', 'failed']) as p;
select is(unfreeze_package(tests.id('expired')), now() - interval '1 day',
          'to unfreeze what is not frozen changes nothing');
select tests.refuses($$ select freeze_package(gen_random_uuid()) $$,
                     404, 'purchase_not_found', 'an unknown package does not exist');

select tests.only_for_members($$ select freeze_package(tests.id('kilo_package')) $$,
                              'purchase_not_found', 'desk@kilo.example', 'freeze_package');
select tests.only_for_members($$ select unfreeze_package(tests.id('kilo_package')) $$,
                              'purchase_not_found', 'desk@kilo.example', 'unfreeze_package');

select * from finish();
rollback;
