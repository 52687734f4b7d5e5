-- Deleting a client: bookings, holds, series and wishes go along, the staff's time comes back and is offered to whoever waits.
begin;
select plan(23);
select tests.open_studio();
create function pg_temp.books(p_client text, p_days integer, p_time time default '09:00', p_type text default 'pt') returns uuid language sql as $$
  select (private.book(tests.id('kilo'), tests.id(p_client), tests.id(p_type), tests.at(p_days, p_time), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null)
          ->> 'booking_id')::uuid $$;
create function pg_temp.holds(p_client text, p_days integer, p_time time default '09:00', p_type text default 'pt', p_minutes integer default 10) returns uuid language sql as $$
  select (private.hold_slot(tests.id('kilo'), tests.id(p_client), tests.id(p_type), tests.at(p_days, p_time), null, tests.id('staff'), null, 'coach', p_minutes) ->> 'hold_id')::uuid $$;
create function pg_temp.seats(p_days integer, p_time time default '09:00') returns integer language sql as $$
  select sum(o.seats)::integer from private.occupancies as o where o.starts_at = tests.at(p_days, p_time) and o.staff_id = tests.id('staff') $$;

-- Of sessions: one of their own, one cancelled, one shared, one that only holds keep when they have gone.
select pg_temp.books('ann', 8), pg_temp.books('ann', 8, '10:00'), pg_temp.holds('ann', 8, '11:00');
update public.bookings set status = 'cancelled' where start_time = tests.at(8, '10:00');
select pg_temp.books('ann', 9, p_type => 'class'), pg_temp.books('ann', 9, p_type => 'class'), pg_temp.books('ben', 9, p_type => 'class');
select pg_temp.books('ann', 10, p_type => 'class'), pg_temp.holds('ann', 10, p_type => 'class', p_minutes => 60), pg_temp.holds('ben', 10, p_type => 'class', p_minutes => 20);
-- A series, a wish, an offer.
select private.book_series(:'kilo', tests.id('ann'), tests.id('pt'), tests.day(15), '09:00', 1, 3, null, tests.id('staff'), null, null, true, null, null) ->> 'outcome' as series \gset
select is(:'series'::text, 'booked', 'a series');
select private.join_waitlist(:'kilo', tests.id('ann'), tests.day(12), tests.id('pt'), tests.id('staff'), null);
select pg_temp.books('ben', 13) as bens \gset
select private.join_waitlist(:'kilo', tests.id('ann'), null, tests.id('pt'), tests.id('staff'), tests.at(13, '09:00'));
update public.bookings set status = 'cancelled' where id = :'bens';
select is(status, 'offered', 'and an offer') from public.waitlist_entries where start_time = tests.at(13, '09:00');
-- Others who wait for what the client has, and for what the client is offered.
select private.join_waitlist(:'kilo', tests.id('ben'), null, tests.id('pt'), tests.id('staff'), tests.at(8, '09:00')) as bens_wish \gset
select private.join_waitlist(:'kilo', tests.id('kilo_client'), null, tests.id('pt'), tests.id('staff'), tests.at(13, '09:00')) as next_wish \gset
select pg_temp.books('ann', 14);
select private.join_waitlist(:'kilo', tests.id('ann'), null, tests.id('pt'), tests.id('staff'), tests.at(14, '09:00'));
-- Two holds of one class that have run out unswept, and somebody else has the time since.
select private.hold_slot(:'kilo', tests.id(c), tests.id('class'), tests.at(11, '09:00'), null, tests.id('staff'), null, 'coach', 10, now() - interval '1 hour') ->> 'outcome'
  from unnest(array['ann', 'ben']) as c;
select pg_temp.books('kilo_client', 11);
select is(pg_temp.seats(9), 3, 'a full class');
select tests.calendar_holds('all agrees');

select lives_ok($$ delete from public.clients where id = tests.id('ann') $$, 'a client is deleted');
select is_empty($$ select from public.bookings where client_id = tests.id('ann') $$, 'their bookings are gone');
select is_empty($$ select from private.holds where client_id = tests.id('ann') $$, 'and holds');
select is_empty($$ select from public.booking_series where client_id = tests.id('ann') $$, 'and series');
select is_empty($$ select from public.waitlist_entries where client_id = tests.id('ann') $$, 'and wishes');
select is(pg_temp.seats(8, '10:00'), null, 'what was cancelled takes no time');
select is(pg_temp.seats(8, '11:00'), null, 'nor what was held');
select is(pg_temp.seats(9), 1, 'in a shared session the others stay');
select is(pg_temp.seats(10), 1, 'also one who only holds');
select is(expires_at, now() + interval '20 minutes', 'as long as that hold runs') from private.occupancies where starts_at = tests.at(10, '09:00');
select is(pg_temp.seats(15), null, 'the series'' time is free') union all select is(pg_temp.seats(29), null, 'to its last date');
select is(status, 'offered', 'a time that comes back is offered to who waits') from public.waitlist_entries where id = :'bens_wish';
select is(status, 'offered', 'as is one that was offered to the client') from public.waitlist_entries where id = :'next_wish';
select is(pg_temp.seats(14), null, 'and nothing is offered to who is gone');
select is(tests.starts(14), '09:00-11:00', 'so it is free for anybody');
select is(pg_temp.seats(11), 1, 'who has the time of their hold that ran out keeps it');
select expired from service.sweep_expired_holds(p_now => now());
select is_empty($$ select from private.occupancies where seats = 0 $$, 'nothing empty is left when all is swept');
select tests.calendar_holds('all agrees again');

select * from finish();
rollback;
