-- products: members price and stock goods; what they cost stays among members.
begin;
select plan(10);

select tests.sign_in('coach@kilo.example');
insert into public.products (org_id, name, category, price_cents, cost_cents, stock_quantity, sku) values (:'kilo', 'Towel', 'Gear', 2500, 900, 12, '')
  returning id as towel \gset
select tests.remember('towel', :'towel');
update public.products set org_id = :'kilo', name = 'Bath towel', stock_quantity = 11 where id = :'towel';
select is((name, stock_quantity, currency)::text, '("Bath towel",11,aud)', 'a coach changes one, sending its organisation') from public.products where id = :'towel';
select tests.refuses($$ update public.products set price_cents = -1 where id = tests.id('towel') $$, 422, 'value_not_allowed', 'no price below zero');
select tests.refuses($$ update public.products set name = ' ' where id = tests.id('towel') $$, 422, 'value_not_allowed', 'no product without a name');
select tests.refuses($$ update public.products set org_id = tests.id('lima') where id = tests.id('towel') $$, 422, 'org_fixed', 'it stays where it is');
select tests.sign_in('desk@kilo.example');
select isnt_empty($$ select from public.products $$, 'the desk sees what is sold');
select tests.changes_nothing($$ update public.products set price_cents = 1 $$, 'and does not price it');
select tests.forbids($$ insert into public.products (org_id, name, price_cents) values (tests.id('kilo'), 'x', 1) $$, 'nor add any');
select tests.sign_in('coach@kilo.example');
delete from public.products where id = :'towel';
select is_empty($$ select from public.products $$, 'a coach deletes one');
select tests.sign_in('client@kilo.example');
select is_empty($$ select from public.products $$, 'a client sees none');
select tests.as_owner();
select results_eq($$ select action from public.audit_log where subject_type = 'products' order by happened_at $$, array['insert', 'update', 'delete'], 'what was priced is audited');
select * from finish();
rollback;
