-- sale: what an app inserts as a purchase must say what its offer says.
begin;
select plan(40);

select tests.sign_in('coach@kilo.example');
create function pg_temp.sale(p_offer text, p_columns text, p_values text,
                             p_org text default 'kilo') returns text language sql as $$
  select format('insert into public.client_purchases (org_id, client_id, offer_id, payment_status%s)
                 values (tests.id(%L), tests.id(%L), tests.id(%L), ''succeeded''%s)',
                p_columns, p_org, p_org || '_client', p_offer, p_values);
$$;
insert into public.offers (org_id, name, offer_type, price_cents, currency, sessions_included, bonus_sessions,
                           pack_validity_days, session_duration_mins)
values (:'kilo', 'Pack', 'session_pack', 50000, 'eur', 5, 1, 30, 45) returning id as pack \gset
insert into public.offers (org_id, name, offer_type, price_cents) values (:'kilo', 'One', 'single_session', 9000)
  returning id as one \gset
insert into public.offers (org_id, name, offer_type, price_cents, billing_period)
  values (:'kilo', 'Club', 'subscription', 3000, 'monthly') returning id as club \gset
insert into public.offers (org_id, name, offer_type, price_cents, sessions_included)
  values (:'kilo', 'Free', 'session_pack', 0, 1) returning id as free \gset
select tests.remember('pack', :'pack'), tests.remember('one', :'one'), tests.remember('club', :'club'),
  tests.remember('free', :'free');

-- As the app sells: everything is sent.
insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents, currency, sessions_total,
                                     sessions_used, expires_at, payment_status, payment_method, discount_cents)
values (:'kilo', :'kilo_client', :'pack', 50000, 'eur', 6, 0, now() + interval '30 days', 'succeeded', 'card', 0)
  returning id as sold \gset
select tests.remember('sold', :'sold');
select is((sessions_total, sessions_used, sessions_remaining, session_duration_mins, source)::text,
          '(6,0,6,45,manual)', 'a sale as the offer says is taken')
  from public.client_purchases where id = :'sold';
select is(count(*), 0::bigint, 'its ledger is empty') from public.session_entries where purchase_id = :'sold';

-- Left out, it is the offer's.
insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents, currency)
  values (:'kilo', :'kilo_client', :'pack', 50000, 'eur') returning id as bare \gset
select is((sessions_total, payment_status, expires_at = purchased_at + interval '30 days')::text, '(6,pending,t)',
          'what is left out comes from the offer; unpaid until said')
  from public.client_purchases where id = :'bare';
insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents)
  values (:'kilo', :'kilo_client', :'one', 9000) returning id as single \gset
select is((sessions_total, expires_at)::text, '(1,)',
          'an offer that includes no number holds one session, without expiry') from public.client_purchases
          where id = :'single';
insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents)
  values (:'kilo', :'kilo_client', :'club', 3000) returning id as member \gset
select is((sessions_total, sessions_remaining)::text, '(,)', 'a subscription without a number holds none')
  from public.client_purchases where id = :'member';
select lives_ok(pg_temp.sale('free', ', amount_paid_cents', ', 0'), 'what costs nothing is sold for nothing');

-- Used before it came into the books.
insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents, currency, sessions_total,
                                     sessions_used) values (:'kilo', :'kilo_client', :'pack', 50000, 'eur', 6, 2)
returning id as begun \gset
select results_eq($$ select p.sessions_used, p.entry_count, e.kind, e.used_delta, e.reason
                     from public.client_purchases as p join public.session_entries as e on e.purchase_id = p.id
                      where p.id = (select purchase_id from public.session_entries where kind = 'opening') $$,
                  $$ values (2, 1, 'opening', 2, 'sold_with_used') $$, 'sessions used before open the ledger');
select is(release_session(:'begun'), 1, 'and can be given back');

