-- Brakes: one kind of work stopped for everybody or for one organisation, with a reason, audited once each way.
begin;
select plan(31);

create function pg_temp.braked(p_kind text) returns text language sql as $$
  select concat_ws(' ', case when private.is_braked(p_kind) then 'all' end, case when private.is_braked(p_kind, tests.id('kilo')) then 'kilo' end,
                   case when private.is_braked(p_kind, tests.id('lima')) then 'lima' end);
$$;
create function pg_temp.act(p_action text, p_kind text, p_reason text, p_org_id uuid default null, p_banner text default null)
returns boolean language sql as $$
  select coalesce((a ->> 'is_changed')::boolean, false)
    from service.act(p_action, jsonb_build_object('kind', p_kind, 'reason', p_reason, 'org_id', p_org_id, 'banner', p_banner)) as a;
$$;
-- The slug of a refusal: an operator's is returned, not raised.
create function pg_temp.slug(p_action text, p_args jsonb) returns text language sql as $$
  select service.act(p_action, p_args) ->> 'details';
$$;
grant execute on all functions in schema pg_temp to public;

select is(pg_temp.braked('sms'), '', 'nothing is braked to begin with');
select tests.as_service();
select ok(pg_temp.act('pull_brake', 'sms', 'the carrier complains', :'kilo', 'Texts are paused.'), 'a brake is pulled for one organisation');
select ok(not pg_temp.act('pull_brake', 'sms', 'once more', :'kilo'), 'pulling it again pulls nothing');
select tests.as_owner();
select is(pg_temp.braked('sms'), 'kilo', 'it holds there, and for nobody else');
select is(pg_temp.braked('email'), '', 'and for no other kind');
select is(private.braked_orgs('sms'), array[:'kilo'::uuid], 'a sweep is told which organisations to leave out');
select is(private.braked_orgs('email'), '{}', 'and none where there are none');
select tests.refuses($$ select private.require_unbraked('sms', tests.id('kilo')) $$, 423, 'brake_on', 'who asks there is refused');
select lives_ok($$ select private.require_unbraked('sms', tests.id('lima')) $$, 'who asks elsewhere is not');
select is((reason, banner), ('the carrier complains'::text, 'Texts are paused.'::text), 'the first reason stays') from private.brakes;
select results_eq($$ select action, subject_type, after, reason, actor_role from public.audit_log
                      where org_id = tests.id('kilo') and subject_type = 'brakes' order by happened_at $$,
                  $$ values ('pull_brake', 'brakes', '{"kind": "sms"}'::jsonb, 'the carrier complains', 'service_role'),
                            ('pull_brake', 'brakes', '{"kind": "sms"}', 'once more', 'service_role') $$,
                  'an audit row of each in the organisation''s log, with the reason');

select tests.as_service();
select ok(pg_temp.act('pull_brake', 'sms', 'the provider is down'), 'a brake for everybody, beside it');
select tests.as_owner();
select is(pg_temp.braked('sms'), 'all kilo lima', 'it holds for all');
select tests.as_service();
select ok(pg_temp.act('release_brake', 'sms', 'it is up again'), 'it is released');
select tests.as_owner();
select is(pg_temp.braked('sms'), 'kilo', 'and the organisation''s own stays');
select is(private.braked_orgs('sms'), array[:'kilo'::uuid], 'which the sweeps still leave out');
select results_eq($$ select action, reason from private.platform_audit_log where subject_type = 'brakes' order by happened_at $$,
                  $$ values ('pull_brake', 'the provider is down'), ('release_brake', 'it is up again') $$,
                  'both are in the platform''s log');
select tests.as_service();
select results_eq($$ select b ->> 'kind', b ->> 'slug', b ->> 'reason' from jsonb_array_elements(service.act('list_brakes')) as b $$,
                  $$ values ('sms', 'kilo', 'the carrier complains') $$, 'the list shows what is on');
select ok(pg_temp.act('release_brake', 'sms', 'settled', :'kilo'), 'the organisation''s is released');
select ok(not pg_temp.act('release_brake', 'sms', 'settled', :'kilo'), 'releasing it again releases nothing');
select tests.as_owner();
select is(pg_temp.braked('sms'), '', 'nothing is braked any more');
select is((before, reason), ('{"kind": "sms"}'::jsonb, 'settled'::text), 'the release is audited with its reason')
  from public.audit_log where action = 'release_brake' order by happened_at limit 1;

select tests.as_service();
select is(pg_temp.slug('pull_brake', '{"kind": "everything", "reason": "why"}'), 'value_not_allowed', 'there is no such kind');
select is(pg_temp.slug('pull_brake', '{"reason": "why"}'), 'value_not_allowed', 'a kind must be named');
select is(pg_temp.slug('release_brake', '{"kind": "everything", "reason": "why"}'), 'value_not_allowed', 'also to release it');
select is(pg_temp.slug('pull_brake', '{"kind": "sms", "reason": " "}'), 'reason_missing', 'a reason must be given');
select is(pg_temp.slug('release_brake', '{"kind": "sms"}'), 'reason_missing', 'both ways');
select is(pg_temp.slug('pull_brake', '{"kind": "sms", "reason": "why", "org_id": "00000000-0000-0000-0000-000000000001"}'), 'org_not_found',
          'for an organisation that exists');
select is(pg_temp.slug('release_brake', '{"kind": "sms", "reason": "why", "org_id": "00000000-0000-0000-0000-000000000001"}'), 'org_not_found',
          'both ways');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select service.act('pull_brake', '{}') $$, 'no member pulls one');
select tests.forbids($$ select private.is_braked('sms') $$, 'nor asks by the rule itself');

select * from finish();
rollback;
