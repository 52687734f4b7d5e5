-- sms_templates and sms_schedules: members write them as the apps do; a text that cannot be sent as meant is refused when it is saved.
begin;
select plan(36);
select tests.open_studio();

-- The marketing page: retire the key, insert the next, all without a version.
select tests.sign_in('coach@kilo.example');
insert into public.sms_templates (org_id, template_key, name, description, body, is_active) values (:'kilo', 'spring', 'Spring', null, 'Hi {{client_name}}', true) returning id as first \gset
update public.sms_templates set is_active = false where org_id = :'kilo' and template_key = 'spring';
insert into public.sms_templates (org_id, template_key, name, description, body, is_active) values (:'kilo', 'spring', 'Spring', 'New', 'Dear { first_name }', true);
select is((select string_agg(concat_ws(' ', version, is_active, variables_schema), ', ' order by version) from public.sms_templates), '1 f ["client_name"], 2 t ["first_name"]', 'a key counts its versions, and says what it uses');
select tests.forbids(format($$ update public.sms_templates set %I = %1$I $$, t), format('%s of a version stays', t)) from unnest(array['body', 'version', 'template_key', 'org_id', 'variables_schema']) as t;
select tests.forbids($$ delete from public.sms_templates $$, 'none is deleted');
select tests.forbids($$ insert into public.sms_templates (org_id, template_key, name, body, version) values (tests.id('kilo'), 'x', 'x', 'x', 7) $$, 'no app numbers them');
select tests.refuses(format($$ insert into public.sms_templates (org_id, template_key, name, body) values (tests.id('kilo'), %L, %L, %L) $$, t.key, t.name, t.body), 422, t.slug, t.title) from (values
  ('booking_reminder', 'x', 'Hi {nickname}', 'placeholder_unknown', 'an unknown placeholder'), ('booking_reminder', 'x', 'Pay {link}', 'placeholder_unknown', 'one of another kind'), ('booking_reminder', 'x', 'Hi {first_name', 'placeholder_malformed', 'one that is not closed'),
  ('booking_reminder', 'x', 'Reply CANCEL to cancel', 'template_invites_cancel', 'an invitation to CANCEL'), ('Booking Reminder', 'x', 'Hi', 'value_not_allowed', 'a key that is none'), ('ok', ' ', 'Hi', 'value_not_allowed', 'no name'), ('ok', 'x', ' ', 'value_not_allowed', 'no words'),
  ('ok', 'x', repeat('x', 1601), 'value_not_allowed', 'too many'), ('ok', 'x', null, 'value_missing', 'none at all'), (null, 'x', 'x', 'value_missing', 'no key')) as t (key, name, body, slug, title);

-- The settings page.
insert into public.sms_schedules (org_id, type, label, mins_offset, body, enabled, sort_order) values (:'kilo', 'pre_session', 'A day before', 1440, 'See you {session_datetime}{location}, {coach_name}', true, 0) returning id as schedule \gset
update public.sms_schedules set label = 'Two days', mins_offset = 2880, body = 'In two days, {client_name}', enabled = false, updated_at = '2031-01-01' where id = :'schedule';
select is((label, mins_offset, enabled, updated_at)::text, ('Two days', 2880, false, '2031-01-01'::timestamptz)::text, 'a schedule is edited') from public.sms_schedules;
update public.sms_schedules set sort_order = 3 where id = :'schedule';
select is(updated_at, now(), 'who sends no time gets the present one') from public.sms_schedules;
select tests.refuses(format($$ insert into public.sms_schedules (org_id, type, label, mins_offset, body) values (tests.id('kilo'), %L, 'x', %s, %L) $$, t.type, t.mins, t.body), 422, t.slug, t.title) from (values
  ('pre_session', 0, 'x', 'value_not_allowed', 'some minutes before'), ('pre_session', 20161, 'x', 'value_not_allowed', 'two weeks at most'), ('during', 5, 'x', 'value_not_allowed', 'before or after'),
  ('pre_session', 5, 'Hi {previous_datetime}', 'placeholder_unknown', 'a placeholder of another kind'), ('post_session', 5, 'Text CANCEL', 'template_invites_cancel', 'an invitation to CANCEL')) as t (type, mins, body, slug, title);
insert into public.sms_schedules (org_id, type, label, mins_offset, body) values (:'kilo', 'post_session', 'After', 90, '{feedback_link} {sessions_remaining} {sessions_booked} {session_summary}');
select tests.forbids($$ update public.sms_schedules set type = 'pre_session' $$, 'before stays before');
select tests.forbids($$ update public.sms_schedules set org_id = tests.id('lima') $$, 'and here');
delete from public.sms_schedules where id = :'schedule';
select is((select count(*) from public.sms_schedules), 1::bigint, 'and is deleted');
select is((select string_agg(distinct subject_type, ' ') from public.audit_log where org_id = :'kilo' and subject_type like 'sms_%'), 'sms_schedules sms_templates', 'all is audited');

-- Roles.
select tests.sign_in('desk@kilo.example');
select is((select count(*) from public.sms_schedules) + (select count(*) from public.sms_templates), 3::bigint, 'the desk reads them');
select tests.forbids($$ insert into public.sms_templates (org_id, template_key, name, body) values (tests.id('kilo'), 'x', 'x', 'x') $$, 'and writes no template');
select tests.forbids($$ insert into public.sms_schedules (org_id, type, label, body) values (tests.id('kilo'), 'pre_session', 'x', 'x') $$, 'nor a schedule');
select tests.changes_nothing($$ update public.sms_templates set is_active = true $$, 'nor changes one');
select tests.changes_nothing($$ update public.sms_schedules set enabled = false $$, 'of either');
select tests.changes_nothing($$ delete from public.sms_schedules $$, 'nor deletes one');
select tests.sign_in('client@kilo.example');
select is((select count(*) from public.sms_schedules) + (select count(*) from public.sms_templates), 0::bigint, 'a client sees none');

select * from finish();
rollback;
