-- Deleting a session type: gone while nothing but holds that have run out knew it; else it is in use, and made inactive.
begin;
select plan(20);
select tests.open_studio();
create function pg_temp.add_type(p_name text) returns uuid language sql as $$
  with added as (insert into public.session_types (org_id, name, slug) values (tests.id('kilo'), p_name, p_name) returning id)
  select tests.remember(p_name, a.id) from added as a $$;
create function pg_temp.delete_type(p_name text) returns text language sql as $$
  select format('delete from public.session_types where id = %L', tests.id(p_name)) $$;
grant execute on function pg_temp.delete_type(text) to public;
select pg_temp.add_type(n) from unnest(array['unused', 'named', 'meant', 'held', 'lapsed', 'waited', 'priced']) as n;
select private.hold_slot(:'kilo', tests.id('ann'), tests.id('held'), tests.at(8, '09:00'), null, tests.id('staff'), null, 'coach') ->> 'hold_id' as held \gset
select private.hold_slot(:'kilo', tests.id('ann'), tests.id('lapsed'), tests.at(8, '10:00'), null, tests.id('staff'), null, 'coach', 10, now() - interval '1 hour') ->> 'hold_id' as lapsed \gset
select private.book(:'kilo', tests.id('ann'), tests.id('named'), tests.at(9, '09:00'), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null);

select tests.sign_in('coach@kilo.example');
insert into public.bookings (org_id, client_id, start_time, end_time, session_type) values (:'kilo', tests.id('ann'), tests.at(9, '10:00'), tests.at(9, '11:00'), 'meant') returning id as meant \gset
select lives_ok(pg_temp.delete_type('unused'), 'a type that nobody has used goes');
select tests.refuses(pg_temp.delete_type('named'), 409, 'session_type_in_use', 'one that a booking names stays');
select tests.refuses(pg_temp.delete_type('meant'), 409, 'session_type_in_use', 'as does one that a booking means by its slug');
select tests.refuses(pg_temp.delete_type('held'), 409, 'session_type_in_use', 'or that is held');
select ok(tests.refusal_of(pg_temp.delete_type('held')) ~ 'inactive', 'which says what to do instead');
select lives_ok(pg_temp.delete_type('lapsed'), 'a hold that has run out keeps nothing, swept or not');
select tests.as_owner();
select is_empty(format('select from private.holds where id = %L', :'lapsed'), 'the hold went with it');
select is_empty($$ select from private.occupancies where starts_at = tests.at(8, '10:00') $$, 'and the time it took');
select is(count(*), 1::bigint, 'what is held is held yet') from private.holds where id = :'held' and status = 'held';
update private.occupancies set expires_at = now() - interval '1 minute' where id = (select occupancy_id from private.holds where id = :'held');
update private.holds set expires_at = now() - interval '1 minute' where id = :'held';
select tests.sign_in('coach@kilo.example');
select lives_ok(pg_temp.delete_type('held'), 'until it has run out');
select lives_ok(format('update public.bookings set status = ''cancelled'' where id = %L', :'meant'), 'a booking that was cancelled');
select lives_ok(pg_temp.delete_type('meant'), 'and meant it by its slug keeps its word, not the type');
select is(session_type, 'meant', 'for history') from public.bookings where id = :'meant';

-- An offer of the waitlist that was let pass goes with the type it was for.
select tests.as_owner();
select private.book(:'kilo', tests.id('ann'), null, tests.at(10, '09:00'), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null) ->> 'booking_id' as gone \gset
select private.join_waitlist(:'kilo', tests.id('ben'), null, tests.id('waited'), tests.id('staff'), tests.at(10, '09:00')) as entry \gset
update public.bookings set status = 'cancelled' where id = :'gone';
select is(status, 'offered', 'a freed time is offered') from public.waitlist_entries where id = :'entry';
select tests.sign_in('coach@kilo.example');
select tests.refuses(pg_temp.delete_type('waited'), 409, 'session_type_in_use', 'what is offered is in use');
select tests.as_owner();
select expired from service.sweep_expired_holds(p_now => now() + interval '2 hours');
select tests.sign_in('coach@kilo.example');
select lives_ok(pg_temp.delete_type('waited'), 'until the offer is let pass');
select is_empty(format('select from public.waitlist_entries where id = %L', :'entry'), 'nobody waits for what is no more');

-- Staff and places are never deleted.
select tests.forbids($$ delete from public.staff $$, 'nobody deletes staff');
select tests.forbids($$ delete from public.locations $$, 'nor places: both are made inactive');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
