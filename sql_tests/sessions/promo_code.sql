-- promo_code: a code takes its discount off while it is active, within its dates and limit, and the sale counts it.
begin;
select plan(32);

select tests.sign_in('coach@kilo.example');
insert into public.promo_codes (org_id, code, discount_type, discount_value, max_uses, times_used)
  values (:'kilo', 'TEN', 'percentage', 10, 2, 99) returning id as ten \gset
insert into public.promo_codes (org_id, code, discount_type, discount_value)
  values (:'kilo', 'THIRD', 'percentage', 33.333) returning id as third \gset
insert into public.promo_codes (org_id, code, discount_type, discount_value) values (:'kilo', 'FIFTY', 'fixed', 50.5)
  returning id as fifty \gset
insert into public.promo_codes (org_id, code, discount_type, discount_value) values (:'kilo', 'HUGE', 'fixed', 5000)
  returning id as huge \gset
insert into public.promo_codes (org_id, code, discount_type, discount_value, is_active)
  values (:'kilo', 'OFF', 'percentage', 10, false) returning id as off \gset
insert into public.promo_codes (org_id, code, discount_type, discount_value)
  values (:'kilo', 'DATED', 'percentage', 10) returning id as dated \gset
select tests.remember('ten', :'ten'), tests.remember('third', :'third'), tests.remember('fifty', :'fifty'),
  tests.remember('huge', :'huge'),
       tests.remember('off', :'off'), tests.remember('dated', :'dated');
create function pg_temp.sale(p_promo text, p_discount integer) returns text language sql as $$
  select format('insert into public.client_purchases
                   (org_id, client_id, offer_id, amount_paid_cents, discount_cents, promo_code_id, payment_status)
                 values (tests.id(''kilo''), tests.id(''kilo_client''), tests.id(''kilo_offer''), %s, %s, tests.id(%L),
                         ''succeeded'')', 80000 - p_discount, p_discount, p_promo);
$$;
create function pg_temp.uses(p_promo text) returns integer language sql as $$ select times_used from public.promo_codes
                                                            where id = tests.id(p_promo) $$;

select is(pg_temp.uses('ten'), 0, 'a new code has no uses, whatever is sent');
select lives_ok(pg_temp.sale('ten', 8000), 'ten percent off is ten percent off');
select is(pg_temp.uses('ten'), 1, 'the sale counts the use');
update public.promo_codes set times_used = 2 where id = :'ten';
select is(pg_temp.uses('ten'), 1, 'what the app adds to its copy afterwards changes nothing');
update public.promo_codes set times_used = 0, max_uses = 2 where id = :'ten';
select is(pg_temp.uses('ten'), 1, 'nor does a reset');
select tests.refuses(pg_temp.sale('ten', 8001), 422, 'sale_price_mismatch',
                     'more than the code''s discount is refused');
select tests.refuses(pg_temp.sale('ten', 0), 422, 'sale_price_mismatch', 'so is none beside a code');
select is(pg_temp.uses('ten'), 1, 'a refused sale uses no code');
select lives_ok(pg_temp.sale('ten', 8000), 'the last use is given');
select tests.refuses(pg_temp.sale('ten', 8000), 409, 'promo_code_unavailable', 'and not once more');
select is(pg_temp.uses('ten'), 2, 'the limit holds');
update public.promo_codes set max_uses = 3 where id = :'ten';
select lives_ok(pg_temp.sale('ten', 8000), 'a raised limit serves again');

select lives_ok(pg_temp.sale('third', 26666), 'a fraction of a cent is rounded');
select lives_ok(pg_temp.sale('fifty', 5050), 'a fixed discount is in dollars');
select lives_ok(pg_temp.sale('huge', 80000), 'and never more than the price');
select tests.refuses(pg_temp.sale('off', 8000), 409, 'promo_code_unavailable', 'an inactive code takes nothing off');
select tests.refuses(replace(pg_temp.sale('off', 8000), 'tests.id(''off'')', 'gen_random_uuid()'), 404,
                     'promo_code_not_found', 'an unknown one does not exist');
select tests.sign_in('coach@lima.example');
select tests.refuses(replace(replace(pg_temp.sale('third', 26666), 'kilo', 'lima'), 'lima_third', 'third'), 404,
                     'promo_code_not_found', 'nor does another organisation''s');

-- Its dates are the organisation's: between Kiritimati and Pago Pago lies always at least a day.
select tests.sign_in('coach@kilo.example');
update public.promo_codes set valid_until = (now() at time zone 'Pacific/Pago_Pago')::date where id = :'dated';
update public.booking_settings set timezone = 'Pacific/Kiritimati' where org_id = :'kilo';
select tests.refuses(pg_temp.sale('dated', 8000), 409, 'promo_code_unavailable',
                     'where the last day is over the code is over');
update public.booking_settings set timezone = 'Pacific/Pago_Pago' where org_id = :'kilo';
select lives_ok(pg_temp.sale('dated', 8000), 'where it is the last day the code holds');
update public.promo_codes set valid_from = (now() at time zone 'Pacific/Kiritimati')::date, valid_until = null
  where id = :'dated';
select tests.refuses(pg_temp.sale('dated', 8000), 409, 'promo_code_unavailable',
                     'where the first day has not come it has not begun');
update public.booking_settings set timezone = 'Pacific/Kiritimati' where org_id = :'kilo';
select lives_ok(pg_temp.sale('dated', 8000), 'where it is the first day it has');

select tests.refuses($$ insert into public.promo_codes (org_id, code, discount_type, discount_value)
                        values (tests.id('kilo'), 'X', 'percentage', 101) $$,
                     422, 'value_not_allowed', 'nobody gives more than all');
select tests.refuses($$ insert into public.promo_codes (org_id, code, discount_type, discount_value)
                        values (tests.id('kilo'), 'X', 'fixed', -1) $$,
                     422, 'value_not_allowed', 'nor less than nothing');
select tests.refuses($$ insert into public.promo_codes (org_id, code, discount_type, discount_value)
                        values (tests.id('kilo'), 'X', 'fixed', 'NaN') $$,
                     422, 'value_not_allowed', 'nor what is no number');
select tests.refuses($$ insert into public.promo_codes (org_id, code, discount_type, discount_value, max_uses)
                        values (tests.id('kilo'), 'X', 'fixed', 1, 0) $$,
                     422, 'value_not_allowed', 'a limit allows at least one');
select tests.sign_in('desk@kilo.example');
select tests.forbids($$ insert into public.promo_codes (org_id, code, discount_type, discount_value)
                        values (tests.id('kilo'), 'DESK', 'fixed', 1) $$, 'a front desk makes no codes');
select lives_ok(pg_temp.sale('third', 26666), 'but sells with them');
select tests.changes_nothing($$ update public.promo_codes set times_used = 5 where id = tests.id('third') $$,
                             'and its copy of the count changes nothing');
select tests.sign_in('client@kilo.example');
select is_empty($$ select from public.promo_codes $$, 'a client does not browse codes');
select tests.as_service();
select tests.forbids($$ update public.promo_codes set times_used = 0 where id = tests.id('third') $$,
                     'the service writes no counts');
select tests.as_owner();
select is(times_used, 2, 'every sale was counted once') from public.promo_codes where id = :'third';

select * from finish();
rollback;
