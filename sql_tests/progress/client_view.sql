-- client_view: a signed-in client sees their own of everything the mobile app shows, and nothing of another client of the same coach.
begin;
select plan(46);

-- Another client of the same organisation, with everything, and the client of the world with one of each.
select tests.sign_in('coach@kilo.example');
insert into public.clients (org_id, full_name, email) values (:'kilo', 'Another', 'another@kilo.example') returning id as another \gset
select tests.remember('another', :'another');
insert into public.habits (org_id, name) values (:'kilo', 'Walk') returning id as walk \gset
insert into public.habits (org_id, name) values (:'kilo', 'Sleep') returning id as sleep \gset
select tests.remember('walk', :'walk'), tests.remember('sleep', :'sleep');
insert into public.client_habits (org_id, client_id, habit_id) values (:'kilo', :'kilo_client', :'walk'), (:'kilo', :'another', :'sleep');
insert into public.client_measurements (org_id, client_id, measurement_type, value, unit)
  values (:'kilo', :'kilo_client', 'Waist', 80, 'cm'), (:'kilo', :'another', 'Waist', 90, 'cm');
insert into public.activity_events (org_id, client_id, type, payload)
  values (:'kilo', :'kilo_client', 'workout', '{"completed": true}'), (:'kilo', :'another', 'workout', '{"completed": true}');
insert into public.message_threads (org_id, client_id) values (:'kilo', :'kilo_client') returning id as own_thread \gset
insert into public.message_threads (org_id, client_id) values (:'kilo', :'another') returning id as others_thread \gset
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'own_thread', 'trainer', 'Hi'), (:'kilo', :'others_thread', 'trainer', 'Hi');
insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents, payment_status) values (:'kilo', :'another', :'kilo_offer', 80000, 'succeeded');
insert into public.bookings (org_id, client_id, start_time, end_time) values (:'kilo', :'another', now() + interval '2 days', now() + interval '49 hours');
insert into public.client_communications (org_id, client_id, type, direction, content) values (:'kilo', :'kilo_client', 'note', 'outbound', 'Between coaches');
insert into public.products (org_id, name, price_cents, cost_cents) values (:'kilo', 'Towel', 2500, 900);
select tests.as_owner();
insert into public.checkin_photos (org_id, client_id, storage_path)
  values (:'kilo', :'kilo_client', :'kilo_client' || '/front.jpg'), (:'kilo', :'another', :'another' || '/front.jpg');

select tests.sign_in('client@kilo.example');
select results_eq(format('select distinct client_id from public.%I', t), $$ values (tests.id('kilo_client')) $$, format('of %s a client sees their own alone', t))
  from unnest(array['activity_events', 'client_habits', 'client_measurements', 'checkin_photos', 'bookings', 'client_purchases', 'message_threads']) as t;
select results_eq($$ select distinct thread_id from public.messages $$, format('values (%L::uuid)', :'own_thread'), 'of messages those of their own thread');
select results_eq($$ select h.name from public.client_habits as c join public.habits as h on h.org_id = c.org_id and h.id = c.habit_id $$,
                  $$ values ('Walk') $$, 'the name of a habit they keep');
select is_empty($$ select from public.habits where name = 'Sleep' $$, 'and of no other');
select isnt_empty($$ select from public.measurement_types $$, 'what can be measured');
select is_empty(format('select from public.%I', t), format('of %s a client sees nothing', t)) from unnest(array['products', 'client_communications']) as t;

-- What a client writes, as the mobile app does.
select lives_ok(format($$ insert into public.activity_events (org_id, client_id, type, payload, photo_paths)
                   values (tests.id('kilo'), tests.id('kilo_client'), %L, %L, array[tests.id('kilo_client') || '/2026-11-29/front-1.jpg']) $$, f.type, f.payload),
                format('a client reports a %s', f.type))
  from (values ('weight', '{"value": 71.5, "unit": "kg"}'), ('habit', jsonb_build_object('habit_id', tests.id('walk'), 'habit_name', 'Walk')::text),
               ('workout', '{"completed": true}'), ('checkin', '{"notes": "A good week"}')) as f (type, payload);
insert into public.activity_events (org_id, client_id, type, payload) values (:'kilo', :'kilo_client', 'checkin', '{"notes": null}')
  returning id as checkin \gset
