-- refund_payment, claim_refunds, record_refund: at most what was paid is given back, carried once, booked once.
begin;
select plan(59);
select tests.open_checkout();
select tests.pay_deposit('one', tests.at(8, '09:00'));
create function pg_temp.state(p_name text) returns text language sql as $$
  select concat_ws(' ', r.status, r.amount_cents, r.error_code) from public.refunds as r where r.id = tests.id(p_name) $$;
create function pg_temp.take(p_at interval default '0', p_limit integer default 10) returns text language sql as $$
  select coalesce(string_agg(n.name || ' ' || c.attempt, ', ' order by n.name), '') from service.claim_refunds(p_limit, 60, now() + p_at) as c join tests.names as n on n.id = c.refund_id $$;
create function pg_temp.told(p_name text, p_status text) returns text language sql as $$
  select service.record_refund(r.id, r.claim, jsonb_build_object('id', 're_' || p_name, 'status', p_status, 'amount', r.amount_cents)) from public.refunds as r where r.id = tests.id(p_name) $$;
create function pg_temp.failed(p_name text, p_final boolean) returns text language sql as $$
  select service.record_refund(r.id, r.claim, null, 'stripe_unavailable', p_final) from public.refunds as r where r.id = tests.id(p_name) $$;

-- By hand.
select tests.only_for_members($$ select refund_payment(tests.id('one_payment')) $$, 'payment_not_found', 'desk@kilo.example', 'refund_payment');
select tests.sign_in('coach@kilo.example');
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select refund_payment(tests.id('one_payment'), 2501) $$, 409, 'refund_exceeds_payment', 'not more than was paid'),
  ($$ select refund_payment(tests.id('one_payment'), 0) $$, 422, 'value_not_allowed', 'not nothing'),
  ($$ select refund_payment(tests.id('one_payment'), -5) $$, 422, 'value_not_allowed', 'not less'),
  ($$ select refund_payment(tests.id('one_payment'), 9223372036854775807) $$, 422, 'value_not_allowed', 'not what overflows'),
  ($$ select refund_payment(tests.id('one_payment'), 100, repeat('x', 501)) $$, 422, 'value_not_allowed', 'a note has an end'),
  ($$ select refund_payment(null) $$, 404, 'payment_not_found', 'of no payment there is none'),
  ($$ select refund_payment(gen_random_uuid()) $$, 404, 'payment_not_found', 'nor of one that does not exist')) as t (call, status, slug, title);
select tests.remember('click', gen_random_uuid());
select tests.remember('part', refund_payment(tests.id('one_payment'), 1000, 'Goodwill', tests.id('click')));
select is(refund_payment(tests.id('one_payment'), 1000, 'Goodwill', tests.id('click')), tests.id('part'), 'the same request refunds once');
select tests.refuses($$ select refund_payment(tests.id('one_payment'), 900, null, tests.id('click')) $$, 409, 'request_reused', 'and no other amount');
select tests.refuses($$ select refund_payment(tests.id('one_payment'), 1501) $$, 409, 'refund_exceeds_payment', 'not more than is left');
select tests.remember('rest', refund_payment(tests.id('one_payment')));
select tests.refuses($$ select refund_payment(tests.id('one_payment')) $$, 409, 'refund_exceeds_payment', 'of nothing nothing is left');
select is((select string_agg(amount_cents::text, ',' order by amount_cents) from refunds where org_id = tests.id('kilo')), '1000,1500', 'the coach sees both');
select tests.forbids($$ update refunds set amount_cents = 1 $$, 'and changes none');
select tests.sign_in('coach@lima.example');
select is_empty($$ select from refunds $$, 'another organisation sees none');
select is_empty($$ select from deposits $$, 'nor a deposit');
select tests.sign_in('client@kilo.example');
select is_empty($$ select from deposits $$, 'a client sees nobody else''s deposit');
select is_empty($$ select from refunds $$, 'and no refunds');

-- Carried.
select tests.as_owner();
select private.set_brake('payments', null, 'Stripe is down', null, true);
select is(pg_temp.take(), '', 'under the brake nothing is claimed');
select private.set_brake('payments', null, 'It is up', null, false);
select private.set_brake('payments', :'kilo', 'Fraud', null, true);
select is(pg_temp.take(), '', 'nor under the organisation''s');
select private.set_brake('payments', :'kilo', 'None', null, false);
select is(service.refunds_state() ->> 'due', '2', 'it stays due');
select is(pg_temp.take(p_limit => 1), 'part 1', 'one is claimed') union all select is(pg_temp.take(), 'rest 1', 'another by another');
select is(pg_temp.take(), '', 'none twice');
select is(pg_temp.take('59 seconds'), '', 'within the lease') union all select is(pg_temp.take('61 seconds'), 'part 2, rest 2', 'after it again, to be looked for first');
select is((c.account, c.payment_intent_id, c.amount_cents, c.currency)::text, ('acct_kilo', tests.intent('one') ->> 'id', 1000, 'aud')::text, 'with what Stripe must know')
  from service.claim_refunds(10, 60, now() + interval '3 minutes') as c where c.refund_id = tests.id('part');
