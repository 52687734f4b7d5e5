-- Support access: a person of the platform is let in for a while, with a reason; they stay themselves, and high risk is refused.
begin;
select plan(65);

select tests.sign_up('helper@platform.example', 'helper'), tests.sign_up('other@platform.example', 'other'),
       tests.sign_up('reader@platform.example', 'reader');
insert into public.platform_admins (user_id, email, permissions)
values (tests.id('helper'), 'helper@platform.example', '{support.start}'), (tests.id('other'), 'other@platform.example', '{*}'),
       (tests.id('reader'), 'reader@platform.example', '{orgs.read}');

create function pg_temp.slug(p_answer jsonb) returns text language sql as $$ select p_answer ->> 'details' $$;
create function pg_temp.started() returns bigint language sql security definer as $$
  select count(*) from public.audit_log where action = 'start_support' and org_id = tests.id('kilo') $$;
grant execute on all functions in schema pg_temp to public;

-- Who may start one, and for what.
select tests.sign_in('reader@platform.example');
select is(pg_temp.slug(start_support_access(:'kilo', 'to look')), 'platform_permission_missing', 'a platform admin without support.start may not');
select tests.sign_in('coach@kilo.example');
select is(pg_temp.slug(start_support_access(:'kilo', 'to look')), 'platform_permission_missing', 'nor may a coach');
select tests.sign_in('helper@platform.example');
select is(pg_temp.slug(start_support_access(:'kilo', ' ')), 'reason_missing', 'a reason must be given');
select is(pg_temp.slug(start_support_access(:'kilo', 'to look', null, 4)), 'value_not_allowed', 'not for less than five minutes');
select is(pg_temp.slug(start_support_access(:'kilo', 'to look', null, 481)), 'value_not_allowed', 'nor for more than eight hours');
select is(pg_temp.slug(start_support_access(gen_random_uuid(), 'to look')), 'org_not_found', 'to an organisation that exists');
select is(pg_temp.slug(start_support_access(:'kilo', 'to look', :'lima_client')), 'client_not_found', 'and a client of it');
select tests.sign_out();
select tests.forbids($$ select start_support_access(tests.id('kilo'), 'to look') $$, 'a visitor may not even ask');
select tests.as_owner();
select is(count(*), 7::bigint, 'each of these refusals left one row in the platform''s log, with its slug')
  from private.platform_audit_log where action = 'start_support' and refused is not null;

-- An organisation may decline.
select tests.sign_in('coach@kilo.example');
update public.orgs set allows_support = false where id = :'kilo';
select tests.sign_in('helper@platform.example');
select is(pg_temp.slug(start_support_access(:'kilo', 'to look')), 'support_access_declined', 'an organisation that has said no is not entered');
select tests.sign_in('coach@kilo.example');
update public.orgs set allows_support = true where id = :'kilo';

