-- offer_id: the relation behind the app's embed `offer_id(…)` leads to the package's offer, and to no other row.
begin;
select plan(7);

select tests.sign_in('coach@kilo.example');
select results_eq($$ select o.id, o.name from public.client_purchases as p cross join lateral public.offer_id(p) as o
                     where p.id = tests.id('kilo_package') $$,
                  $$ values (tests.id('kilo_offer'), 'Ten sessions') $$, 'a package leads to its offer');
select tests.sign_in('client@kilo.example');
select is(count(*), 1::bigint, 'for its client too') from public.client_purchases as p cross
  join lateral public.offer_id(p);
select tests.sign_in('coach@lima.example');
select is_empty($$ select from public.client_purchases as p cross join lateral public.offer_id(p)
                   where p.org_id = tests.id('kilo') $$, 'not for another organisation');
select is_empty(
  $$ select from public.offer_id((select p from public.client_purchases as p
                                  where p.id = tests.id('lima_package') and false)) $$, 'nothing leads nowhere');
select is_empty(
  $$ select o.id from jsonb_populate_record(null::public.client_purchases,
                                            jsonb_build_object('org_id', tests.id('kilo'), 'offer_id',
                                                            tests.id('kilo_offer'))) as p
      cross join lateral public.offer_id(p) as o $$, 'nor does a made-up package, into another organisation');
select tests.as_service();
select is(count(*), 2::bigint, 'the service sees all') from public.client_purchases as p cross
  join lateral public.offer_id(p);
select tests.sign_out();
select tests.forbids($$ select * from public.offer_id(null) $$, 'a visitor may not call it');

select * from finish();
rollback;
