-- audit: every write that changes a rule leaves who, what, which columns, and of the listed ones the values; never another value.
begin;
select plan(43);

create function pg_temp.last_audit(p_type text) returns text language sql as $$
  select format('%s by %s: %s', action,
                coalesce((select n.name from tests.names as n where n.id = a.actor_id), a.actor_role),
                array_to_string(changed_columns, ', '))
    from public.audit_log as a where a.subject_type = p_type order by a.happened_at desc limit 1;
$$;
create function pg_temp.audits() returns bigint language sql as $$ select count(*) from public.audit_log $$;
grant execute on function pg_temp.last_audit(text), pg_temp.audits() to public;

select tests.sign_in('manager@kilo.example');
update public.orgs set name = 'Kilo Fit', waiver_template = 'secret text' where id = :'kilo';
select is(pg_temp.last_audit('orgs'), 'update by kilo_manager: name, waiver_template',
          'an organisation that is changed');
update public.branding set display_name = 'Kilo Fit' where org_id = :'kilo';
select is(pg_temp.last_audit('branding'), 'update by kilo_manager: display_name', 'its branding');
update public.booking_settings set timezone = 'Europe/Berlin', no_show_policy = 'charge' where org_id = :'kilo';
select is(pg_temp.last_audit('booking_settings'), 'update by kilo_manager: no_show_policy, timezone',
          'its booking settings');
select is(subject_id, (select id from public.booking_settings where org_id = :'kilo'), 'with the row that was changed')
  from public.audit_log where subject_type = 'booking_settings' order by happened_at desc limit 1;
insert into public.offers (org_id, name, offer_type, price_cents) values (:'kilo', 'Secret', 'single_session', 1)
  returning id as offer \gset
select is(pg_temp.last_audit('offers'), 'insert by kilo_manager: ', 'an offer that is made');
update public.offers set price_cents = 2 where id = :'offer';
select is(pg_temp.last_audit('offers'), 'update by kilo_manager: price_cents', 'and priced');
delete from public.offers where id = :'offer';
select is(pg_temp.last_audit('offers'), 'delete by kilo_manager: ', 'and deleted');
insert into public.promo_codes (org_id, code, discount_type, discount_value) values (:'kilo', 'HALF', 'percentage', 50)
  returning id as promo \gset
select is(pg_temp.last_audit('promo_codes'), 'insert by kilo_manager: ', 'a promo code that is made');
update public.promo_codes set discount_value = 60 where id = :'promo';
select is(pg_temp.last_audit('promo_codes'), 'update by kilo_manager: discount_value', 'and changed');
insert into public.session_types (org_id, name, slug) values (:'kilo', 'PT', 'pt');
select is(pg_temp.last_audit('session_types'), 'insert by kilo_manager: ', 'a session type that is made');
update public.client_purchases set payment_status = 'refunded' where id = :'kilo_package';
select is(pg_temp.last_audit('client_purchases'), 'update by kilo_manager: payment_status',
          'a package that is refunded');
update public.client_purchases set payment_status = 'succeeded', expires_at = now() + interval '1 year'
  where id = :'kilo_package';
select is(pg_temp.last_audit('client_purchases'), 'update by kilo_manager: expires_at, payment_status',
          'or given another expiry');
select freeze_package(:'kilo_package') is not null as frozen \gset
select is(pg_temp.last_audit('client_purchases'), 'update by kilo_manager: frozen_periods', 'or frozen');
select unfreeze_package(:'kilo_package') is not null as thawed \gset
select is(pg_temp.last_audit('client_purchases'), 'update by kilo_manager: expires_at, frozen_periods', 'and unfrozen');
select tests.as_service();
select service.set_member(:'kilo', 'desk@kilo.example', 'coach');
select is(pg_temp.last_audit('org_members'), 'update by service_role: role', 'a role that an operator gives');
select service.set_member(:'kilo', 'nobody@nowhere.example', 'coach');
select is(pg_temp.last_audit('org_members'), 'insert by service_role: ', 'a member that joins');
select service.remove_member(:'kilo', 'nobody@nowhere.example');
select is(pg_temp.last_audit('org_members'), 'delete by service_role: ', 'and leaves');
select service.set_member(:'kilo', 'desk@kilo.example', 'front_desk');
select tests.as_owner();
update public.orgs set commission_rate = 0.1 where id = :'kilo';
select is(pg_temp.last_audit('orgs'), 'update by postgres: commission_rate', 'what the database''s owner changes');

-- What changes no rule.
select pg_temp.audits() as before \gset
select tests.sign_in('coach@kilo.example');
select use_session(:'kilo_package') as used,
  sell_package(:'kilo_client', :'kilo_offer', p_promo_code_id => :'promo') is not null as sold \gset