-- What is refused.
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents', ', ''eur'', 49999'), 422,
                     'sale_price_mismatch', 'not a cent less');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents', ', ''eur'', 50001'), 422,
                     'sale_price_mismatch', 'nor more');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents', ', ''eur'', -50000'), 422,
                     'sale_price_mismatch', 'nor below zero');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents, discount_cents', ', ''eur'', 40000, 10000'),
                     422, 'sale_price_mismatch', 'no discount without a promo code');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents, discount_cents', ', ''eur'', 50001, -1'),
                     422, 'sale_price_mismatch', 'nor a negative one');
select tests.refuses(pg_temp.sale('pack', ', amount_paid_cents', ', 50000'), 422, 'sale_currency_mismatch',
                     'not in the default currency when the offer''s is another');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents', ', ''usd'', 50000'), 422,
                     'sale_currency_mismatch', 'nor in a third');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents, sessions_total',
                                  format(', ''eur'', 50000, %s', n)), 422, 'sale_sessions_mismatch',
                     format('not with %s sessions', n))
  from unnest(array[5, 7, 0, -1, 2147483647]) as n;
select tests.refuses(pg_temp.sale('club', ', amount_paid_cents, sessions_total', ', 3000, 1000'), 422,
                     'sale_sessions_mismatch', 'nor a subscription with a thousand');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents, sessions_used', ', ''eur'', 50000, 7'), 422,
                     'sessions_out_of_range', 'not with more used than there are');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents, sessions_used', ', ''eur'', 50000, -1'), 422,
                     'sessions_out_of_range', 'nor with less than none');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents, expires_at',
                                  ', ''eur'', 50000, now() + interval '|| quote_literal(d)), 422,
                     'sale_expiry_mismatch', format('not to expire in %s', d))
  from unnest(array['1 year', '28 days', '-1 day', '32 days', '9000 years']) as d;
select tests.refuses(pg_temp.sale('one', ', amount_paid_cents, expires_at', ', 9000, now() + interval ''30 days'''),
                     422, 'sale_expiry_mismatch', 'an offer that never expires is not sold to expire');
select tests.refuses(pg_temp.sale('pack', ', currency, amount_paid_cents, expires_at', ', ''eur'', 50000, ''infinity'''),
                     422, 'sale_expiry_mismatch', 'nor never');
select lives_ok(pg_temp.sale('pack', ', currency, amount_paid_cents, expires_at',
                             ', ''eur'', 50000, now() + interval '|| quote_literal(d)),
                format('an app whose calendar says %s is believed', d))
  from unnest(array['29 days', '31 days']) as d;
select tests.refuses(replace(pg_temp.sale('one', ', amount_paid_cents', ', 9000'), 'succeeded', 'refunded'), 422,
                     'sale_status_invalid', 'a sale does not begin refunded');
select tests.refuses(replace(pg_temp.sale('one', ', amount_paid_cents', ', 9000'), 'succeeded', 'free'), 422,
                     'value_not_allowed', 'nor as something unknown');
select tests.refuses(pg_temp.sale('one', ', amount_paid_cents, payment_method', ', 9000, ''shells'''), 422,
                     'value_not_allowed', 'nor is it paid in shells');
select tests.refuses(pg_temp.sale('lima_offer', ', amount_paid_cents', ', 80000'), 404, 'offer_not_found',
                     'another organisation''s offer is not sold');
select tests.refuses(replace(pg_temp.sale('one', ', amount_paid_cents', ', 9000'), 'kilo_client', 'lima_client'), 404,
                     'reference_not_found', 'nor to another organisation''s client');
select tests.forbids(pg_temp.sale('one', ', amount_paid_cents, source', ', 9000, ''stripe'''),
                     'nobody calls their sale a Stripe sale');
select tests.sign_in('accountant@kilo.example');
select tests.refuses(pg_temp.sale('one', ', amount_paid_cents', ', 9000'), 403, 'permission_missing',
                     'an accountant sells nothing');
select tests.sign_in('client@kilo.example');
select tests.refuses(pg_temp.sale('one', ', amount_paid_cents', ', 9000'), 403, 'permission_missing',
                     'a client sells themselves nothing');

select * from finish();
rollback;
