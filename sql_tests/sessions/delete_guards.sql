-- delete_guards: what history points to is not deleted.
begin;
select plan(22);

select tests.make_package('unused', 5), tests.make_package('taken', 5), tests.make_package('booked', 5),
  tests.make_package('given_back', 5);
select tests.make_booking('planned', 'booked', now() + interval '3 days');
select tests.sign_in('coach@kilo.example');
insert into public.offers (org_id, name, offer_type, price_cents) values (:'kilo', 'Never sold', 'single_session', 1),
  (:'kilo', 'Only booked', 'single_session', 1);
insert into public.promo_codes (org_id, code, discount_type, discount_value) values (:'kilo', 'USED', 'fixed', 800),
  (:'kilo', 'UNUSED', 'fixed', 1);
insert into public.session_types (org_id, name, slug) values (:'kilo', 'Booked', 'booked'),
  (:'kilo', 'Unbooked', 'unbooked');
select sell_package(:'kilo_client', :'kilo_offer', p_promo_code_id => id) from public.promo_codes where code = 'USED';
insert into public.bookings (org_id, client_id, offer_id, start_time, end_time)
select :'kilo', :'kilo_client', id, now(), now() + interval '1 hour' from public.offers where name = 'Only booked';
select use_session(tests.id('taken')), use_session(tests.id('given_back')), release_session(tests.id('given_back'));
select tests.as_owner();
update public.bookings set session_type_id = (select id from public.session_types where slug = 'booked')
  where id = tests.id('planned');

select tests.sign_in('desk@kilo.example');
select tests.changes_nothing($$ delete from public.client_purchases where id = tests.id('unused') $$,
                             'a front desk deletes no package');
select tests.sign_in('client@kilo.example');
select tests.changes_nothing($$ delete from public.client_purchases where id = tests.id('unused') $$,
                             'nor does the client');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ delete from public.client_purchases where id = tests.id('taken') $$,
                     409, 'purchase_in_use', 'a package with a session taken stays');
select tests.refuses($$ delete from public.client_purchases where id = tests.id('given_back') $$,
                     409, 'purchase_in_use', 'also when it was given back');
select tests.refuses($$ delete from public.client_purchases where id = tests.id('booked') $$,
                     409, 'purchase_in_use', 'a package with a booking stays');
select lives_ok($$ delete from public.client_purchases where id = tests.id('unused') $$, 'one without history can go');
select is_empty($$ select from public.client_purchases where id = tests.id('unused') $$, 'and is gone');
select results_eq($$ select action, actor_id from public.audit_log
                     where subject_type = 'client_purchases' and subject_id = tests.id('unused') $$,
                  $$ values ('delete', tests.id('kilo_owner')) $$, 'the audit says who deleted it');

select tests.refuses($$ delete from public.offers where id = tests.id('kilo_offer') $$,
                     409, 'offer_in_use', 'an offer that was sold stays');
select tests.refuses($$ delete from public.offers where name = 'Only booked' $$,
                     409, 'offer_in_use', 'so does one that was booked');
select lives_ok($$ delete from public.offers where name = 'Never sold' $$, 'one that was never sold can go');
select lives_ok($$ update public.offers set is_active = false where id = tests.id('kilo_offer') $$,
                'the other is made inactive');
select tests.refuses($$ delete from public.promo_codes where code = 'USED' $$,
                     409, 'promo_code_in_use', 'a code that was used stays');
select lives_ok($$ delete from public.promo_codes where code = 'UNUSED' $$, 'one that was not can go');
select tests.refuses($$ delete from public.session_types where slug = 'booked' $$,
                     409, 'session_type_in_use', 'a session type that was booked stays');
select lives_ok($$ delete from public.session_types where slug = 'unbooked' $$, 'one that was not can go');

select tests.forbids($$ delete from public.bookings where id = tests.id('planned') $$,
                     'a booking is cancelled, not deleted');
select tests.forbids($$ delete from public.clients where id = tests.id('kilo_client') $$,
                     'a client is not deleted through the API');
select tests.as_service();
select tests.forbids(format('delete from public.%I', t), format('the service deletes no %s', t))
  from unnest(array['client_purchases', 'offers', 'bookings', 'clients']) as t;

select * from finish();
rollback;