select tests.as_owner();
select is(pg_temp.audits(), :before::bigint, 'a session taken and a code used are in their own ledgers');
update public.branding set updated_at = now(), display_name = display_name where org_id = :'kilo';
select is(pg_temp.audits(), :before::bigint, 'a form saved as it was is no change');
select tests.sign_in('desk@kilo.example');
select tests.refusal_of($$ update public.client_purchases set expires_at = now()
                           where id = tests.id('kilo_package') $$) is not null as refused \gset
select tests.as_owner();
select is(count(*), 0::bigint, 'what did not happen is not written') from public.audit_log
  where actor_id = tests.id('kilo_desk') and subject_type = 'client_purchases';

-- Values of the listed columns, names of the others.
select is_empty($$ select a::text from public.audit_log as a where a::text ~* 'secret|half|kilo|@' $$,
                'no row of it holds a value of any other column');
select is(before || after, '{"timezone": "Europe/Berlin", "no_show_policy": "charge"}', 'a listed setting is kept before and after')
  from public.audit_log where subject_type = 'booking_settings' and action = 'update' order by happened_at desc limit 1;
select is(before, '{"timezone": "Australia/Brisbane", "no_show_policy": "free"}', 'as it was')
  from public.audit_log where subject_type = 'booking_settings' and action = 'update' order by happened_at desc limit 1;
select is(after, null, 'a change of unlisted columns alone keeps no values')
  from public.audit_log where subject_type = 'branding' order by happened_at desc limit 1;

-- record_audit: what an RPC did, with what it rests on.
select set_config('request.headers', '{"x-request-id": "r-17"}', true) is not null as given \gset
select private.record_audit(:'kilo', 'change_offer', 'offers', :'kilo_offer',
  '{"price_cents": 1, "name": "Secret"}', '{"price_cents": 2, "name": "Secret two", "is_active": true}', 'a typing error');
select is((action, subject_id, changed_columns, before, after, reason, refused, request_id),
          ('change_offer'::text, :'kilo_offer'::uuid, '{is_active,name,price_cents}'::text[], '{"price_cents": 1}'::jsonb,
           '{"price_cents": 2, "is_active": true}'::jsonb, 'a typing error'::text, null::text, 'r-17'::text),
          'one row: the names of all that changed, the values of what may be kept, the reason, the request')
  from public.audit_log order by happened_at desc limit 1;
select set_config('request.headers', '', true) is not null as taken \gset
select private.record_audit(null, 'change_platform', 'nothing_listed', null, null, '{"email": "secret@kilo.example"}');
select is((actor_role, action, changed_columns, after), ('postgres'::text, 'change_platform'::text, '{email}'::text[], null::jsonb),
          'without an organisation it is the platform''s; a type that lists nothing keeps nothing')
  from private.platform_audit_log order by happened_at desc limit 1;
select is_empty($$ select a::text from public.audit_log as a where a::text ~* 'secret' $$, 'no secret came in by this door');
select tests.refuses($$ update private.platform_audit_log set action = 'x' $$, 403, 'ledger_append_only', 'the platform''s log is not changed');
select tests.refuses($$ delete from private.platform_audit_log $$, 403, 'ledger_append_only', 'nor emptied');
select tests.refuses($$ truncate private.platform_audit_log $$, 403, 'ledger_append_only', 'in no way');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select from private.platform_audit_log $$, 'no member reads the platform''s log');
select tests.forbids($$ select private.record_audit(tests.id('kilo'), 'x', 'x', null) $$, 'nor writes a row');
select tests.as_service();
select tests.forbids($$ select private.record_audit(tests.id('kilo'), 'x', 'x', null) $$, 'nor does the service by itself');
select tests.as_owner();

-- Who reads it.
select tests.sign_in('manager@kilo.example');
select cmp_ok(count(*), '>', 0::bigint, 'a manager reads it') from public.audit_log where org_id = :'kilo';
select is(count(*), 0::bigint, 'of their own organisation') from public.audit_log where org_id <> :'kilo';
select tests.sign_in('desk@kilo.example');
select is_empty($$ select from public.audit_log $$, 'a role without audit.read does not');
select tests.sign_in('coach@lima.example');
select is_empty($$ select from public.audit_log where org_id = tests.id('kilo') $$,
                'nor does another organisation''s owner');
select tests.sign_out();
select tests.forbids($$ select from public.audit_log $$, 'nor a visitor');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ insert into public.audit_log (org_id, actor_role, action, subject_type)
                        values (tests.id('kilo'), 'x', 'x', 'x') $$, 'nobody writes into it');
select tests.forbids($$ update public.audit_log set actor_id = null $$, 'nor over it');
select tests.forbids($$ delete from public.audit_log $$, 'nor takes from it');
select tests.forbids($$ truncate public.audit_log $$, 'nor empties it');

select * from finish();
rollback;
