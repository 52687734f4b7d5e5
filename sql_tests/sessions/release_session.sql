-- release_session: gives back the very entry that was taken, once; a booking whose session is given back is waived.
begin;
select plan(38);

select tests.make_package('pack', 5), tests.make_package('other', 5), tests.make_package('old', 5),
       tests.make_package('fresh', 5);
select tests.make_booking('first', 'pack', now() - interval '5 hours'), tests.make_booking('second', 'pack', now() - interval '3 hours'),
       tests.make_booking('untaken', 'pack', now() - interval '1 day'), tests.make_booking('elsewhere', 'other', now() - interval '7 hours');
update public.booking_settings set session_click_window_secs = 0 where org_id = :'kilo';
select gen_random_uuid() as click, gen_random_uuid() as vain \gset
select tests.remember('click', :'click'), tests.remember('vain', :'vain');

select tests.sign_in('desk@kilo.example');
select is(release_session(tests.id('pack')), -1, 'nothing taken, nothing to give back');
select is_empty($$ select from public.session_entries where purchase_id = tests.id('pack') $$,
                'and nothing is written');

update public.bookings set status = 'completed' where id = tests.id('first');
select use_session(tests.id('pack')), use_session(tests.id('pack'), tests.id('second')), use_session(tests.id('pack'));
select is(sessions_used, 3, 'three are taken: two bookings and a click') from public.client_purchases
  where id = tests.id('pack');

-- The latest first.
select is(release_session(tests.id('pack')), 2, 'a release gives back the latest');
select is((select (kind, used_delta, reason) from public.session_entries where id = r.released_entry_id)::text,
          '(use,1,click)', 'which was the click')
  from public.session_entries as r where r.purchase_id = tests.id('pack') and r.kind = 'release';

-- A booking's.
select is(release_session(tests.id('pack'), tests.id('first')), 1,
          'a booking''s own entry is given back, though it is not the latest');
select is(settlement, 'waived', 'the booking is waived') from public.bookings where id = tests.id('first');
select is(settlement, 'charged', 'the other is as it was') from public.bookings where id = tests.id('second');
select is(release_session(tests.id('pack'), tests.id('first')), -1, 'the same entry is not given back twice');
select is(release_session(tests.id('pack'), tests.id('untaken')), -1, 'a booking that took none has none to give back');
select is(sessions_used, 1, 'neither moved anything') from public.client_purchases where id = tests.id('pack');
select is(release_session(tests.id('pack')), 0, 'the latest that is left is the other booking''s');
select is((settlement, due_since)::text, '(waived,)', 'which is waived by it') from public.bookings
  where id = tests.id('second');
select is(release_session(tests.id('pack')), -1, 'then nothing is left to give back');

-- Waived stays waived.
select ok(use_session(tests.id('pack')), 'a click after that takes one');
select is(reason, 'click', 'for itself, not for the waived booking')
  from public.session_entries where purchase_id = tests.id('pack') order by created_at desc limit 1;
select tests.as_service();
select completed, charged from service.sweep_overdue_bookings(p_now => now() + interval '10 minutes') \gset swept_
select tests.as_owner();
select is(settlement, 'waived', 'the sweep takes nothing for a waived booking') from public.bookings
  where id = tests.id('first');
select is((status, settlement)::text, '(completed,waived)',
          'a waived one that was not completed is completed, and stays waived')
  from public.bookings where id = tests.id('second');
select is(settlement, 'charged', 'while the untaken one is charged') from public.bookings
  where id = tests.id('untaken');
select is(sessions_used, 2, 'two are used now: the click and the swept booking') from public.client_purchases
  where id = tests.id('pack');

-- A click with an id.
select tests.sign_in('desk@kilo.example');
select is(release_session(tests.id('pack'), null, :'click'), 1, 'a click gives one back');
select is(release_session(tests.id('pack'), null, :'click'), 1, 'the same click answers the same');
select is(sessions_used, 1, 'and gives nothing more') from public.client_purchases where id = tests.id('pack');
select is(release_session(tests.id('fresh'), null, :'vain'), -1, 'a click with nothing to give back');
select ok(use_session(tests.id('fresh')), 'then something is taken');
select is(release_session(tests.id('fresh'), null, :'vain'), -1, 'the same click still gives nothing back');
select tests.refuses($$ select release_session(tests.id('other'), null, tests.id('click')) $$,
                     409, 'request_reused', 'an id is not used for another package');
select tests.refuses($$ select use_session(tests.id('pack'), null, tests.id('click')) $$,
                     409, 'request_reused', 'nor for taking');

-- Also what cannot be used any more can be given back.
select tests.as_owner();
select private.take_session(:'kilo', tests.id('old'), null, null, tests.id('kilo_desk'), now() - interval '1 day');
update public.client_purchases set expires_at = now() - interval '1 hour' where id = tests.id('old');
select tests.sign_in('desk@kilo.example');
select is(release_session(tests.id('old')), 0, 'a session of an expired package is given back');

select tests.refuses($$ select release_session(tests.id('pack'), tests.id('elsewhere')) $$,
                     422, 'booking_not_in_package', 'a booking of another package is not this one''s');
select tests.refuses($$ select release_session(gen_random_uuid()) $$,
                     404, 'purchase_not_found', 'an unknown package does not exist');
select tests.only_for_members($$ select release_session(tests.id('kilo_package')) $$,
                              'purchase_not_found', 'accountant@kilo.example', 'release_session');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
