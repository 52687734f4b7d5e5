-- manual_sales: what is sold by hand is booked once, by whichever door, and follows the package's payment_status.
begin;
select plan(22);

create function pg_temp.booked(p_package uuid) returns text language sql as $$
  select string_agg(format('%s %s %s', e.type, e.amount_cents, e.tax_cents), ', ' order by e.created_at)
    from public.money_events as e where e.purchase_id = p_package;
$$;
grant execute on function pg_temp.booked(uuid) to public;

-- The app's own insert, and the editor.
select tests.sign_in('coach@kilo.example');
select tests.sell('kilo', 'kilo_client', 'kilo_offer') as sold \gset
select is(pg_temp.booked(:'sold'), 'INCOME 80000 0', 'the app''s own insert books its income');
select is((source, reference_id, client_id, currency, payment_status)::text,
          format('(manual,%s,%s,aud,succeeded)', :'sold', :'kilo_client'), 'as a manual sale of the package')
  from public.money_events where purchase_id = :'sold';
update public.client_purchases set payment_status = 'succeeded', payment_method = 'card' where id = :'sold';
select is(pg_temp.booked(:'sold'), 'INCOME 80000 0', 'saving the editor unchanged books nothing more');
update public.client_purchases set payment_status = 'pending' where id = :'sold';
select is(pg_temp.booked(:'sold'), 'INCOME 80000 0, ADJUSTMENT -80000 0', 'not paid after all is adjusted');
update public.client_purchases set payment_status = 'succeeded' where id = :'sold';
update public.client_purchases set payment_status = 'refunded' where id = :'sold';
select is(pg_temp.booked(:'sold'), 'INCOME 80000 0, ADJUSTMENT -80000 0, INCOME 80000 0, REFUND -80000 0',
          'paid again is income again, and refunded is a refund');
select tests.refuses($$ delete from public.client_purchases where id = (select purchase_id from public.money_events where type = 'REFUND') $$,
                     409, 'purchase_in_use', 'a package that was paid for is not deleted');

-- The RPC.
select sell_package(:'kilo_client', :'kilo_offer', 'bank_transfer', 'pending') as owed \gset
select is(pg_temp.booked(:'owed'), null, 'what is owed is no income');
update public.client_purchases set payment_status = 'succeeded' where id = :'owed';
select is(pg_temp.booked(:'owed'), 'INCOME 80000 0', 'until it is paid');
select gen_random_uuid() as click \gset
select sell_package(:'kilo_client', :'kilo_offer', 'cash', p_request_id => :'click') as once \gset
select is(sell_package(:'kilo_client', :'kilo_offer', 'cash', p_request_id => :'click'), :'once'::uuid, 'one request sells once');
select is(pg_temp.booked(:'once'), 'INCOME 80000 0', 'and books once');
select sell_package(:'kilo_client', :'kilo_offer', 'cash', 'failed') as failed \gset
select is(pg_temp.booked(:'failed'), null, 'a sale that failed books nothing');
update public.offers set price_cents = 0 where id = :'kilo_offer';
select is(pg_temp.booked(sell_package(:'kilo_client', :'kilo_offer')), null, 'nor does a gift');
select tests.as_owner();
select is(pg_temp.booked(tests.make_package('imported', 5)), null, 'nor what was sold elsewhere and imported');

-- GST.
select tests.sign_in('coach@kilo.example');
update public.booking_settings set gst_registered = true where org_id = :'kilo';
update public.offers set price_cents = 1234 where id = :'kilo_offer';
select sell_package(:'kilo_client', :'kilo_offer') as taxed \gset
select is(pg_temp.booked(:'taxed'), 'INCOME 1234 112', 'an eleventh of it is GST, rounded');
select is(tax_cat::text, 'GST', 'and is called so') from public.money_events where purchase_id = :'taxed';
update public.booking_settings set gst_registered = false where org_id = :'kilo';
update public.client_purchases set payment_status = 'refunded' where id = :'taxed';
select is(pg_temp.booked(:'taxed'), 'INCOME 1234 112, REFUND -1234 -112', 'a refund takes back the tax that was booked, whatever holds now');

-- In parts, as a provider refunds.
select tests.as_owner();
update public.booking_settings set gst_registered = true where org_id = :'kilo';
select isnt(private.book_money(:'kilo', 'INCOME', 100, 'AUD', 'stripe', 'pi_1', p_stripe_payment_intent_id => 'pi_1'), null, 'a fact is written');
select is(private.book_money(:'kilo', 'INCOME', 100, 'aud', 'stripe', 'pi_1'), null, 'once');
select is(private.book_money(:'kilo', 'FEE', 0, 'aud', 'stripe', 'pi_1'), null, 'nothing is no fact');
select count(private.book_money(:'kilo', 'REFUND', -a, 'aud', 'stripe', 're_' || a, p_stripe_payment_intent_id => 'pi_1'))
  from unnest(array[33, 32, 35]) as a;
select results_eq($$ select sum(amount_cents)::bigint, sum(tax_cents)::bigint from public.money_events where stripe_payment_intent_id = 'pi_1' $$,
                  $$ values (0::bigint, 0::bigint) $$, 'an income that was returned in parts leaves no tax behind');
select throws_ok($$ select private.book_money(tests.id('kilo'), 'INCOME', -5, 'aud', 'stripe', 'x') $$, '23514', null, 'income comes in');
select throws_ok($$ select private.book_money(tests.id('kilo'), 'INCOME', 1000000000000, 'aud', 'stripe', 'x') $$, '23514', null, 'within what can be');

select * from finish();
rollback;
