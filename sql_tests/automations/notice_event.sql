-- notice_event: whoever waits for what happened gets one firing of it, and nothing about it can fail its caller.
begin;
select plan(9);
select tests.sign_in('coach@kilo.example');
insert into public.automations (org_id, name, enabled, trigger, conditions, actions, guardrails)
select tests.id('kilo'), n.name, n.enabled, jsonb_build_object('type', 'event', 'event', n.event), '[]', '[{"type": "notify_trainer", "params": {}}]', '{}'
  from (values ('Chase', true, 'payment_failed'), ('Chase too', true, 'payment_failed'), ('Off', false, 'payment_failed'), ('Thank', true, 'booking_completed')) as n (name, enabled, event);
select tests.as_owner();
create function pg_temp.fired() returns text language sql as $$
  select coalesce(string_agg(a.name || ' ' || f.event_key, ', ' order by a.name, f.event_key), '') from public.automation_firings as f
    join public.automations as a on a.org_id = f.org_id and a.id = f.automation_id;
$$;
select private.notice_event(:'kilo', 'payment_failed', :'kilo_client', 'in_1');
select is(pg_temp.fired(), 'Chase payment_failed-in_1, Chase too payment_failed-in_1', 'each that is on and waits for it gets a firing');
select private.notice_event(:'kilo', 'payment_failed', :'kilo_client', 'in_1', now() + interval '1 hour');
select is((select count(*) from public.automation_firings), 2::bigint, 'the same key again adds none');
select private.notice_event(:'kilo', 'payment_failed', :'kilo_client', 'in_2');
select is((select count(*) from public.automation_firings), 4::bigint, 'another key does');
select private.notice_event(:'kilo', 'booking_completed', :'kilo_client', 'in_1');
select is((select count(*) from public.automation_firings where event = 'booking_completed'), 1::bigint, 'a key is of its event');
select private.notice_event(:'kilo', 'payment_failed', :'kilo_client', 'in_0', now() - interval '1 hour');
select is((select count(*) from public.automation_firings), 5::bigint, 'what happened before it was switched on starts nothing');
select lives_ok($$ select private.notice_event(tests.id('kilo'), 'payment_failed', tests.id('lima_client'), 'x'), private.notice_event(tests.id('kilo'), 'payment_failed', gen_random_uuid(), 'x'),
  private.notice_event(gen_random_uuid(), 'payment_failed', tests.id('kilo_client'), 'x'), private.notice_event(tests.id('kilo'), 'no_such', tests.id('kilo_client'), 'x'),
  private.notice_event(tests.id('kilo'), null, null, null) $$, 'nobody''s client, another''s, an unknown event: nothing fails');
select is((select count(*) from public.automation_firings), 5::bigint, 'and nothing fires');
update public.automations set enabled = false;
update public.automations set enabled = true;
select private.notice_event(:'kilo', 'payment_failed', :'kilo_client', 'in_3', now() - interval '1 second');
select is((select count(*) from public.automation_firings), 5::bigint, 'what happened while it was off does not count once it is on');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select private.notice_event(tests.id('kilo'), 'payment_failed', tests.id('kilo_client'), 'y') $$, 'nobody signed in makes events up');
select * from finish();
rollback;
