-- commission_rate: the platform's share is set by the platform, whoever may edit the rest of an organisation.
begin;
select plan(10);

select tests.sign_up('admin@platform.example', 'admin');
insert into public.platform_admins (user_id, email, permissions) values (tests.id('admin'), 'admin@platform.example', '{orgs.write}');

select tests.sign_in('coach@kilo.example');
select tests.refuses($$ update public.orgs set commission_rate = 0 where id = tests.id('kilo') $$,
                     403, 'commission_rate_protected',
                     'an owner does not lower the platform''s share');
select lives_ok($$ update public.orgs set commission_rate = 0.05, name = 'Kilo Fit' where id = tests.id('kilo') $$,
                'a form that sends the rate as it is passes');
select tests.refuses($$ insert into public.orgs (name, slug, commission_rate) values ('Cheap', 'cheap', 0) $$,
                     403, 'commission_rate_protected',
                     'a founder does not choose it either');
select lives_ok($$ insert into public.orgs (name, slug, commission_rate) values ('Default', 'default', 0.05) $$,
                'a founder who sends the default founds');

select tests.sign_in('admin@platform.example');
select is(count(*), 1::bigint, 'a platform admin sees an organisation they do not belong to') from public.orgs
  where id = :'kilo';
update public.orgs set commission_rate = 0.1 where id = :'kilo';
select is(commission_rate, 0.1, 'a platform admin sets the rate') from public.orgs where id = :'kilo';
select tests.refuses($$ update public.orgs set commission_rate = 1.5 where id = tests.id('kilo') $$,
                     422, 'value_not_allowed',
                     'within 0 and 1');
select is_empty($$ select from public.clients where org_id = tests.id('kilo') $$,
                'which opens nothing of what the organisation holds');

select tests.sign_in('manager@kilo.example');
select tests.refuses($$ update public.orgs set commission_rate = 0.05 where id = tests.id('kilo') $$,
                     403, 'commission_rate_protected',
                     'what the platform has set, a manager does not set back');
select tests.sign_in('nobody@nowhere.example');
select tests.forbids($$ insert into public.platform_admins (user_id, email)
                        values (tests.id('nobody'), 'nobody@nowhere.example') $$,
                     'nobody makes themselves a platform admin');

select * from finish();
rollback;
