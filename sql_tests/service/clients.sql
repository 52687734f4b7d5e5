-- clients: an operator lists and adds an organisation's clients.
begin;
select plan(18);

select tests.as_service();
select results_eq($$ select full_name, email, status from service.list_clients(tests.id('kilo')) $$,
                  $$ values ('Client of Kilo', 'client@kilo.example', 'active') $$,
                  'an organisation''s clients are listed, and nobody else''s');
select service.create_client(:'kilo', '  Ada Lovelace ', 'ada@kilo.example', '+61 400 000 002') as made \gset
select results_eq($$ select full_name, email, phone, status from service.list_clients(tests.id('kilo'), 'ada') $$,
                  $$ values ('Ada Lovelace', 'ada@kilo.example', '+61 400 000 002', 'active') $$, 'a client is added');
select isnt(service.create_client(:'kilo', 'Ada Lovelace'), null, 'a name is enough, and need not be unique');
select is(count(*), 2::bigint, 'they are found by part of their name') from service.list_clients(:'kilo', 'LOVE');
select is(count(*), 1::bigint, 'or email') from service.list_clients(:'kilo', 'ada@');
select is(count(*), 1::bigint, 'or phone') from service.list_clients(:'kilo', '000 002');
select is(count(*), 0::bigint, 'where a percent sign is a percent sign') from service.list_clients(:'kilo', '%');
select is(count(*), 1::bigint, 'at most as many as asked for') from service.list_clients(:'kilo', null, 1);
select is(count(*), 1::bigint, 'at least one') from service.list_clients(:'kilo', null, -1);

select tests.refuses(format('select service.create_client(tests.id(''kilo''), %L, %L, %L)', n, e, p), 422,
                     'value_not_allowed', d)
  from (values ('', null, null, 'not without a name'), ('   ', null, null, 'nor a blank one'),
        (repeat('x', 201), null, null, 'nor a very long one'),
               ('X', 'no-at-sign', null, 'not with an email that is none'),
        ('X', repeat('x', 320) || '@x', null, 'nor a very long one'),
               ('X', null, repeat('0', 41), 'nor with such a phone')) as t (n, e, p, d);
select tests.refuses($$ select service.create_client(tests.id('kilo'), null) $$,
                     422, 'value_not_allowed', 'nor without any name');
select tests.refuses($$ select service.create_client(gen_random_uuid(), 'X') $$,
                     404, 'org_not_found', 'an unknown organisation does not exist');
select tests.refuses($$ select * from service.list_clients(gen_random_uuid()) $$,
                     404, 'org_not_found', 'nor has it clients');

select * from finish();
rollback;