-- Started: a membership that shows, says so, and is told.
select tests.sign_in('helper@platform.example');
select is_empty($$ select from public.clients $$, 'before, nothing of the organisation is seen');
select start_support_access(:'kilo', 'the calendar is empty') ->> 'id' as access \gset
select tests.remember('access', :'access');
select isnt_empty($$ select from public.clients where org_id = tests.id('kilo') $$, 'then it is');
select is_empty($$ select from public.clients where org_id <> tests.id('kilo') $$, 'of this organisation alone');
select is(role, 'support', 'the app finds its one membership, with the role support') from public.org_members;
select is(whoami() #>> '{support_access,0,reason}', 'the calendar is empty', 'whoami says so, for the banner');
select is(whoami() ->> 'active_org_id', :'kilo', 'and the app is in that organisation');
select is(pg_temp.started(), 1::bigint, 'one audit row, in the organisation''s own log');
select is(pg_temp.slug(start_support_access(:'kilo', 'again')), 'support_access_open', 'a second beside it is refused');
select tests.sign_in('coach@kilo.example');
select is(a.reason, 'the calendar is empty', 'the owner reads why, and by whom')
  from public.audit_log as a where a.action = 'start_support' and a.actor_id = tests.id('helper');
select is((kind, resolved_at is null), ('support_access_started'::text, true), 'an alert tells the organisation') from public.alerts;
select is((s.reason, s.ended_at is null), ('the calendar is empty'::text, true), 'the owner sees the access itself') from public.support_access as s;
select isnt_empty($$ select from list_members(tests.id('kilo')) where role = 'support' $$, 'and the person among the team');
select tests.as_owner();
select is(to_address, 'coach@kilo.example', 'and an email goes to each owner')
  from public.outbox_messages where kind = 'support_access' and org_id = :'kilo';
select ok(body like '%the calendar is empty%', 'with the reason')
  from public.outbox_messages where kind = 'support_access' and org_id = :'kilo';
select tests.sign_in('coach@lima.example');
select is_empty($$ select from public.support_access $$, 'another organisation sees nothing of it');
select tests.sign_in('desk@kilo.example');
select is_empty($$ select from public.support_access $$, 'nor does a role without audit.read');

-- What it is for.
select tests.sign_in('helper@platform.example');
update public.booking_settings set min_notice_hours = 3 where org_id = :'kilo';
select is(min_notice_hours, 3, 'settings are put right') from public.booking_settings where org_id = :'kilo';
select tests.as_owner();
select is((actor_id, support_access_id), (tests.id('helper'), :'access'::uuid), 'the audit row names the person and the access')
  from public.audit_log where subject_type = 'booking_settings' order by happened_at desc limit 1;
select tests.sign_in('helper@platform.example');
update public.clients set notes = 'seen by support' where id = :'kilo_client';
select is(notes, 'seen by support', 'a client''s record too') from public.clients where id = :'kilo_client';

-- What is of high risk.
select tests.refuses($$ update public.clients set email = 'x@y.example' where id = tests.id('kilo_client') $$, 403, 'support_access_limited', 'not a client''s address');
select tests.refuses($$ update public.clients set portal_token = gen_random_uuid() where id = tests.id('kilo_client') $$, 403, 'support_access_limited', 'nor their link');
select tests.refuses($$ update public.clients set sms_opt_in = true where id = tests.id('kilo_client') $$, 403, 'support_access_limited', 'nor their consent');
insert into public.blocked_times (org_id, day_of_week, start_time, end_time) values (:'kilo', 1, '12:00', '13:00') returning id as block \gset
select tests.remember('block', :'block');
select tests.refuses($$ delete from public.blocked_times where id = tests.id('block') $$, 403, 'support_access_limited', 'nothing is deleted');
select tests.changes_nothing($$ delete from public.offers $$, 'what its role does not reach is not there to delete');
select tests.changes_nothing($$ update public.orgs set name = 'Mine', allows_support = true where id = tests.id('kilo') $$, 'the organisation itself stays');
select tests.refuses($$ insert into public.org_members (org_id, user_id, role) values (tests.id('kilo'), auth.uid(), 'owner') $$, 403, 'membership_by_invitation', 'nor made an owner');
select tests.refuses($$ select sell_package(tests.id('kilo_client'), tests.id('kilo_offer')) $$, 403, 'support_access_limited', 'nothing is sold');
select tests.refuses($$ select create_calendar_feed(null, tests.id('kilo_client')) $$, 403, 'support_access_limited', 'no address that opens a calendar is made');
select tests.refuses($$ select send_portal_link(tests.id('kilo_client')) $$, 403, 'support_access_limited', 'nor a link sent');

-- Another admin is not let in by it, and may end it.
select tests.sign_in('other@platform.example');
select is_empty($$ select from public.clients $$, 'another admin sees nothing by it');
select ok(end_support_access(:'access'), 'but may end it');
select ok(not end_support_access(:'access'), 'once');
select tests.sign_in('helper@platform.example');
select is_empty($$ select from public.clients $$, 'ended, it lets nobody in');
select is_empty($$ select from public.org_members $$, 'and no membership is left');
select is(whoami() -> 'support_access', '[]', 'nor a banner');
select tests.as_owner();
select is((ended_by, ended_at is not null), (tests.id('other'), true), 'who ended it is kept') from public.support_access where id = :'access';
select is(count(*), 1::bigint, 'in one audit row') from public.audit_log where action = 'end_support';

-- Ended by the organisation; by its own person; by nobody else.
select tests.sign_in('helper@platform.example');
select start_support_access(:'kilo', 'once more') ->> 'id' as access \gset
select tests.remember('access', :'access');
select tests.sign_in('coach@lima.example');
select tests.refuses($$ select end_support_access(tests.id('access')) $$, 404, 'support_access_not_found', 'for another organisation it does not exist');
select tests.sign_in('desk@kilo.example');
select tests.refuses($$ select end_support_access(tests.id('access')) $$, 404, 'support_access_not_found', 'nor for a role without audit.read');
select tests.sign_in('coach@kilo.example');
select ok(end_support_access(:'access'), 'an owner ends it');
select tests.sign_in('helper@platform.example');
select is_empty($$ select from public.clients $$, 'at once');

-- It runs out.
select start_support_access(:'kilo', 'once more', null, 5) ->> 'id' as access \gset
select tests.as_owner();
update public.support_access set started_at = now() - interval '1 hour', expires_at = now() where id = :'access';
update public.org_members set ends_at = now() where org_id = :'kilo' and user_id = tests.id('helper');
select tests.sign_in('helper@platform.example');
select is_empty($$ select from public.clients $$, 'run out, it lets nobody in, before any sweep');
select is_empty($$ select from public.org_members $$, 'nor shows a membership');
select is(whoami() -> 'support_access', '[]', 'nor a banner');
select tests.refuses($$ select switch_org(tests.id('kilo')) $$, 404, 'org_not_found', 'to an RPC it does not exist');
select tests.as_owner();
select is(ended, 1, 'the sweep would put it away') from service.sweep_support_access(p_dry_run => true);
select is(ended, 1, 'and does') from service.sweep_support_access();
select is(ended, 0, 'once') from service.sweep_support_access();
select is_empty($$ select from public.org_members where role = 'support' $$, 'with its membership');

-- In one client's place.
select tests.sign_in('helper@platform.example');
select start_support_access(:'kilo', 'cannot see the booking', :'kilo_client') ->> 'id' as access \gset
select results_eq($$ select id from public.clients $$, $$ select tests.id('kilo_client') $$, 'one client''s place shows that client alone');
select isnt_empty($$ select from public.bookings $$, 'and their bookings');
select tests.refuses($$ update public.clients set email = 'x@y.example' where id = tests.id('kilo_client') $$, 403, 'support_access_limited', 'their address stays');
select tests.refuses($$ insert into public.push_tokens (org_id, client_id, expo_token) values (tests.id('kilo'), tests.id('kilo_client'), 'ExponentPushToken[x]') $$,
                     403, 'support_access_limited', 'no device is put in their place');
select tests.as_service();
select is(service.act('remove_admin', '{"email": "helper@platform.example", "reason": "has left"}') ->> 'support_ended', '1',
          'whoever runs the platform no more');
select tests.sign_in('helper@platform.example');
select is_empty($$ select from public.clients $$, 'is let in nowhere from then on');

select * from finish();
rollback;
