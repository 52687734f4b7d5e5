-- automation_preview and run_automation for members: what would happen, and making it happen, in one's own organisation.
begin;
select plan(23);
select tests.open_studio();
select tests.sign_in('coach@kilo.example');
insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
values (:'kilo', 'Weekly', '{"type": "schedule", "schedule": "weekly", "day_of_week": 2, "time": "22:00"}', '[{"field": "sessions_remaining", "operator": "<", "value": 5}]',
        '[{"type": "send_message", "params": {"message": "Hi {first_name}"}}]', '{"quiet_hours_start": 21, "quiet_hours_end": 8, "dedupe_hours": 48}') returning id as weekly \gset
select tests.remember('weekly', :'weekly');
select automation_preview(:'weekly') as shown \gset
select is(jsonb_array_length(:'shown'::jsonb -> 'next'), 5, 'the next five due times');
select ok((select bool_and((n ->> 'local')::timestamp::time = '22:00' and extract(dow from (n ->> 'local')::timestamp) = 2 and (n ->> 'fires_at')::timestamptz = (n ->> 'due_at')::timestamptz + interval '10 hours')
            from jsonb_array_elements(:'shown'::jsonb -> 'next') as n), 'by the clock, and when quiet hours let each happen');
select ok((select (:'shown'::jsonb -> 'next' -> 0 ->> 'due_at')::timestamptz = next_run_at from public.automations where id = :'weekly'), 'the first is what is planned');
select is((select string_agg(c ->> 'full_name', ', ') from jsonb_array_elements(:'shown'::jsonb -> 'audience' -> 'clients') as c), 'Ann, Ben', 'today''s audience');
select is(:'shown'::jsonb -> 'actions' -> 0 ->> 'channel', 'thread', 'and how');
select matches(:'shown'::jsonb -> 'actions' -> 0 ->> 'text', '^Hi (Ann|Ben)$', 'in the words one of them would read');
select is((select count(*) from public.automation_firings) + (select count(*) from public.automation_runs) + (select count(*) from public.messages), 0::bigint, 'nothing has happened');
select tests.as_owner();
select service.run_automation(:'weekly', tests.id('ann'), p_now => tests.at(0, '12:00'));
select is(service.automation_preview(:'weekly', tests.at(1, '12:00')) -> 'audience' ->> 'skipped', '{"dedupe": 1}', 'who would be left out, and why');
select is(service.automation_preview(:'weekly', tests.at(1, '12:00')) -> 'audience' ->> 'would_fire', '1', 'and who not');
insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
values (:'kilo', 'Event', '{"type": "event", "event": "risk_red"}', '[]', '[{"type": "notify_trainer"}]', '{}') returning id as event \gset
select is(service.automation_preview(:'event') -> 'next', '[]'::jsonb, 'an event has no due times');

select tests.sign_in('coach@kilo.example');
select is(run_automation(:'event', tests.id('ben'), gen_random_uuid()) ->> 'ok', '1', 'a coach runs one by hand');
select tests.remember('event', :'event');
select tests.sign_in('desk@kilo.example');
select isnt(automation_preview(:'event'), null, 'a front desk may look');
select tests.refuses($$ select run_automation(tests.id('event'), tests.id('ben')) $$, 403, 'permission_missing', 'and not run');
select tests.forbids($$ insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
  values (tests.id('kilo'), 'x', '{"type": "event", "event": "risk_red"}', '[]', '[{"type": "notify_trainer"}]', '{}') $$, 'nor make one');
select tests.changes_nothing($$ update public.automations set enabled = false $$, 'nor switch one');
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select automation_preview(tests.id('event')) $$, 404, 'automation_not_found', 'another organisation''s does not exist');
select tests.refuses($$ select run_automation(tests.id('event'), tests.id('lima_client')) $$, 404, 'automation_not_found', 'nor runs');
select tests.sign_in('client@kilo.example');
select is((select count(*) from public.automations) + (select count(*) from public.automation_runs), 0::bigint, 'a client sees none');
select tests.refuses($$ select run_automation(tests.id('event'), tests.id('ben')) $$, 404, 'automation_not_found', 'and runs none');
select tests.sign_out();
select tests.forbids($$ select automation_preview(tests.id('event')) $$, 'a visitor neither');

-- A brake stops firing at once, and loses nothing.
select tests.as_owner();
select private.notice_event(:'kilo', 'risk_red', tests.id('ann'), 'x');
insert into private.brakes (kind, org_id, reason) values ('automations', :'kilo', 'Test');
select is((select s.fired from service.sweep_automations() as s), 0, 'a brake holds what is due');
select tests.refuses($$ select service.run_automation(tests.id('event'), tests.id('ann')) $$, 423, 'brake_on', 'and what is run by hand');
delete from private.brakes;
select is((select s.ok from service.sweep_automations() as s), 1, 'which happens when it is let go');
select * from finish();
rollback;