select tests.remember('checkin', :'checkin');
select lives_ok($$ insert into public.checkin_photos (org_id, client_id, activity_event_id, storage_path, photo_type)
                   values (tests.id('kilo'), tests.id('kilo_client'), tests.id('checkin'), tests.id('kilo_client') || '/2026-11-29/side-2.jpg', 'side') $$,
                'and adds a photo to a check-in');
select tests.refuses($$ insert into public.checkin_photos (org_id, client_id, storage_path) values (tests.id('kilo'), tests.id('kilo_client'), tests.id('kilo_client') || '/front.jpg') $$,
                     409, 'value_taken', 'a picture is one photo');
delete from public.checkin_photos where storage_path like '%/side-2.jpg';
select is_empty($$ select from public.checkin_photos where storage_path like '%/side-2.jpg' $$, 'and takes one away again');

select tests.forbids(format('insert into public.%I (org_id, client_id, %s) values (tests.id(''kilo''), tests.id(''another''), %s)', t.name, t.columns, t.row),
                     format('a client adds nothing of another''s to %s', t.name))
  from (values ('activity_events', 'type, payload', '''workout'', ''{}'''), ('checkin_photos', 'storage_path', 'tests.id(''another'') || ''/x.jpg''')) as t (name, columns, row);
select tests.refuses($$ insert into public.checkin_photos (org_id, client_id, storage_path) values (tests.id('kilo'), tests.id('kilo_client'), tests.id('another') || '/front.jpg') $$,
                     422, 'value_not_allowed', 'nor shows another''s picture as their own');
select tests.refuses($$ insert into public.checkin_photos (org_id, client_id, storage_path) values (tests.id('kilo'), tests.id('kilo_client'), tests.id('kilo_client') || '/../' || tests.id('another') || '/front.jpg') $$,
                     422, 'value_not_allowed', 'also not by a path that climbs');
select tests.refuses(format($$ insert into public.activity_events (org_id, client_id, type, payload, photo_paths) values (tests.id('kilo'), tests.id('kilo_client'), 'checkin', '{}', array[%L]) $$, p),
                     422, 'photo_path_invalid', format('a check-in names no photo such as %s', left(p, 12)))
  from unnest(array[tests.id('another') || '/front.jpg', 'front.jpg', tests.id('kilo_client') || '/../x.jpg', tests.id('kilo_client') || repeat('/x', 300)]) as p;
select tests.forbids($$ insert into public.activity_events (org_id, client_id, type, payload) values (tests.id('lima'), tests.id('lima_client'), 'workout', '{}') $$,
                     'nor a fact to another organisation');
select tests.forbids(s, format('a client does not: %s', left(s, 40)))
  from unnest(array['update public.activity_events set payload = ''{}''', 'delete from public.activity_events', 'update public.checkin_photos set notes = ''x''',
                    'update public.client_measurements set value = 1',
                    'insert into public.client_measurements (org_id, client_id, measurement_type, value, unit) values (tests.id(''kilo''), tests.id(''kilo_client''), ''Waist'', 1, ''cm'')',
                    'insert into public.habits (org_id, name) values (tests.id(''kilo''), ''x'')',
                    'insert into public.client_habits (org_id, client_id, habit_id) values (tests.id(''kilo''), tests.id(''kilo_client''), tests.id(''sleep''))']) as s;
select tests.changes_nothing(format('delete from public.%I', t), format('a client deletes nothing from %s', t)) from unnest(array['client_habits', 'client_measurements']) as t;

-- The desk serves and the accountant counts: neither sees how a client develops.
select tests.sign_in('desk@kilo.example');
select is_empty(format('select from public.%I', t), format('the desk sees nothing of %s', t))
  from unnest(array['activity_events', 'client_measurements', 'checkin_photos', 'client_habits']) as t;
select tests.sign_in('accountant@kilo.example');
select is_empty(format('select from public.%I', t), format('nor does the accountant of %s', t)) from unnest(array['activity_events', 'checkin_photos']) as t;
select tests.sign_out();
select tests.forbids(format('select from public.%I', t), format('a visitor reads nothing of %s', t)) from unnest(array['activity_events', 'checkin_photos']) as t;

select * from finish();
rollback;
