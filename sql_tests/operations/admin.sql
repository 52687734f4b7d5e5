-- The console: each action by its explicit permission, one audit row each, also when it is refused; what blocking stops.
begin;
select * from no_plan();

select tests.sign_up('root@platform.example', 'root'), tests.sign_up('all@platform.example', 'all'), tests.sign_up('org@platform.example', 'org_admin'),
       tests.sign_up('new@platform.example', 'new');
insert into public.platform_admins (user_id, email, permissions)
values (tests.id('root'), 'root@platform.example', '{*,system.brakes,system.admins}'), (tests.id('all'), 'all@platform.example', '{*}'),
       (tests.id('org_admin'), 'org@platform.example', '{orgs.*}');
insert into public.outbox_messages (org_id, channel, kind, client_id, status, next_at, expires_at, error_code)
values (tests.id('kilo'), 'sms', 'low_package', tests.id('kilo_client'), 'failed', now(), now() + interval '1 day', '30008') returning id as message \gset
select tests.remember('message', :'message');
insert into public.outbox_messages (org_id, channel, kind, client_id, status, next_at, expires_at, error_code)
values (tests.id('kilo'), 'sms', 'low_package', tests.id('kilo_client'), 'failed', now(), now() + interval '1 day', '30003') returning id as second \gset
select tests.remember('second', :'second');
insert into public.plans (plan, name, price_cents) values ('solo', 'Solo', 0);
insert into public.plan_grants (org_id, source, plan, starts_at, ends_at) values (tests.id('kilo'), 'comp', 'solo', now(), now() + interval '9 days')
  returning id as given \gset
select tests.remember('grant', :'given');

-- Every function of the console, with a call that is allowed. Those that give rights on the platform are apart.
create temp table calls (name text, nth serial, permission text, call text);
insert into calls (name, permission, call) values
  ('admin_search', 'orgs.read', $$ admin_search('client of kilo') $$),
  ('admin_org', 'orgs.read', $$ admin_org(tests.id('kilo')) $$),
  ('admin_client', 'clients.read', $$ admin_client(tests.id('kilo_client')) $$),
  ('admin_block_org', 'orgs.block', $$ admin_block_org(tests.id('lima'), 'fraud') $$),
  ('admin_unblock_org', 'orgs.block', $$ admin_unblock_org(tests.id('lima'), 'no fraud') $$),
  ('admin_block_client', 'clients.block', $$ admin_block_client(tests.id('kilo_client'), 'threats') $$),
  ('admin_unblock_client', 'clients.block', $$ admin_unblock_client(tests.id('kilo_client'), 'settled') $$),
  ('admin_reset_onboarding', 'orgs.onboard', $$ admin_reset_onboarding(tests.id('kilo'), 'stuck') $$),
  ('admin_reset_client_onboarding', 'clients.onboard', $$ admin_reset_client_onboarding(tests.id('kilo_client'), 'stuck') $$),
  ('admin_resend', 'messages.resend', $$ admin_resend(tests.id('message'), 'it was down') $$),
  ('admin_retry', 'work.retry', $$ admin_retry('message', tests.id('second')::text, 'it was down') $$),
  ('admin_entitlements', 'orgs.read', $$ admin_entitlements(tests.id('kilo')) $$),
  ('admin_grant_plan', 'billing.grant', $$ admin_grant_plan(tests.id('lima'), 'comp', 'solo', 'a good turn', now() + interval '30 days') $$),
  ('admin_revoke_grant', 'billing.grant', $$ admin_revoke_grant(tests.id('kilo'), tests.id('grant'), 'over') $$),
  ('admin_pull_brake', 'system.brakes', $$ admin_pull_brake('sms', 'complaints', tests.id('kilo')) $$),
  ('admin_brakes', 'system.brakes', $$ admin_brakes() $$),
  ('admin_release_brake', 'system.brakes', $$ admin_release_brake('sms', 'settled', tests.id('kilo')) $$),
  ('start_support_access', 'support.start', $$ start_support_access(tests.id('kilo'), 'a question') $$),
  ('admin_support', 'support.start', $$ admin_support() $$),
  ('admin_audit', 'audit.read', $$ admin_audit(tests.id('kilo')) $$),
  ('admin_list', 'system.admins', $$ admin_list() $$),
  ('admin_set', 'system.admins', $$ admin_set('new@platform.example', '{orgs.read}', 'joins') $$),
  ('admin_remove', 'system.admins', $$ admin_remove('new@platform.example', 'leaves') $$);
select set_eq($$ select name from calls $$,
              $$ select p.proname::text from pg_proc as p
                  where p.pronamespace = 'public'::regnamespace and pg_get_function_sqlbody(p.oid) like '%admin_act(%' $$,
              'this list names every function of the console');
select set_eq($$ select 'act_' || a.action from private.admin_actions as a $$,
              $$ select p.proname::text from pg_proc as p where p.pronamespace = 'private'::regnamespace and p.prorettype = 'private.acted'::regtype and p.proname like 'act\_%' $$,
              'each action has its rule, and each rule its action');