select is(service.record_refund(tests.id('part'), gen_random_uuid(), null, 'stripe_unavailable'), 'stale', 'a claim that is another''s says nothing of the try');
select is(pg_temp.failed('part', false), 'requested', 'a try that came to nothing is due again');
select is(pg_temp.take('100 seconds'), '', 'not at once') union all select is(pg_temp.take('5 minutes'), 'part 4, rest 4', 'but later');
select is(pg_temp.told('part', 'succeeded'), 'succeeded', 'Stripe has it');
select is(pg_temp.told('part', 'succeeded'), 'succeeded', 'told again');
select is(tests.money(), 'INCOME 2500, REFUND -1000', 'it is booked once');
select is((e.tax_cents, e.source, e.reference_id)::text, '(0,stripe,re_part)', 'by Stripe''s id') from public.money_events as e where e.type = 'REFUND' and e.org_id = :'kilo';
select is(pg_temp.take('2 hours'), 'rest 5', 'and claimed no more');
select is(service.record_refund(tests.id('rest'), gen_random_uuid(), jsonb_build_object('id', 're_rest', 'status', 'pending', 'amount', 1500)), 'pending', 'what Stripe has is recorded whoever tells it');
select is(tests.money(), 'INCOME 2500, REFUND -1000', 'pending is not paid out');
select is((c.stripe_refund_id), 're_rest', 'it is asked about') from service.claim_refunds(10, 60, now() + interval '7 hours') as c;
select is(pg_temp.told('rest', 'succeeded'), 'succeeded', 'until it is');
select is(tests.money(), 'INCOME 2500, REFUND -1000, REFUND -1500', 'then booked');
select tests.refuses($$ select service.record_refund(gen_random_uuid(), null) $$, 404, 'refund_not_found', 'no refund, no record');

-- Refused by Stripe.
select tests.pay_deposit('two', tests.at(9, '09:00'));
select tests.remember('no', service.refund_payment(tests.id('two_payment')));
select is(pg_temp.take(), 'no 1', 'another is claimed');
select is(pg_temp.failed('no', true), 'failed', 'Stripe says no');
select is(count(*), 1::bigint, 'the coach is told') from public.alerts where kind = 'refund_failed';
select isnt(service.refund_payment(tests.id('two_payment')), null, 'what failed may be asked for again');
select is((select count(*) from service.list_refunds(:'kilo', 'failed')), 1::bigint, 'an operator lists them');
select is((select refundable_cents from service.list_payments(:'kilo', tests.id('ann')) where payment_id = tests.id('two_payment')), 0::bigint, 'and what is left');

-- What was refunded at Stripe counts.
select tests.pay_deposit('three', tests.at(10, '09:00'));
select private.book_money(:'kilo', 'REFUND', -2000, 'aud', 'stripe', 're_dashboard', p_client_id => tests.id('ann'), p_stripe_payment_intent_id => tests.intent('three') ->> 'id');
select tests.refuses($$ select service.refund_payment(tests.id('three_payment'), 501) $$, 409, 'refund_exceeds_payment', 'what was given back at Stripe is not given back again');

-- Cash.
select tests.sign_in('coach@kilo.example');
select tests.remember('sale', sell_package(tests.id('ben'), :'kilo_offer', 'cash'));
select tests.as_owner();
select tests.remember('cash', (select id from public.money_events where purchase_id = tests.id('sale')));
select tests.sign_in('coach@kilo.example');
select tests.remember('handed', refund_payment(tests.id('cash'), 30000));
select is((status, source)::text, '(succeeded,manual)', 'cash is handed back, so done') from refunds where id = tests.id('handed');
select isnt(refund_payment(tests.id('cash')), null, 'the rest too');
select tests.refuses($$ select refund_payment(tests.id('cash')) $$, 409, 'refund_exceeds_payment', 'and no more');
select tests.as_owner();
select is(tests.money('ben'), 'INCOME 80000, REFUND -30000, REFUND -50000', 'booked once each');
select is(payment_status, 'refunded', 'a package of which nothing is left paid is refunded') from public.client_purchases where id = tests.id('sale');
select is(pg_temp.take('2 days'), '', 'and nothing of it is carried to Stripe') from (select service.record_refund(r.id, r.claim, null, 'x', true) from public.refunds as r where r.source = 'stripe' and r.settled_at is null and r.claim is not null) as x;

select * from finish();
rollback;
