-- list_members: the team, for those of the team who may see it.
begin;
select plan(10);

select tests.sign_in('coach@kilo.example');
select results_eq($$ select email, role from list_members(tests.id('kilo')) order by email $$,
  $$ values ('accountant@kilo.example', 'accountant_readonly'), ('coach@kilo.example', 'owner'),
     ('desk@kilo.example', 'front_desk'),
            ('manager@kilo.example', 'manager') $$, 'an owner sees everybody and their role');
select tests.refuses($$ select * from list_members(gen_random_uuid()) $$,
                     404, 'org_not_found', 'an unknown organisation does not exist');
select tests.sign_in('desk@kilo.example');
select is(count(*), 4::bigint, 'a front desk sees the team') from list_members(:'kilo');
select is(count(*), 1::bigint, 'though the table shows them their own row alone') from public.org_members;

select tests.only_for_members($$ select * from list_members(tests.id('kilo')) $$,
                              'org_not_found', 'accountant@kilo.example', 'list_members');

select * from finish();
rollback;
