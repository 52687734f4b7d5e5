-- last_owner: an organisation keeps at least one owner.
begin;
select plan(9);

select tests.as_service();
select tests.refuses($$ select service.set_member(tests.id('kilo'), 'coach@kilo.example', 'coach') $$,
                     409, 'last_owner',
                     'the last owner does not become something else');
select tests.refuses($$ select service.remove_member(tests.id('kilo'), 'coach@kilo.example') $$, 409, 'last_owner',
                     'the last owner does not leave');
select lives_ok($$ select service.set_member(tests.id('kilo'), 'coach@kilo.example', 'owner') $$,
                'an owner who stays owner is no loss');
select lives_ok($$ select service.set_member(tests.id('kilo'), 'manager@kilo.example', 'owner') $$,
                'a second owner is made');
select lives_ok($$ select service.set_member(tests.id('kilo'), 'coach@kilo.example', 'coach') $$,
                'then the first may step down');
select tests.refuses($$ select service.remove_member(tests.id('kilo'), 'manager@kilo.example') $$, 409, 'last_owner',
                     'the second is now the last');

select tests.as_owner();
select tests.refuses($$ delete from public.org_members where org_id = tests.id('kilo') $$, 409, 'last_owner',
                     'not even the database''s owner empties an organisation of its members');
select tests.refuses($$ update public.org_members set role = 'coach' where org_id = tests.id('kilo') $$,
                     409, 'last_owner',
                     'nor of its owners');
select is(count(*), 1::bigint, 'lima''s owner was never asked about')
  from public.org_members where org_id = :'lima' and role = 'owner';

select * from finish();
rollback;
