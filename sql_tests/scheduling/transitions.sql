-- transitions: a booking moves from one status to the next only as it may.
begin;
select plan(39);

select tests.make_package('pack', 50);
-- A new booking of each status, met by the desk's direct write.
create function pg_temp.fresh(p_status text) returns uuid language plpgsql as $$
declare
  v_id uuid;
begin
  perform tests.as_owner();
  v_id := tests.make_booking('b', null, now() - interval '2 hours');
  perform tests.sign_in('desk@kilo.example');
  if p_status <> 'confirmed' then
    update public.bookings set status = p_status where id = v_id;
  end if;
  return v_id;
end;
$$;
create function pg_temp.allows(p_from text, p_to text) returns text language plpgsql as $$
declare
  v_id uuid;
begin
  v_id := pg_temp.fresh(p_from);
  update public.bookings set status = p_to where id = v_id;
  return extensions.is((select status from public.bookings where id = v_id), p_to, format('%s → %s', p_from, p_to));
end;
$$;
create function pg_temp.stops(p_from text, p_to text) returns text language plpgsql as $$
declare
  v_id uuid;
begin
  v_id := pg_temp.fresh(p_from);
  return tests.refuses(format('update public.bookings set status = %L where id = %L', p_to, v_id), 409,
                       'booking_not_confirmed', format('not %s → %s', p_from, p_to));
end;
$$;
select pg_temp.allows(f, t) from (values
  ('pending', 'pending'), ('pending', 'confirmed'), ('pending', 'cancelled'),
  ('confirmed', 'pending'), ('confirmed', 'confirmed'), ('confirmed', 'completed'), ('confirmed', 'no_show'),
                                  ('confirmed', 'cancelled'),
  ('completed', 'confirmed'), ('completed', 'pending'), ('no_show', 'confirmed'), ('no_show', 'pending'),
                                  ('no_show', 'no_show'),
  ('cancelled', 'confirmed'), ('cancelled', 'pending'), ('cancelled', 'cancelled')) as s (f, t);
select tests.as_owner();
select pg_temp.stops(f, t) from (values
  ('pending', 'completed'), ('pending', 'no_show'),
  ('completed', 'completed'), ('completed', 'cancelled'), ('completed', 'no_show'),
  ('no_show', 'completed'), ('no_show', 'cancelled'),
  ('cancelled', 'completed'), ('cancelled', 'no_show'),
  ('confirmed', 'done')) as s (f, t);

-- What a step leaves behind.
select tests.as_owner();
select pg_temp.fresh('confirmed') as b \gset
update public.bookings set status = 'completed' where id = :'b';
select is((settlement, completed_at is not null, due_since)::text, '(none,t,)', 'without a package nothing is due')
  from public.bookings where id = :'b';
update public.bookings set status = 'confirmed' where id = :'b';
select is((settlement, completed_at, completion_undone_at is not null)::text, '(,,t)',
          'taken back by hand, it says so') from public.bookings where id = :'b';
update public.bookings set status = 'cancelled', cancelled_at = '2001-01-01' where id = :'b';
select is((cancelled_at = now(), cancelled_by)::text, format('(t,%s)', :'kilo_desk'),
          'a cancellation says when and by whom, whatever is sent') from public.bookings where id = :'b';
update public.bookings set status = 'confirmed' where id = :'b';
select is((cancelled_at, cancelled_by)::text, '(,)', 'a reinstated booking is cancelled no longer')
  from public.bookings where id = :'b';
update public.bookings set notes = 'brought a friend' where id = :'b';
select is(status, 'confirmed', 'a note is no step') from public.bookings where id = :'b';

-- A charged booking stays where it is until the session is given back.
select tests.as_owner();
select tests.make_booking('paid', 'pack', now() - interval '2 hours'),
  tests.make_booking('checked_in', 'pack', now() + interval '2 hours');
select tests.sign_in('coach@kilo.example');
select complete_booking(tests.id('paid')), use_session(tests.id('pack'), tests.id('checked_in'));
select tests.refuses($$ update public.bookings set status = 'confirmed' where id = tests.id('paid') $$,
                     409, 'booking_charged', 'a charged completion is not taken back by hand');
select tests.refuses($$ update public.bookings set status = 'cancelled' where id = tests.id('checked_in') $$,
                     409, 'booking_charged', 'a checked-in booking is not cancelled');
select tests.refuses($$ update public.bookings set status = 'completed' where id = tests.id('checked_in') $$,
                     409, 'booking_settled', 'nor completed by hand: its session is taken');
select release_session(tests.id('pack'), tests.id('checked_in'));
select tests.refuses($$ update public.bookings set status = 'completed' where id = tests.id('checked_in') $$,
                     409, 'booking_settled', 'nor when it was given back');
select is(complete_booking(tests.id('checked_in')), 'waived', 'complete_booking completes it, waived');
select release_session(tests.id('pack'), tests.id('paid'));
select lives_ok($$ update public.bookings set status = 'confirmed' where id = tests.id('paid') $$,
                'once its session is given back a completion can be taken back');
select tests.forbids(format('update public.bookings set %s where id = tests.id(''paid'')', c),
                     format('nobody writes %s', split_part(c, ' ', 1)))
  from unnest(array['settlement = ''charged''', 'purchase_id = null']) as c;

select * from finish();
rollback;
