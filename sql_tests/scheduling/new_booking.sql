-- new_booking: a booking begins pending or confirmed, on the client's own package, booked by whoever books.
begin;
select plan(22);

create function pg_temp.book(p_columns text, p_values text) returns text language sql as $$
  select format('insert into public.bookings (org_id, client_id, start_time, end_time%s)
                 values (tests.id(''kilo''), tests.id(''kilo_client''), now(), now() + interval ''1 hour''%s)',
                p_columns, p_values);
$$;
grant execute on function pg_temp.book(text, text) to public;

select tests.sign_in('coach@kilo.example');
insert into public.bookings (org_id, client_id, start_time, end_time, duration_mins, session_type, purchase_id,
                             location_type, status, booked_by, booking_source, notes)
values (:'kilo', :'kilo_client', now() - interval '3 hours', now() - interval '135 minutes', 45, 'pt_session', :'kilo_package', 'in_person',
        'confirmed', :'kilo_client', 'trainer', 'x')
returning booked_by as booked_by, settlement is null as open \gset
select is(:'booked_by'::uuid, :'kilo_owner'::uuid, 'whoever books has booked, whatever is sent');
select is(:'open'::boolean, true, 'nothing is settled yet');
insert into public.clients (org_id, full_name) values (:'kilo', 'Another') returning id as another \gset
select tests.remember('another', :'another');

select lives_ok(pg_temp.book(', status', ', ''pending'''), 'a booking may begin pending');
select tests.refuses(pg_temp.book(', status', format(', %L', s)), 422, 'booking_status_invalid',
                     format('it does not begin %s', s))
  from unnest(array['completed', 'cancelled', 'no_show', 'charged']) as s;
select tests.refuses(pg_temp.book(', purchase_id', ', gen_random_uuid()'), 404, 'purchase_not_found',
                     'an unknown package pays for nothing');
select tests.refuses(pg_temp.book(', purchase_id', ', tests.id(''lima_package'')'), 404, 'purchase_not_found',
                     'nor does another organisation''s');
select tests.refuses(replace(pg_temp.book(', purchase_id', ', tests.id(''kilo_package'')'), 'kilo_client', 'another'),
                     404, 'purchase_not_found', 'nor another client''s');
select tests.refuses(replace(pg_temp.book('', ''), '1 hour', '25 hours'), 422, 'value_not_allowed',
                     'a booking lasts no longer than a day');
select tests.refuses(replace(pg_temp.book('', ''), '1 hour', '0 hours'), 422, 'value_not_allowed',
                     'nor no time at all');
select tests.refuses(replace(pg_temp.book('', ''), 'now()', '''1999-12-31 10:00+00''::timestamptz'), 422,
                     'value_not_allowed', 'nor lies it in the distant past');
select tests.refuses(replace(pg_temp.book('', ''), 'now()', '''infinity''::timestamptz'), 422, 'value_not_allowed',
                     'nor in eternity');
select tests.forbids(pg_temp.book(', settlement', ', ''waived'''), 'nobody begins a booking settled');
select tests.forbids(pg_temp.book(', id', ', gen_random_uuid()'), 'nobody chooses a booking''s id');

select tests.sign_in('accountant@kilo.example');
select tests.forbids(replace(pg_temp.book('', ''), 'now()', 'now() + interval ''9 hours'''), 'a role without bookings.write does not book');
select tests.sign_in('desk@kilo.example');
select tests.refuses(pg_temp.book('', ''), 409, 'slot_taken', 'a desk books into the coach''s calendar, not beside it');
select tests.sign_in('client@kilo.example');
select tests.refuses(pg_temp.book('', ''), 409, 'slot_taken', 'a client books nothing that is not on offer');
select tests.sign_in('coach@lima.example');
select tests.refuses(pg_temp.book('', ''), 403, 'permission_missing', 'a coach of another organisation books nothing');
select tests.sign_out();
select tests.forbids(pg_temp.book('', ''), 'nor a visitor');
select tests.as_service();
select lives_ok(replace(pg_temp.book(', booked_by', ', tests.id(''kilo_client_user'')'), 'now()', 'now() + interval ''5 hours'''),
                'the portal''s server books for a client');

select * from finish();
rollback;
