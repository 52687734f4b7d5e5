-- Templates: what cannot be sent as meant is refused when it is saved; each saving is a version, and the newest active one is used.
begin;
select plan(26);
select tests.open_messaging();
create function pg_temp.save(p_body text, p_key text default 'booking_reminder') returns void language sql as $$
  insert into public.sms_templates (org_id, template_key, name, body) values (tests.id('kilo'), p_key, 'Ours', p_body) $$;
grant execute on function pg_temp.save(text, text) to public;
select tests.sign_in('coach@kilo.example');
select lives_ok($$ select pg_temp.save('Hi {{first_name}}, {session_datetime} with {coach_name}{location}. Y or R?') $$, 'known placeholders, in either kind of braces');
select is(variables_schema, '["coach_name", "first_name", "location", "session_datetime"]'::jsonb, 'are listed') from public.sms_templates;
select tests.refuses($$ select pg_temp.save('Hi {surname}') $$, 422, 'placeholder_unknown', 'an unknown one is refused');
select tests.refuses($$ select pg_temp.save('Hi {first_name}, see {link}') $$, 422, 'placeholder_unknown', 'one of another kind of message too');
select lives_ok($$ select pg_temp.save('Hi {first_name}, see {link}', 'portal_link') $$, 'which that kind may use');
select lives_ok($$ select pg_temp.save('Hi {first_name}, {session_count} of them, {link}', 'spring_offer') $$, 'a name of its own may use all');
select tests.refuses(format('select pg_temp.save(%L)', b), 422, 'placeholder_malformed', format('%s is refused', b))
  from unnest(array['Hi {first_name', 'Hi first_name}', 'Hi {}', 'Hi {first name}']) as b;
select tests.refuses(format('select pg_temp.save(%L)', b), 422, 'template_invites_cancel', format('refused: %s', b))
  from unnest(array['Reply CANCEL to cancel', 'Reply Y to confirm, R to reschedule or CANCEL if you cannot come', 'text us "cancel"', 'Respond with cancel',
                    'reply Y, or cancel to cancel']) as b;
select lives_ok(format('select pg_temp.save(%L)', b), format('allowed: %s', b))
  from unnest(array['Reply Y to confirm or R to reschedule. You may cancel until a day before.', 'Text us if you need to cancel.']) as b;
select tests.refuses($$ insert into public.sms_schedules (org_id, type, label, body) values (tests.id('kilo'), 'pre_session', 'Day before', 'Hi {link}') $$,
                     422, 'placeholder_unknown', 'a schedule''s text is checked the same way');
select tests.refuses($$ insert into public.sms_schedules (org_id, type, label, body) values (tests.id('kilo'), 'post_session', 'After', 'Reply CANCEL to stop') $$,
                     422, 'template_invites_cancel', 'also for that');
select is(array_agg(version order by version), array[1, 2, 3], 'each saving of a key is a version, from one without a gap') from public.sms_templates where template_key = 'booking_reminder';
select lives_ok($$ insert into public.sms_templates (org_id, template_key, name, body) values (tests.id('kilo'), 'booking_reminder', 'Ours', 'Newest {first_name}') $$,
                'the app''s own insert, which knows nothing of versions');
select tests.as_owner();
select tests.queue('told', 'booking_reminder', p_booking => 'kilo_booking');
select is((private.compose(m)).body, 'Newest Ann', 'the newest is used') from public.outbox_messages as m where id = tests.id('told');
update public.sms_templates set is_active = false where version = 4 and template_key = 'booking_reminder';
select is((private.compose(m)).body, 'Text us if you need to cancel.', 'of those that are active') from public.outbox_messages as m where id = tests.id('told');
update public.sms_templates set is_active = false;
select matches((private.compose(m)).body, '^Hi Ann, a reminder of your session with', 'without any the kind''s own words') from public.outbox_messages as m where id = tests.id('told');
select is(version, 1, 'another organisation''s versions are its own')
  from (select 1) as x, lateral (select version from public.sms_templates where template_key = 'portal_link') as t;
select is(private.placeholders('{b} {{ a }} {b}'), '{a,b}', 'placeholders are found once each');
select * from finish();
rollback;
