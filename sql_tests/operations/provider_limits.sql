-- Provider limits: an account that asked to be left alone is, until it resets; any provider, each account by itself.
begin;
select plan(15);

select tests.as_service();
select lives_ok($$ select service.defer_provider('stripe', 'acct_1', now() + interval '10 minutes', 'rate_limit') $$, 'a provider''s account is left alone');
select tests.as_owner();
select is(private.deferred_until('stripe', 'acct_1'), now() + interval '10 minutes', 'until then');
select is(private.deferred_until('stripe', 'acct_2'), null, 'another account is not');
select is(private.deferred_until('stripe', null), null, 'nor the platform''s own');
select is(private.deferred_until('expo', 'acct_1'), null, 'nor another provider');
select is(private.deferred_until('stripe', 'acct_1', now() + interval '10 minutes'), null, 'then it may go on');
select tests.as_service();
select service.defer_provider('stripe', 'acct_1', now() + interval '5 minutes', 'other');
select is((until_at, reason), (now() + interval '10 minutes', 'rate_limit'::text), 'a shorter pause shortens nothing') from service.list_provider_limits();
select service.defer_provider('stripe', 'acct_1', now() + interval '20 minutes', 'again');
select is((until_at, reason), (now() + interval '20 minutes', 'again'::text), 'a longer one holds') from service.list_provider_limits();
select service.defer_provider('webhook', null, now() + interval '9 days', 'odd words, jo@kilo.example');
select is((account, until_at, reason), (''::text, now() + interval '1 day', null::text), 'at most a day, and a reason is a code')
  from service.list_provider_limits() where provider = 'webhook';
select service.defer_provider('expo', null, now());
select is(count(*), 2::bigint, 'what is over is not listed') from service.list_provider_limits();
select tests.refuses($$ select service.defer_provider('Not one', null, now()) $$, 422, 'value_not_allowed', 'a provider has a name');
select tests.refuses($$ select service.defer_provider(null, null, now()) $$, 422, 'value_not_allowed', 'of some kind')
  ;
select tests.refuses($$ select service.defer_provider('stripe', repeat('a', 201), now()) $$, 422, 'value_not_allowed', 'and an account a length');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select service.defer_provider('stripe', null, now()) $$, 'no member stops a provider');
select tests.forbids($$ select private.deferred_until('stripe', null) $$, 'nor asks');

select * from finish();
rollback;
