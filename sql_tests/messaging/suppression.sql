-- Suppressed numbers: a coach may add one and take back what a coach wrote; an opt-out is lifted by the person alone.
begin;
select plan(23);
select tests.open_studio();
update public.clients set phone = '0400 111 222' where org_id = :'kilo' and id = tests.id('ann');

select tests.sign_in('desk@kilo.example');
select suppress_phone(tests.id('ann'), 'Asked at the desk');
select suppress_phone(tests.id('ann'), 'Again');
select is((phone, reason, source, notes, client_id)::text, ('+61400111222', 'manual', 'coach', 'Asked at the desk', tests.id('ann'))::text, 'a client''s number, with why; once') from public.sms_suppression;
select tests.refuses($$ select suppress_phone(tests.id('ben')) $$, 409, 'phone_missing', 'who has no number needs none');
select tests.refuses($$ select suppress_phone(tests.id('lima_client')) $$, 404, 'client_not_found', 'another organisation''s client does not exist');
select tests.only_for_members($$ select suppress_phone(tests.id('ann')) $$, 'client_not_found', 'accountant@kilo.example', 'suppress_phone');

select tests.sign_in('desk@kilo.example');
select tests.changes_nothing($$ delete from public.sms_suppression $$, 'the desk, which keeps no settings, takes none back');
select tests.forbids($$ insert into public.sms_suppression (org_id, phone, reason) values (tests.id('kilo'), '+61400000009', 'manual') $$, 'numbers come by suppress_phone');
select tests.forbids($$ update public.sms_suppression set reason = 'manual' $$, 'nobody changes a reason');
select tests.sign_in('coach@lima.example');
select tests.changes_nothing($$ delete from public.sms_suppression $$, 'another organisation takes none back');
select tests.sign_in('coach@kilo.example');
delete from public.sms_suppression;
select is((select count(*) from public.sms_suppression), 0::bigint, 'a coach does');
select tests.as_owner();
insert into public.sms_suppression (org_id, phone, reason) values (:'kilo', '+61400000001', 'opt_out'), (:'kilo', '+61400000002', 'carrier_violation'), (:'kilo', '+61400000003', 'invalid_number'), (:'kilo', '+61400000004', 'manual');
select tests.sign_in('coach@kilo.example');
delete from public.sms_suppression;
select is((select string_agg(reason, ', ' order by reason) from public.sms_suppression), 'carrier_violation, opt_out', 'but neither an opt-out nor what the carrier forbids');
select is((select count(*) from public.audit_log where subject_type = 'sms_suppression' and org_id = :'kilo'), 8::bigint, 'each is audited');

-- An opt-out outlives what was written before it.
select tests.as_owner();
select private.suppress(:'kilo', t.phone, t.reason) from (values ('+61400000005', 'invalid_number'), ('+61400000005', 'opt_out'), ('+61400000001', 'invalid_number'), ('+61400000006', 'manual'), ('+61400000006', 'carrier_violation')) as t (phone, reason);
select is((select string_agg(right(phone, 1) || ' ' || reason, ', ' order by phone) from public.sms_suppression), '1 opt_out, 2 carrier_violation, 5 opt_out, 6 manual', 'the first reason stays, but for an opt-out');
select is(private.is_suppressed(:'kilo', t), true, format('%s is that number', t)) from unnest(array['0400 000 001', '+61400000001', '+61 (0)400 000 001', '61400000001']) as t;
select is(private.is_suppressed(:'lima', '+61400000001'), false, 'of another organisation it is not suppressed');
select is(private.is_suppressed(:'kilo', null), false, 'nor is none');

select * from finish();
rollback;
