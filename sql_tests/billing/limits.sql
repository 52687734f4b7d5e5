-- Limits stop new use and nothing else: what is there stays, also after a downgrade.
begin;
select plan(23);
select service.set_plan('free', 'Free', 0, p_limits => '{"clients": 2, "staff": 0, "automations": 0}', p_is_default => true);
select service.set_plan('pro', 'Pro', 4900, p_features => '{marketing}', p_rank => 10);
update public.staff set is_active = false, deactivated_at = now() where org_id = :'kilo';

select tests.sign_in('coach@kilo.example');
select lives_ok($$ insert into clients (org_id, full_name) values (tests.id('kilo'), 'Second') $$, 'up to the limit clients are added');
select tests.refuses($$ insert into clients (org_id, full_name) values (tests.id('kilo'), 'Third') $$, 402, 'plan_limit_reached', 'one more is refused');
select lives_ok($$ insert into clients (org_id, full_name, status) values (tests.id('kilo'), 'Archived', 'inactive') $$, 'who is not active does not count');
select tests.as_owner();
select tests.refuses($$ update clients set status = 'active' where org_id = tests.id('kilo') and full_name = 'Archived' $$, 402, 'plan_limit_reached', 'until they would be');
select tests.refuses($$ select service.create_client(tests.id('kilo'), 'Third') $$, 402, 'plan_limit_reached', 'the operator''s door is the same');
select lives_ok($$ insert into clients (org_id, full_name) values (tests.id('lima'), 'Second') $$, 'another organisation counts its own');

-- Staff: the first is always free.
select lives_ok($$ insert into staff (org_id, full_name) values (tests.id('kilo'), 'First') $$, 'somebody must give the sessions');
select tests.refuses($$ insert into staff (org_id, full_name) values (tests.id('kilo'), 'Second') $$, 402, 'plan_limit_reached', 'one more is refused');

-- A larger plan for a while, and back.
select private.grant_plan(:'kilo', 'comp', 'pro', now() + interval '1 day', null, null, null) as comp \gset
insert into clients (org_id, full_name) select :'kilo', 'Client ' || n from generate_series(1, 50) as n;
select is((select count(*) from clients where org_id = :'kilo' and status = 'active'), 52::bigint, 'a plan without the limit allows any number');
select private.revoke_grant(:'kilo', :'comp', null);
select is((select count(*) from clients where org_id = :'kilo' and status = 'active'), 52::bigint, 'a downgrade keeps all of them');
select lives_ok($$ update clients set full_name = 'Renamed' where org_id = tests.id('kilo') and full_name = 'Client 1' $$, 'and what is done with them');
select lives_ok($$ update clients set status = 'inactive' where org_id = tests.id('kilo') and full_name = 'Client 2' $$, 'and letting go');
select tests.refuses($$ insert into clients (org_id, full_name) values (tests.id('kilo'), 'More') $$, 402, 'plan_limit_reached', 'but nothing is added');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select send_marketing(tests.id('kilo'), 'Hi', 'active') $$, 402, 'feature_not_in_plan', 'nor is a feature used that went with the plan');

-- Each door that a plan may close.
select tests.refuses($$ insert into session_types (org_id, name, slug, price_cents, deposit_cents) values (tests.id('kilo'), 'PT', 'pt', 9000, 3000) $$, 402, 'feature_not_in_plan', 'a type that asks for a deposit');
insert into session_types (org_id, name, slug, price_cents) values (:'kilo', 'PT', 'pt', 9000);
select tests.refuses($$ update session_types set deposit_percent = 50 where org_id = tests.id('kilo') and slug = 'pt' $$, 402, 'feature_not_in_plan', 'or would');
select tests.refuses($$ insert into automations (org_id, name, trigger, conditions, actions, guardrails) values (tests.id('kilo'), 'One', '{"type": "event", "event": "payment_failed"}', '[]', '[{"type": "notify_trainer", "params": {}}]', '{}') $$, 402, 'plan_limit_reached', 'one automation too many');
select lives_ok($$ insert into automations (org_id, name, enabled, trigger, conditions, actions, guardrails) values (tests.id('kilo'), 'Off', false, '{"type": "event", "event": "payment_failed"}', '[]', '[{"type": "notify_trainer", "params": {}}]', '{}') $$, 'one that is off is none');
select tests.refuses($$ update automations set enabled = true where org_id = tests.id('kilo') and name = 'Off' $$, 402, 'plan_limit_reached', 'until it is switched on');
select tests.as_owner();
select tests.refuses($$ select private.open_client_import(tests.id('kilo'), true, 'iso') $$, 402, 'feature_not_in_plan', 'a file of clients');
select service.set_plan('pro', p_features => '{marketing,deposits,imports}');
select private.grant_plan(:'kilo', 'comp', 'pro', now() + interval '1 day', null, null, null) as again \gset
select tests.sign_in('coach@kilo.example');
select lives_ok($$ update session_types set deposit_percent = 50 where org_id = tests.id('kilo') and slug = 'pt' $$, 'a plan that has it lets it');
select tests.as_owner();
select private.revoke_grant(:'kilo', :'again', null);
select tests.sign_in('coach@kilo.example');
select lives_ok($$ update session_types set name = 'Training', deposit_percent = 50 where org_id = tests.id('kilo') and slug = 'pt' $$, 'what it was used for goes on without it');
select tests.refuses($$ update session_types set deposit_percent = 60 where org_id = tests.id('kilo') and slug = 'pt' $$, 402, 'feature_not_in_plan', 'and is not changed');

select * from finish();
rollback;
