-- undo_completion: a completion or a no-show is taken back, its session returns, and the sweep leaves the booking alone.
begin;
select plan(41);

select tests.make_package('pack', 3), tests.make_package('fixed', 3), tests.make_package('empty', 0);
select tests.make_booking('lesson', 'pack', now() - interval '2 hours'),
  tests.make_booking('bare', null, now() - interval '2 hours'),
       tests.make_booking('missed', 'pack', now() - interval '3 hours'),
       tests.make_booking('waived', 'pack', now() - interval '4 hours'),
       tests.make_booking('uncovered', 'empty', now() - interval '5 hours'),
       tests.make_booking('corrected', 'fixed', now() - interval '5 hours'),
       tests.make_booking('open', 'pack', now() + interval '1 day'),
       tests.make_booking('off', 'pack', now() + interval '2 days');
update public.booking_settings set no_show_policy = 'charge' where org_id = :'kilo';
create function pg_temp.stands(p_booking text) returns text language sql as $$
  select format('%s %s', status, coalesce(settlement, '-')) from public.bookings where id = tests.id(p_booking);
$$;
grant execute on function pg_temp.stands(text) to public;

select tests.sign_in('coach@kilo.example');
select complete_booking(tests.id('lesson'));
select is(undo_completion(tests.id('lesson')), 0, 'the session returns to the package');
select is(pg_temp.stands('lesson'), 'confirmed -', 'the booking is confirmed again, nothing waived');
select results_eq($$ select kind, used_delta, reason from public.session_entries where purchase_id = tests.id('pack')
                     order by created_at $$,
                  $$ values ('use', 1, 'completion'), ('release', -1, 'completion_undone') $$, 'the ledger says why');
select is(undo_completion(tests.id('lesson')), 0, 'the same again changes nothing');
select is(count(*), 2::bigint, 'and writes nothing') from public.session_entries where purchase_id = tests.id('pack');
select is(undo_completion(tests.id('lesson')), 0, 'however often');

-- The sweep leaves it alone, a person does not have to.
select tests.as_service();
select service.sweep_overdue_bookings(p_now => now() + interval '10 minutes');
select tests.sign_in('coach@kilo.example');
select is(pg_temp.stands('lesson'), 'confirmed -', 'the sweep does not complete what a person took back');
select is(pg_temp.stands('corrected'), 'completed charged', 'though it completes the others');
select tests.refuses($$ update public.bookings set status = 'completed' where id = tests.id('lesson') $$,
                     409, 'completion_undone', 'nor does the poll of an open calendar');
select is(complete_booking(tests.id('lesson')), 'charged', 'a person completes it on purpose, and it is charged again');
select is(count(*) filter (where charge_no = 2), 1::bigint, 'as its second charge') from public.session_entries
  where booking_id = tests.id('lesson');
select is(complete_booking(tests.id('lesson')), 'charged', 'which stands');
select is(undo_completion(tests.id('lesson')), 2, 'it can be taken back again');
select is(complete_booking(tests.id('lesson')), 'charged', 'and completed once more');
select is(count(*) filter (where charge_no = 3), 1::bigint, 'as its third charge') from public.session_entries
  where booking_id = tests.id('lesson');

-- Of every ending.
select is(undo_completion(tests.id('bare')), null, 'without a package there is no counter to answer with');
select is(pg_temp.stands('bare'), 'confirmed -', 'the completion is taken back all the same');
select is(pg_temp.stands('missed'), 'completed charged', 'swept');
select undo_completion(tests.id('missed'));
update public.bookings set status = 'no_show' where id = tests.id('missed');
select ok(use_session(tests.id('pack'), tests.id('missed')), 'a no-show is charged by the policy');
select is(reason, 'no_show', 'as a no-show') from public.session_entries
  where booking_id = tests.id('missed') and charge_no = 2;
select undo_completion(tests.id('missed'));
select is(pg_temp.stands('missed'), 'confirmed -', 'a charged no-show is taken back');
select release_session(tests.id('pack'), tests.id('waived'));
select is(pg_temp.stands('waived'), 'completed waived', 'a waived completion');
select is(undo_completion(tests.id('waived')), 1, 'gives nothing back twice');
select is(pg_temp.stands('waived'), 'confirmed -', 'is taken back');
select is(complete_booking(tests.id('waived')), 'charged', 'and charged when it is completed on purpose');
select is(undo_completion(tests.id('uncovered')), 0, 'an uncovered completion has nothing to give back');
select is(pg_temp.stands('uncovered'), 'confirmed -', 'and is taken back');

-- A counter that was corrected to zero has given the session back already.
select is(pg_temp.stands('corrected'), 'completed charged', 'a charged booking');
select correct_package(tests.id('fixed'), 0);
select is(undo_completion(tests.id('corrected')), 0, 'nothing goes below zero');
select is(complete_booking(tests.id('corrected')), 'charged', 'and the booking can be charged again');
select is(sessions_used, 1, 'by one') from public.client_purchases where id = tests.id('fixed');

select tests.refuses(format('select undo_completion(tests.id(%L))', b), 409, 'booking_not_completed',
                     format('%s: there is no completion to take back', b))
  from unnest(array['open', 'off']) as b;
select tests.refuses($$ select undo_completion(gen_random_uuid()) $$,
                     404, 'booking_not_found', 'an unknown booking does not exist');
select tests.only_for_members($$ select undo_completion(tests.id('kilo_booking')) $$,
                              'booking_not_found', 'accountant@kilo.example', 'undo_completion');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
