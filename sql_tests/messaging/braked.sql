-- A brake on a channel: its messages stay due and are not claimed, others go; released, they go by themselves.
begin;
select plan(9);
select tests.open_messaging();
create function pg_temp.brake(p_action text, p_kind text, p_org_id uuid default null) returns boolean language sql as $$
  select (service.act(p_action, jsonb_build_object('kind', p_kind, 'org_id', p_org_id, 'reason', 'a test')) ->> 'is_changed')::boolean $$;

select tests.queue('text'), tests.queue('mail', p_channel => 'email');
select ok(pg_temp.brake('pull_brake', 'sms'), 'texts are stopped for everybody');
select is(tests.claim(), 'mail', 'emails go on');
select is((tests.standing('text'), next_at <= now())::text, '(queued,t)', 'a text stays due') from public.outbox_messages where id = tests.id('text');
select ok(pg_temp.brake('pull_brake', 'sms', :'kilo'), 'for the organisation, too');
select ok(pg_temp.brake('release_brake', 'sms'), 'released for everybody');
select is(tests.claim(), '', 'the organisation''s own brake still holds');
select ok(pg_temp.brake('release_brake', 'sms', :'kilo'), 'released there');
select is(tests.claim(), 'text', 'it goes by itself');
select tests.queue('pushed', p_channel => 'push');
update public.orgs set blocked_at = now() where id = :'kilo';
select is(tests.claim(), '', 'nothing of a blocked organisation is claimed');

select * from finish();
rollback;
