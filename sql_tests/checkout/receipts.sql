-- Receipts: one for each payment and refund, numbered without a gap, with its tax, in the currency's own units.
begin;
select plan(38);
select tests.open_checkout();
select is(private.money_text(a.cents, a.currency), a.text, a.text) from (values (2500::bigint, 'aud', 'AUD 25.00'), (2500, 'jpy', 'JPY 2500'), (2500, 'kwd', 'KWD 2.500'), (5, 'usd', 'USD 0.05')) as a (cents, currency, text);
select issued from service.sweep_receipts() \gset
select is((select array_agg(number order by number) from public.receipts where org_id = tests.id('kilo')), '{1}', 'the world''s own sale has the first');

update public.booking_settings set gst_registered = true where org_id = tests.id('kilo');
select tests.pay_deposit('gst', tests.at(8, '09:00'));
select private.book_money(:'kilo', 'INCOME', 700, 'jpy', 'stripe', 'pi_yen', p_client_id => tests.id('ann'), p_stripe_payment_intent_id => 'pi_yen');
select private.book_money(:'kilo', 'REFUND', -250, 'jpy', 'stripe', 're_yen', p_client_id => tests.id('ann'), p_stripe_payment_intent_id => 'pi_yen');
select private.book_money(:'kilo', 'FEE', -30, 'aud', 'stripe', 'txn_1', p_client_id => tests.id('ann'));
select is((issued)::text, '3', 'a dry run counts') from service.sweep_receipts(p_dry_run => true);
select is((issued)::text, '2', 'a batch') from service.sweep_receipts(2);
select is((issued)::text, '1', 'and the next') from service.sweep_receipts(2);
select is((issued)::text, '0', 'no more') from service.sweep_receipts(2);
select is(string_agg(r.number || ' ' || r.kind || ' ' || r.amount_cents || r.currency || ' ' || r.tax_cat || ' ' || r.tax_cents, ', ' order by r.number), '2 payment 2500aud GST 227, 3 payment 700jpy GST 64, 4 refund 250jpy GST 23', 'payments and refunds in their order, the eleventh of each as GST')
  from public.receipts as r where r.client_id = tests.id('ann');
select tests.remember('r2', (select id from public.receipts where org_id = tests.id('kilo') and number = 2)), tests.remember('r4', (select id from public.receipts where org_id = tests.id('kilo') and number = 4));

-- Shown.
select tests.sign_out();
select ok(show_receipt(tests.id('r2')) ->> 'description' like 'Deposit: Massage, %', 'it says what for');
select is(show_receipt(tests.id('r2')) - 'receipt_id' - 'paid_on' - 'description', jsonb_build_object('number', 2, 'kind', 'payment', 'issuer_name', 'Kilo', 'client_name', 'Ann', 'method', 'card', 'amount_cents', 2500, 'currency', 'aud',
          'amount', 'AUD 25.00', 'tax_cat', 'GST', 'tax_cents', 227, 'tax', 'AUD 2.27', 'refunds_number', null), 'whoever holds its id sees it');
select is((show_receipt(tests.id('r4')) ->> 'refunds_number', show_receipt(tests.id('r4')) ->> 'amount')::text, '(3,"JPY 250")', 'a refund''s names the receipt of what was paid');
select is(show_receipt(gen_random_uuid()) ->> 'details', 'receipt_not_found', 'another id shows nothing');
select is((select show_receipt(gen_random_uuid()) ->> 'details' from generate_series(1, 30) offset 25 limit 1), 'rate_limited', 'and is not guessed');

-- Issued at once.
select tests.sign_in('coach@kilo.example');
select tests.remember('sale', sell_package(tests.id('ben'), :'kilo_offer', 'bank_transfer'));
select tests.remember('payment', (select id from money_events where purchase_id = tests.id('sale')));
select issue_receipt(tests.id('payment')) as issued \gset
select is((:'issued'::jsonb ->> 'number', :'issued'::jsonb ->> 'description', :'issued'::jsonb ->> 'method')::text, '(5,"Ten sessions","bank transfer")', 'a coach has the receipt at once');
select is(issue_receipt(tests.id('payment')), :'issued'::jsonb, 'and the same again');
select tests.refuses($$ select issue_receipt(gen_random_uuid()) $$, 404, 'payment_not_found', 'of no payment there is none');
select tests.as_owner();
select is((issued)::text, '0', 'the sweep adds none') from service.sweep_receipts();
select is_empty($$ select from private.receipts_due $$, 'and has nothing left to do');
select tests.refuses($$ select service.sweep_receipts(0) $$, 422, 'value_not_allowed', 'a sweep of none is none');
select tests.refuses($$ select service.issue_receipt((select id from public.money_events where reference_id = 'txn_1')) $$, 404, 'payment_not_found', 'a fee has none');
select tests.only_for_members($$ select issue_receipt(tests.id('payment')) $$, 'payment_not_found', 'accountant@kilo.example', 'issue_receipt');

-- Sent.
select tests.as_owner();
select is(count(*), 4::bigint, 'each is emailed once') from public.outbox_messages as m where m.kind = 'receipt' and m.client_id in (tests.id('ann'), tests.id('ben'));
select is((m.metadata #>> '{data,receipt,number}', m.variables ->> 'amount')::text, '(2,"AUD 25.00")', 'with what it shows') from public.outbox_messages as m where m.idempotency_key = 'receipt-' || tests.id('r2');
select is((private.compose(m)).subject, 'Receipt 2 from Kilo', 'and says so') from public.outbox_messages as m where m.idempotency_key = 'receipt-' || tests.id('r2');
update public.booking_settings set send_receipts = false where org_id = tests.id('kilo');
select private.book_money(:'kilo', 'INCOME', 100, 'aud', 'stripe', 'pi_silent', p_client_id => tests.id('ann'), p_stripe_payment_intent_id => 'pi_silent');
select is((issued)::text, '1', 'who sends none numbers them all the same') from service.sweep_receipts();
select is(count(*), 4::bigint, 'and sends none') from public.outbox_messages as m where m.kind = 'receipt' and m.client_id in (tests.id('ann'), tests.id('ben'));

-- Kept.
select tests.refuses($$ update public.receipts set amount_cents = 1 where id = tests.id('r2') $$, 403, 'ledger_append_only', 'a receipt is never changed');
select tests.refuses($$ delete from public.receipts where id = tests.id('r2') $$, 403, 'ledger_append_only', 'nor deleted');
select tests.sign_in('coach@lima.example');
select is_empty($$ select from receipts where org_id = tests.id('kilo') $$, 'another organisation sees none');
select tests.sign_in('desk@kilo.example');
select is_empty($$ select from receipts $$, 'nor a role without money.read');
select tests.sign_in('client@kilo.example');
select is((select array_agg(number) from receipts), '{1}', 'a client sees their own');

select * from finish();
rollback;