select is_empty($$ select a.permission from private.admin_actions as a where a.permission <> all (private.platform_permissions()) $$,
                'each can be given');

create function pg_temp.audits() returns bigint language sql security definer as $$
  select (select count(*) from public.audit_log) + (select count(*) from private.platform_audit_log) $$;
-- [what came of it, how many audit rows it left]
create function pg_temp.made(p_call text) returns text language plpgsql as $$
declare
  v_before bigint := pg_temp.audits();
  v_answer jsonb;
begin
  execute 'select ' || p_call into v_answer;
  return coalesce(case when jsonb_typeof(v_answer) = 'object' and v_answer ? 'details' then v_answer ->> 'details' end, 'done')
         || ' ' || (pg_temp.audits() - v_before);
end;
$$;
create function pg_temp.each_made(p_email text, p_which text default '%') returns setof text language plpgsql as $$
declare
  v_call record;
begin
  for v_call in select * from calls where permission like p_which order by nth loop
    perform tests.sign_in(p_email);
    return next v_call.name || ' ' || pg_temp.made(v_call.call);
  end loop;
  perform tests.as_owner();
end;
$$;
grant execute on all functions in schema pg_temp to public;
grant select on calls to public;

-- Refused: one row each, and nothing done.
select set_eq($$ select pg_temp.each_made('coach@kilo.example') $$, $$ select name || ' platform_permission_missing 1' from calls $$,
              'an owner of an organisation is refused every one, with one audit row each');
select tests.as_owner();
select is(count(*), (select count(*) from calls), 'in the platform''s log, with who it was and why not')
  from private.platform_audit_log where actor_id = tests.id('kilo_owner') and refused = 'platform_permission_missing';
select is((select count(*) from private.brakes) + (select count(*) from public.orgs where blocked_at is not null)
        + (select count(*) from public.support_access), 0::bigint, 'and nothing was done');
select tests.as_owner();
select set_eq($$ select pg_temp.each_made('all@platform.example', 'system.%') $$,
              $$ select name || ' platform_permission_missing 1' from calls where permission like 'system.%' $$,
              'a star is not system.*');
select tests.sign_in('org@platform.example');
select is(pg_temp.made($$ admin_org(tests.id('kilo')) $$), 'done 1', 'orgs.* is every right on organisations');
select is(pg_temp.made($$ admin_client(tests.id('kilo_client')) $$), 'platform_permission_missing 1', 'and none on clients');

-- Allowed: one row each.
select tests.as_owner();
select set_eq($$ select pg_temp.each_made('root@platform.example') $$, $$ select name || ' done 1' from calls $$,
              'with the right each is done, and leaves one audit row');
select tests.as_owner();
select is_empty($$ select action from public.audit_log where actor_id = tests.id('root') and (reason is null or refused is not null)
                    and action in (select a.action from private.admin_actions as a where a.needs_reason) $$, 'with its reason');
select results_eq($$ select before ->> 'blocked_at' is null, after ->> 'blocked_at' is not null, subject_id from public.audit_log where action = 'block_client' $$,
                  $$ values (true, true, tests.id('kilo_client')) $$, 'the values before and after are those that may be kept');
select is_empty($$ select a::text from public.audit_log as a where a::text ~* '@|client of kilo' $$, 'and nothing of a person');

-- What is refused inside a rule leaves one row, too.
select tests.sign_in('root@platform.example');
select is(pg_temp.made($$ admin_block_org(tests.id('kilo'), ' ') $$), 'reason_missing 1', 'without a reason');
select is(pg_temp.made($$ admin_block_org(gen_random_uuid(), 'why') $$), 'org_not_found 1', 'for an organisation that is not there');
select is(pg_temp.made($$ admin_client(gen_random_uuid()) $$), 'client_not_found 1', 'or a client');
select is(pg_temp.made($$ admin_resend(tests.id('message'), 'again') $$), 'message_retried 1', 'what has been sent again already');
select is(pg_temp.made($$ admin_retry('stripe_event', 'evt_none', 'why') $$), 'stripe_event_not_found 1', 'an event that is not there');
select is(pg_temp.made($$ admin_retry('everything', 'x', 'why') $$), 'value_not_allowed 1', 'a kind of work that is not there');
select is(pg_temp.made($$ admin_grant_plan(tests.id('kilo'), 'comp', 'none', 'why', now() + interval '1 day') $$), 'plan_not_found 1', 'a plan that is not there');
select is(pg_temp.made($$ admin_set('nobody@nowhere.example', '{everything}', 'why') $$), 'platform_permission_unknown 1', 'a right that does not exist');
select is(pg_temp.made($$ admin_set('unknown@nowhere.example', '{orgs.read}', 'why') $$), 'user_not_found 1', 'somebody who has not signed up');
select is(pg_temp.made($$ admin_remove('coach@kilo.example', 'why') $$), 'platform_admin_not_found 1', 'somebody who does not run the platform');
select is(pg_temp.made($$ admin_remove('root@platform.example', 'why') $$), 'last_admin 1', 'the last who manages admins');
select is(pg_temp.made($$ admin_set('root@platform.example', '{*}', 'why') $$), 'last_admin 1', 'in either way');
select is(current_setting('response.status'), '409', 'with the status of its refusal');
select tests.sign_out();
select tests.forbids($$ select admin_org(tests.id('kilo')) $$, 'a visitor may not even ask');

