-- keep_org: what belongs to an organisation stays there, also for a member of two.
begin;
select plan(9);

select tests.as_service();
select service.set_member(:'lima', 'coach@kilo.example', 'owner');
select tests.sign_in('coach@kilo.example');
insert into public.promo_codes (org_id, code, discount_type, discount_value) values (:'kilo', 'TEN', 'percentage', 10);
select is(count(*), 2::bigint, 'an owner of two organisations sees both price lists') from public.offers;
select tests.refuses($$ update public.offers set org_id = tests.id('lima') where id = tests.id('kilo_offer') $$,
                     422, 'org_fixed', 'an offer stays in its organisation');
select tests.refuses($$ update public.promo_codes set org_id = tests.id('lima') where code = 'TEN' $$,
                     422, 'org_fixed', 'so does a promo code');
select tests.refuses($$ update public.offers set org_id = null where id = tests.id('kilo_offer') $$,
                     422, 'org_fixed', 'it does not leave it for none');
select lives_ok($$ update public.offers set org_id = tests.id('kilo'), name = 'Ten' where id = tests.id('kilo_offer') $$,
                'a form that sends the organisation as it is passes');
select tests.forbids(format('update public.%I set org_id = tests.id(''lima'')', t), format('%s: nobody writes it at all', t))
  from unnest(array['clients', 'bookings', 'client_purchases', 'session_types']) as t;

select * from finish();
rollback;
