-- A client's own app inserts directly: bound by everything that binds a client, and only for themselves.
begin;
select plan(35);
select tests.open_studio();
create function pg_temp.add(p_days integer, p_from time, p_until time default null, p_type text default 'pt', p_client text default 'kilo_client', p_org text default 'kilo') returns uuid language sql as $$
  insert into public.bookings (org_id, client_id, start_time, end_time, duration_mins, session_type, location_type, status, booked_by, booking_source, client_notes)
  values (tests.id(p_org), tests.id(p_client), tests.at(p_days, p_from), tests.at(p_days, coalesce(p_until, p_from + interval '1 hour')), 60, p_type, 'in_person', 'confirmed',
          auth.uid(), 'trainer', 'Knee') returning id $$;
grant execute on function pg_temp.add(integer, time, time, text, text, text) to public;

select tests.sign_in('client@kilo.example');
select tests.remember('own', pg_temp.add(8, '09:00'));
select is((staff_id, booked_by, booking_source, client_notes)::text, (tests.id('staff'), tests.id('kilo_client_user'), 'client', 'Knee')::text, 'a start on offer is booked, as the client''s own')
  from public.bookings where id = tests.id('own');
select tests.refuses(format('select pg_temp.add(%s)', t.arguments), 409, 'slot_taken', t.title) from (values
  ('8, ''09:30''', 'what is taken is not'), ('8, ''08:00''', 'nor what lies outside the hours'), ('8, ''10:05''', 'nor what is off the grid'),
  ('-1, ''09:00''', 'nor what is past'), ('61, ''09:00''', 'nor what lies beyond the horizon'), ('9, ''09:00'', ''12:15''', 'nor what is longer than the hours')) as t (arguments, title);
select tests.as_owner();
update public.booking_settings set min_notice_hours = 240 where org_id = :'kilo';
select tests.sign_in('client@kilo.example');
select tests.refuses($$ select pg_temp.add(9, '09:00') $$, 409, 'slot_taken', 'nor inside the notice');
select tests.as_owner();
update public.booking_settings set min_notice_hours = 0, allow_client_booking = false where org_id = :'kilo';
select tests.sign_in('client@kilo.example');
select tests.refuses($$ select pg_temp.add(9, '09:00') $$, 409, 'slot_taken', 'nor where clients do not book');
select tests.as_owner();
update public.booking_settings set allow_client_booking = true where org_id = :'kilo';
update public.session_types set allow_online_booking = false where id = tests.id('pt');
select tests.sign_in('client@kilo.example');
select tests.refuses($$ select pg_temp.add(9, '09:00') $$, 409, 'slot_taken', 'nor a type that is not booked online');
select ok(pg_temp.add(9, '09:00', p_type => 'pt_session') is not null, 'one without a type is');
select ok(pg_temp.add(9, '10:00', p_type => 'class') is not null, 'and a place in a group') union all
select ok(pg_temp.add(9, '10:00', p_type => 'class') is not null, 'or two') union all
select ok(pg_temp.add(9, '10:00', p_type => 'class') is not null, 'up to the last');
select tests.refuses($$ select pg_temp.add(9, '10:00', p_type => 'class') $$, 409, 'slot_taken', 'when it is full it is');

-- Only for themselves, and of that only what is a client's to say.
select tests.refuses($$ select pg_temp.add(10, '09:00', p_client => 'ann') $$, 403, 'permission_missing', 'nobody books for another client');
select tests.refuses($$ select pg_temp.add(10, '09:00', p_client => 'lima_client', p_org => 'lima') $$, 403, 'permission_missing', 'nor in another organisation');
select tests.refuses($$ select pg_temp.add(10, '09:00', p_org => 'lima') $$, 403, 'permission_missing', 'nor as themselves in another organisation');
select tests.refuses($$ insert into public.bookings (org_id, client_id, purchase_id, start_time, end_time)
                        values (tests.id('kilo'), tests.id('kilo_client'), tests.id('kilo_package'), tests.at(10, '09:00'), tests.at(10, '10:00')) $$,
                     403, 'column_protected', 'a package is spent by the portal or the coach');
select tests.forbids($$ insert into public.bookings (org_id, client_id, staff_id, start_time, end_time)
                        values (tests.id('kilo'), tests.id('kilo_client'), tests.id('second'), tests.at(10, '09:00'), tests.at(10, '10:00')) $$, 'nobody names staff directly');
select tests.forbids($$ insert into public.bookings (org_id, client_id, occupancy_id, start_time, end_time)
                        values (tests.id('kilo'), tests.id('kilo_client'), gen_random_uuid(), tests.at(10, '09:00'), tests.at(10, '10:00')) $$, 'nor takes time past the rule');
select tests.refuses(format('insert into public.bookings (org_id, client_id, start_time, end_time) values (tests.id(''kilo''), tests.id(''kilo_client''), %s, %s)', t.starts, t.ends),
                     422, t.slug, t.title)
  from (values ('tests.at(10, ''09:00'')', 'tests.at(10, ''09:00'')', 'value_not_allowed', 'a booking has a length'), ('tests.at(10, ''09:00'')', 'tests.at(10, ''08:00'')', 'value_not_allowed', 'a positive one'),
               ('tests.at(10, ''09:00'')', 'tests.at(90000, ''09:00'')', 'value_not_allowed', 'no huge one'), ('''-infinity''', '''infinity''', 'value_not_allowed', 'no endless one'),
               ('tests.at(10, ''09:00'')', 'null', 'value_missing', 'and an end')) as t (starts, ends, slug, title);

-- What a client does with it then.
select lives_ok($$ update public.bookings set status = 'cancelled', cancelled_at = now() where id = tests.id('own') $$, 'they cancel in time');
select is(status, 'cancelled', 'and it is cancelled') from public.bookings where id = tests.id('own');
select tests.refuses($$ update public.bookings set status = 'confirmed' where id = tests.id('own') $$, 403, 'column_protected', 'they do not bring it back');
select tests.refuses($$ update public.bookings set start_time = tests.at(11, '09:00'), end_time = tests.at(11, '10:00') where start_time = tests.at(9, '09:00') $$, 403, 'column_protected',
                     'they do not move one by a direct write');
select tests.changes_nothing($$ update public.bookings set status = 'cancelled' where client_id = tests.id('ann') $$, 'nor touch another''s');
select is(count(distinct client_id), 1::bigint, 'which they do not see') from public.bookings;
select tests.sign_in('nobody@nowhere.example');
select tests.refuses($$ select pg_temp.add(12, '09:00') $$, 403, 'permission_missing', 'somebody who is no client books nothing');
select tests.sign_out();
select tests.forbids($$ insert into public.bookings (org_id, client_id, start_time, end_time) values (tests.id('kilo'), tests.id('kilo_client'), tests.at(12, '09:00'), tests.at(12, '10:00')) $$, 'nor does a visitor');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