-- What is seen.
select tests.sign_in('root@platform.example');
select is(admin_search('kilo_nothing'), '[]', 'what nobody has is not found');
select set_eq($$ select f ->> 'kind' from jsonb_array_elements(admin_search('kilo')) as f $$, array['org', 'member', 'client'], 'a word finds whoever has it');
select is(admin_search(:'kilo_booking') #>> '{0,kind}', 'booking', 'an id finds what it is');
select is(admin_search(:'message') #>> '{0,kind}', 'message', 'of whatever kind');
select is(admin_org(:'kilo') #>> '{org,slug}', 'kilo', 'an organisation''s whole state');
select ok(admin_org(:'kilo') -> 'message_errors' @> '[{"error_code": "30008"}]', 'with what goes wrong');
select ok(admin_org(:'kilo') ?& '{members,clients,bookings,messages,money,alerts,jobs,brakes,support_access,audit}'::text[], 'and all the rest');
select is(jsonb_array_length(admin_client(:'kilo_client') -> 'packages'), 1, 'a client''s: packages');
select is(jsonb_array_length(admin_client(:'kilo_client') -> 'bookings'), 1, 'bookings');
select isnt(jsonb_array_length(admin_client(:'kilo_client') -> 'messages'), 0, 'messages');
select is_empty($$ select m from jsonb_array_elements(admin_client(tests.id('kilo_client')) -> 'messages') as m where m ? 'body' $$, 'without their words');
select is(admin_audit(:'lima') #>> '{0,org_id}', :'lima', 'the log of one organisation is of that one');

-- Platform admins see their own row, and change none.
select results_eq($$ select user_id from public.platform_admins $$, $$ select tests.id('root') $$, 'a platform admin reads their own row');
select tests.forbids($$ update public.platform_admins set permissions = '{*}' $$, 'and writes none');
select is(whoami() -> 'platform_permissions', '["*", "system.brakes", "system.admins"]', 'whoami says what they may do');

-- A blocked organisation.
select admin_block_org(:'kilo', 'fraud') ->> 'is_changed' as changed \gset
select tests.sign_in('coach@kilo.example');
select isnt_empty($$ select from public.clients $$, 'its members read what is theirs');
select tests.changes_nothing($$ update public.clients set notes = 'x' $$, 'and change nothing directly');
select tests.refuses($$ select use_session(tests.id('kilo_package')) $$, 403, 'org_blocked', 'nor by an RPC, which says so');
select isnt(whoami() #>> '{organisations,0,blocked_at}', null, 'whoami says so, too');
select tests.sign_in('client@kilo.example');
select is_empty($$ select from public.bookings $$, 'its clients are let in nowhere');
select is_empty($$ select from public.clients $$, 'not to their own record either');
select tests.sign_out();
select is(public_page('kilo') ->> 'details', 'page_not_found', 'its public page is not there');
select tests.sign_in('root@platform.example');
select admin_unblock_org(:'kilo', 'cleared') ->> 'is_changed' as changed \gset
select tests.sign_in('coach@kilo.example');
select ok(use_session(:'kilo_package'), 'unblocked, it goes on');

-- A blocked client.
select tests.as_owner();
update public.clients set portal_token = '11111111-1111-4111-8111-111111111111' where id = :'kilo_client';
select tests.sign_in('root@platform.example');
select admin_block_client(:'kilo_client', 'threats') ->> 'is_changed' as changed \gset
select tests.sign_in('client@kilo.example');
select is_empty($$ select from public.bookings $$, 'a blocked client sees nothing');
select tests.sign_out();
select is(portal_overview('11111111-1111-4111-8111-111111111111') ->> 'details', 'link_not_found', 'their link opens nothing');
select is(public_book('kilo', now() + interval '2 days', 'Another Name', 'Client@Kilo.example') ->> 'details', 'online_booking_off',
          'and on the public page they book nothing');
select tests.sign_in('coach@kilo.example');
select isnt(blocked_at, null, 'the coach sees that they are') from public.clients where id = :'kilo_client';
update public.clients set full_name = 'Still theirs' where id = :'kilo_client';
select is(full_name, 'Still theirs', 'and keeps their record') from public.clients where id = :'kilo_client';
select tests.forbids($$ update public.clients set blocked_at = null $$, 'but does not unblock them');
select tests.forbids($$ update public.orgs set blocked_at = null $$, 'nor their organisation');

select * from finish();
rollback;
