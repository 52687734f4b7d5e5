-- finance_monthly, org_earnings, profit_and_loss: the ledger's own figures, for those who may read an organisation's finances.
begin;
select plan(25);
select tests.join_org('kilo', 'coach2@kilo.example', 'coach', 'kilo_coach');
select tests.as_owner();
insert into public.platform_admins (user_id, email) values (:'nobody', 'nobody@nowhere.example');
select private.book_money(:'kilo', 'INCOME', 11000, 'aud', 'stripe', 'f1', '2026-03-31 13:59+00'), private.book_money(:'kilo', 'REFUND', -1000, 'aud', 'stripe', 'f2', '2026-03-31 14:00+00'),
       private.book_money(:'kilo', 'FEE', -300, 'aud', 'stripe', 'f3', '2026-03-10 00:00+00'), private.book_money(:'kilo', 'PLATFORM_FEE', -550, 'aud', 'stripe', 'f4', '2026-03-10 00:00+00'),
       private.book_money(:'kilo', 'PAYOUT', -9000, 'aud', 'stripe', 'f5', '2026-04-20 00:00+00'), private.book_money(:'kilo', 'INCOME', 500, 'aud', 'manual', 'f6', '2026-04-20 00:00+00'),
       private.book_money(:'lima', 'INCOME', 7, 'aud', 'stripe', 'f7', '2026-03-10 00:00+00');

select tests.sign_in('coach@kilo.example');
select results_eq($$ select period, cash_in_cents, cash_out_cents, net_cents, fees_cents, platform_fees_cents, refunds_cents, payouts_cents from public.finance_monthly where org_id = tests.id('kilo') and period < '2026-05' order by period desc limit 12 $$,
  $$ values ('2026-04', 500::numeric, 10000::numeric, -9500::numeric, 0::numeric, 0::numeric, 1000::numeric, 9000::numeric), ('2026-03', 11000, 850, 10150, 300, 550, 0, 0) $$,
  'months are the organisation''s; what goes out is positive, and net includes payouts');
select results_eq($$ select month, gross_cents, refunds_cents, fees_cents, platform_fees_cents, net_cents, payouts_cents from profit_and_loss(tests.id('kilo'), '2026-03-15', '2026-04-01') $$,
  $$ values ('2026-03-01'::date, 11000::bigint, 0::bigint, -300::bigint, -550::bigint, 10150::bigint, 0::bigint), ('2026-04-01', 500, -1000, 0, 0, -500, -9000) $$,
  'profit and loss keeps the ledger''s signs, and a refund its own month');
select is((select array_agg(month) from profit_and_loss(:'kilo', '2026-04-30', '2026-04-30')), '{2026-04-01}', 'a day stands for its month');
select results_eq($$ select gross_earnings_cents, commission_cents, net_earnings_cents, paid_out_cents, pending_payout_cents, org_name from public.org_earnings where org_id = tests.id('kilo') $$,
  $$ values (10000::numeric, 850::numeric, 9150::numeric, 9000::numeric, 150::numeric, 'Kilo') $$, 'earnings: what went through Stripe; cash is not to be paid out');
select is((select sum(e.pending_payout_cents) from public.org_earnings as e), (select sum(m.amount_cents)::numeric from public.money_events as m where m.source = 'stripe'), 'which is the ledger''s sum');
select is((select count(*) from public.org_earnings), 1::bigint, 'one''s own organisation alone');

-- Who may.
-- Volatile, so that each person's look is their own.
create function pg_temp.reads() returns text language plpgsql volatile as $$
begin
  return concat_ws(' and ', case when exists (select from public.finance_monthly) then 'months' end, case when exists (select from public.org_earnings where org_id = tests.id('kilo')) then 'earnings' end);
end;
$$;
grant execute on function pg_temp.reads() to public;
select tests.sign_in(t.email), is(pg_temp.reads(), t.what, format('%s reads %s', t.email, t.what))
  from (values ('manager@kilo.example', 'months and earnings'), ('accountant@kilo.example', 'months and earnings'), ('coach2@kilo.example', ''), ('desk@kilo.example', ''), ('client@kilo.example', ''), ('nobody@nowhere.example', 'earnings')) as t (email, what);
select is((select count(*) from public.org_earnings), 2::bigint, 'a platform admin reads all earnings');
select tests.sign_in('coach@lima.example');
select is((select count(*) from public.finance_monthly where org_id = tests.id('kilo')) + (select count(*) from public.org_earnings where org_id = tests.id('kilo')), 0::bigint, 'another organisation''s owner reads nothing of it');
select tests.as_owner();
delete from public.platform_admins;
select tests.only_for_members($$ select profit_and_loss(tests.id('kilo')) $$, 'org_not_found', 'coach2@kilo.example', 'profit_and_loss');
select tests.sign_in('coach@kilo.example');
select tests.refuses(format('select profit_and_loss(tests.id(''kilo''), %L, %L)', t.f, t.u), 422, 'value_not_allowed', format('%s to %s is refused', t.f, t.u)) from (values ('2026-02-01', '2026-01-01'), ('-infinity', '2026-01-01'), ('2026-01-01', 'infinity')) as t (f, u);
select tests.sign_out();
select tests.forbids(t, 'a visitor: ' || t) from unnest(array['select 1 from public.finance_monthly', 'select 1 from public.org_earnings']) as t;
select * from finish();
rollback;
