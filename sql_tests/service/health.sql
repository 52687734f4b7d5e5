-- health: the database answers, and says which migration it has.
begin;
select plan(4);

select tests.as_service();
select is(service.health() ->> 'database', 'ok', 'a database that answers is well');
select is(service.health() ->> 'server_version', current_setting('server_version'), 'it says its version');
select ok(service.health() ? 'migration', 'and its latest migration');
select tests.sign_out();
select tests.forbids($$ select service.health() $$, 'a visitor may not ask');

select * from finish();
rollback;
