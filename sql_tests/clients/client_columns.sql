-- client_columns: a signed-in client sees what is theirs and writes their own weight and email, nothing more.
begin;
select plan(38);

select tests.sign_in('coach@kilo.example');
insert into public.clients (org_id, full_name, email) values (:'kilo', 'Another', 'another@kilo.example')
  returning id as another \gset
select tests.remember('another', :'another');
insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents, payment_status)
  values (:'kilo', :'another', :'kilo_offer', 80000, 'succeeded') returning id as others \gset
select use_session(:'others'), use_session(:'kilo_package');

-- What a client sees.
select tests.sign_in('client@kilo.example');
select results_eq($$ select id from public.clients $$, $$ values (tests.id('kilo_client')) $$,
                  'a client sees their own record alone');
select results_eq($$ select id from public.client_purchases $$, $$ values (tests.id('kilo_package')) $$,
                  'and their own package');
select results_eq($$ select distinct purchase_id from public.session_entries $$,
                  $$ values (tests.id('kilo_package')) $$, 'and its ledger');
select results_eq($$ select id from public.bookings $$, $$ values (tests.id('kilo_booking')) $$,
                  'and their own booking');
select results_eq($$ select id from public.orgs $$, $$ values (tests.id('kilo')) $$, 'and their coach''s organisation');
select results_eq($$ select org_id from public.branding $$, $$ values (tests.id('kilo')) $$, 'how it looks');
select results_eq($$ select id from public.offers $$, $$ values (tests.id('kilo_offer')) $$, 'and what it offers');
select is_empty(format('select from public.%I', t), format('a client sees nothing of %s', t))
  from unnest(array['org_members', 'promo_codes', 'audit_log', 'alerts', 'platform_admins']) as t;

-- What a client writes.
update public.clients set weight_kg = 71.5, email = 'new@kilo.example' where id = :'kilo_client';
select is((weight_kg, email)::text, '(71.5,new@kilo.example)', 'a client writes their own weight and email')
  from public.clients where id = :'kilo_client';
select tests.refuses($$ update public.clients set weight_kg = -5 where id = tests.id('kilo_client') $$,
                     422, 'value_not_allowed', 'within reason');
select tests.refuses(format('update public.clients set %s where id = tests.id(''kilo_client'')', c), 403,
                     'column_protected', format('a client does not write %s', split_part(c, ' ', 1)))
  from unnest(array['full_name = ''x''', 'phone = ''1''', 'notes = ''x''', 'injuries = ''{}''',
                    'portal_token = gen_random_uuid()', 'onboarding_token = gen_random_uuid()',
                    'onboarding_sent_at = now()', 'sms_opt_in = true', 'sms_reminder_enabled = false',
                    'weight_kg = 70, notes = ''x''']) as c;
select tests.forbids(format('update public.clients set %s where id = tests.id(''kilo_client'')', c),
                     format('nobody writes %s', split_part(c, ' ', 1)))
  from unnest(array['auth_user_id = null', 'org_id = tests.id(''lima'')', 'id = gen_random_uuid()', 'status = ''vip''',
                    'onboarding_completed_at = now()', 'created_at = now()']) as c;
select tests.changes_nothing($$ update public.clients set weight_kg = 70 where id = tests.id('another') $$,
                             'another client''s record is not in sight');
select tests.forbids($$ insert into public.clients (org_id, full_name) values (tests.id('kilo'), 'Mine') $$,
                     'a client adds no clients');

-- Who is both, client and member, is a member in the organisation of that membership alone.
select tests.as_service();
select service.set_member(:'lima', 'client@kilo.example', 'coach');
select tests.sign_in('client@kilo.example');
select is(count(*), 2::bigint, 'who coaches elsewhere sees the clients there and their own record here')
  from public.clients;
select tests.refuses($$ update public.clients set notes = 'x' where id = tests.id('kilo_client') $$,
                     403, 'column_protected', 'but is a client here');
select lives_ok($$ update public.clients set notes = 'x' where id = tests.id('lima_client') $$, 'and a coach there');
select tests.sign_in('desk@kilo.example');
select lives_ok($$ update public.clients set notes = 'x', phone = '+61400000001', portal_token = gen_random_uuid()
                   where id = tests.id('kilo_client') $$,
                'a front desk writes what a client may not');
select tests.as_service();
select lives_ok($$ update public.clients set portal_token = gen_random_uuid() where id = tests.id('kilo_client') $$,
                'the portal''s server opens a new link');
select tests.forbids($$ update public.clients set notes = 'x' where id = tests.id('kilo_client') $$,
                     'and writes nothing else');

select * from finish();
rollback;
