-- sms_settings: an absent row means the defaults; members write how, never through whose account; the secret is nobody's to read.
begin;
select plan(45);
select tests.open_studio();

select is((private.sms_settings_of(:'kilo')).twilio_account_sid is null
          and to_jsonb(private.sms_settings_of(:'kilo')) - '{updated_at,twilio_account_sid,twilio_auth_token_encrypted,twilio_messaging_service_sid,twilio_phone_number}'::text[] = d.row, true, 'an absent row means the defaults')
  from (select jsonb_build_object('org_id', :'kilo') || jsonb_object_agg(a.attname, case a.attname when 'urgent_kinds' then '[]' else to_jsonb(pg_temp_default) end) as row
          from pg_attribute as a join pg_attrdef as f on f.adrelid = a.attrelid and f.adnum = a.attnum
         cross join lateral (select case when format_type(a.atttypid, null) = 'boolean' then to_jsonb(pg_get_expr(f.adbin, f.adrelid)::boolean)
                                         when format_type(a.atttypid, null) = 'integer' then to_jsonb(pg_get_expr(f.adbin, f.adrelid)::integer)
                                         else to_jsonb(split_part(pg_get_expr(f.adbin, f.adrelid), '''', 2)) end as pg_temp_default) as v
         where a.attrelid = 'public.sms_settings'::regclass and a.attname <> 'updated_at') as d;

-- The app's switch: one upsert.
create function pg_temp.switch(p_enabled boolean, p_org uuid default tests.id('kilo')) returns void language sql as $$
  insert into public.sms_settings (org_id, enabled) values (p_org, p_enabled) on conflict (org_id) do update set org_id = excluded.org_id, enabled = excluded.enabled $$;
grant execute on function pg_temp.switch(boolean, uuid) to public;
select tests.sign_in('coach@kilo.example');
select pg_temp.switch(false);
select is((select enabled from public.sms_settings), false, 'the app''s switch makes the row');
select pg_temp.switch(true);
select is((select enabled from public.sms_settings), true, 'and changes it');
select tests.as_owner();
select service.connect_twilio(:'kilo', 'AC' || repeat('1', 32), repeat('k', 40), 'MG' || repeat('1', 32), '+61480000001');
select tests.sign_in('coach@kilo.example');
select tests.forbids(format($$ select %I from public.sms_settings $$, t), format('a member does not read %s', t)) from unnest(array['twilio_account_sid', 'twilio_auth_token_encrypted']) as t;
select is((select twilio_phone_number from public.sms_settings), '+61480000001', 'but the number they send from');
select tests.forbids(format($$ update public.sms_settings set %I = %1$I $$, t), format('nor writes %s', t)) from unnest(array['twilio_account_sid', 'twilio_auth_token_encrypted', 'twilio_messaging_service_sid', 'twilio_phone_number']) as t;
select tests.refuses($$ update public.sms_settings set org_id = tests.id('lima') $$, 422, 'org_fixed', 'settings stay in their organisation');
select tests.refuses(format($$ update public.sms_settings set %s $$, t.change), 422, t.slug, t.title) from (values
  ('urgent_kinds = ''{marketing}''', 'urgent_kind_not_allowed', 'a kind that may not break quiet hours is refused'), ('urgent_kinds = ''{booking_cancelled,nothing}''', 'urgent_kind_not_allowed', 'so is one that does not exist'),
  ('quiet_hours_start = 24', 'value_not_allowed', 'an hour is one of the day'), ('quiet_hours_end = -1', 'value_not_allowed', 'likewise'), ('max_sms_per_hour = 0', 'value_not_allowed', 'a limit of none is enabled = false'),
  ('max_sms_per_client_per_day = 0', 'value_not_allowed', 'likewise'), ('low_package_sessions = 4', 'value_not_allowed', 'low is three at most'), ('locale = ''de-DE''', 'value_not_allowed', 'a locale that is written here'),
  ('enabled = null', 'value_missing', 'on or off')) as t (change, slug, title);
update public.sms_settings set urgent_kinds = '{booking_cancelled,booking_rescheduled,waitlist_offer}', quiet_hours_start = null, max_sms_per_hour = null, locale = 'en-NZ', phone_region = 'NZ';
select is(cardinality(urgent_kinds), 3, 'the rest is theirs to set') from public.sms_settings;
select is((select count(*) from public.audit_log where org_id = :'kilo' and subject_type = 'sms_settings'), 4::bigint, 'each change is audited');
select is_empty($$ select from public.audit_log as a where a::text ~ repeat('k', 40) $$, 'without the secret');

-- The region decides how numbers are read.
select tests.as_owner();
update public.clients set phone = '021 123 4567' where org_id = :'kilo' and id = tests.id('ann');
select is(phone_e164, '+64211234567', 'a number without a country code is of the region') from public.clients where id = tests.id('ann');
update public.sms_settings set phone_region = 'GB' where org_id = :'kilo';
select is(phone_e164, '+44211234567', 'and read anew when it changes') from public.clients where id = tests.id('ann');

select tests.sign_in('desk@kilo.example');
select tests.changes_nothing($$ update public.sms_settings set enabled = false $$, 'the desk keeps no settings');
select is((select count(*) from public.sms_settings), 1::bigint, 'but sees them');
select tests.sign_in('coach@lima.example');
select is((select count(*) from public.sms_settings), 0::bigint, 'another organisation does not');
select tests.forbids($$ select pg_temp.switch(false) $$, 'nor switches them');
select tests.sign_in('client@kilo.example');
select is((select count(*) from public.sms_settings), 0::bigint, 'nor does a client');
select tests.sign_out();
select tests.forbids($$ select enabled from public.sms_settings $$, 'nor a visitor');
select tests.as_service();
select tests.forbids($$ select twilio_auth_token_encrypted from public.sms_settings $$, 'the secret key reads no secret in a table');
select is((select enabled from public.sms_settings where org_id = :'kilo'), true, 'but whether they are on');

-- The operator's doors.
select is(service.twilio_secrets('AC' || repeat('1', 32)), array[repeat('k', 40)], 'the token, encrypted, for whoever has the key');
select is(service.twilio_secrets('AC' || repeat('9', 32)), '{}', 'none of an unknown account');
select service.connect_twilio(:'kilo', 'AC' || repeat('3', 32), repeat('n', 40), null, '+61480000003');
select tests.as_owner();
select is((twilio_account_sid, twilio_messaging_service_sid, twilio_phone_number, locale)::text, ('AC' || repeat('3', 32), null::text, '+61480000003', 'en-NZ')::text, 'connecting again replaces the account alone') from public.sms_settings where org_id = :'kilo';
select tests.as_service();
select service.disconnect_twilio(:'kilo');
select service.disconnect_twilio(:'lima');
select is(service.twilio_secrets('AC' || repeat('3', 32)), '{}', 'disconnecting forgets it');
select tests.refuses(format($$ select service.connect_twilio(%s) $$, t.arguments), t.status, t.slug, t.title) from (values
  ('gen_random_uuid(), ''AC'' || repeat(''1'', 32), repeat(''k'', 40), null, ''+61480000001''', 404, 'org_not_found', 'an unknown organisation has no account'),
  ('tests.id(''kilo''), ''MG'' || repeat(''1'', 32), repeat(''k'', 40), null, ''+61480000001''', 422, 'value_not_allowed', 'an account is Twilio''s'),
  ('tests.id(''kilo''), ''AC'' || repeat(''1'', 32), ''short'', null, ''+61480000001''', 422, 'value_not_allowed', 'a token is encrypted'),
  ('tests.id(''kilo''), ''AC'' || repeat(''1'', 32), null, null, ''+61480000001''', 422, 'value_not_allowed', 'and there'),
  ('tests.id(''kilo''), ''AC'' || repeat(''1'', 32), repeat(''k'', 40)', 422, 'value_not_allowed', 'it sends from a number or a service'),
  ('tests.id(''kilo''), ''AC'' || repeat(''1'', 32), repeat(''k'', 40), null, ''0480000001''', 422, 'value_not_allowed', 'a number is E.164'),
  ('tests.id(''kilo''), ''AC'' || repeat(''1'', 32), repeat(''k'', 40), ''XX''', 422, 'value_not_allowed', 'a service is Twilio''s')) as t (arguments, status, slug, title);
select tests.refuses($$ select service.disconnect_twilio(gen_random_uuid()) $$, 404, 'org_not_found', 'nor is there one to disconnect');

select * from finish();
rollback;
