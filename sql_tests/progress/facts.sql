-- facts: what a client reports holds what its type needs; a coach measures and reports for a client too.
begin;
select plan(23);

select tests.sign_in('coach@kilo.example');
insert into public.habits (org_id, name) values (:'kilo', 'Walk') returning id as walk \gset
select tests.remember('walk', :'walk');
select tests.sign_in('coach@lima.example');
insert into public.habits (org_id, name) values (:'lima', 'Swim') returning id as swim \gset
select tests.remember('swim', :'swim');

select tests.sign_in('client@kilo.example');
select tests.refuses(format($$ insert into public.activity_events (org_id, client_id, type, payload) values (tests.id('kilo'), tests.id('kilo_client'), %L, %L) $$, f.type, f.payload),
                     422, f.slug, format('refused: %s %s', f.type, left(f.payload, 40)))
  from (values ('weight', '{}', 'fact_invalid'), ('weight', '{"value": null}', 'fact_invalid'), ('weight', '{"value": "heavy"}', 'fact_invalid'),
               ('weight', '{"value": -3}', 'fact_invalid'), ('weight', '{"value": 1e300}', 'fact_invalid'), ('weight', '{"value": "NaN"}', 'fact_invalid'),
               ('weight', '{"value": [71]}', 'fact_invalid'), ('habit', '{}', 'fact_invalid'), ('habit', '{"habit_id": "walk"}', 'fact_invalid'),
               ('habit', jsonb_build_object('habit_id', tests.id('swim'))::text, 'fact_invalid'), ('sleep', '{}', 'value_not_allowed'),
               ('checkin', '[]', 'value_not_allowed'), ('checkin', '"x"', 'value_not_allowed'),
               ('checkin', jsonb_build_object('notes', repeat('x', 20001))::text, 'value_not_allowed')) as f (type, payload, slug);
select lives_ok($$ insert into public.activity_events (org_id, client_id, type, payload) values (tests.id('kilo'), tests.id('kilo_client'), 'weight', '{"value": " 71.5 ", "unit": "kg", "mood": "good"}') $$,
                'a number as text is one, and what else is sent is kept');
select is(payload ->> 'mood', 'good', 'as it was sent') from public.activity_events where type = 'weight';

select tests.sign_in('coach@kilo.example');
select lives_ok($$ insert into public.activity_events (org_id, client_id, type, payload) values (tests.id('kilo'), tests.id('kilo_client'), 'weight', '{"value": 72, "unit": "kg"}') $$,
                'a coach reports for a client');
select lives_ok($$ insert into public.client_measurements (org_id, client_id, measurement_type, value, unit, measured_at) values (tests.id('kilo'), tests.id('kilo_client'), 'Waist', 80.5, 'cm', now() - interval '3 days') $$,
                'a coach writes down what was measured, also days later');
select tests.refuses(format($$ insert into public.client_measurements (org_id, client_id, measurement_type, value, unit, measured_at) values (tests.id('kilo'), tests.id('kilo_client'), 'Waist', %s, 'cm', %s) $$, v, at),
                     422, 'value_not_allowed', format('no measurement of %s at %s', v, at))
  from (values ('''NaN''', 'now()'), ('1e9', 'now()'), ('80', 'now() + interval ''3 days''')) as m (v, at);
select tests.refuses($$ insert into public.client_habits (org_id, client_id, habit_id) values (tests.id('kilo'), tests.id('kilo_client'), tests.id('swim')) $$,
                     404, 'reference_not_found', 'another organisation''s habit does not exist');
insert into public.client_habits (org_id, client_id, habit_id) values (:'kilo', :'kilo_client', :'walk');
select tests.refuses($$ insert into public.client_habits (org_id, client_id, habit_id) values (tests.id('kilo'), tests.id('kilo_client'), tests.id('walk')) $$,
                     409, 'value_taken', 'a client keeps a habit once');

select * from finish();
rollback;
