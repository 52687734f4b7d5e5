-- admin_grant_plan, admin_revoke_grant: what the platform gives and takes leaves one audit row each, with its reason, also when refused.
begin;
select plan(19);
select service.set_plan('pro', 'Pro', 4900, p_features => '{marketing}');
select tests.sign_up('ops@platform.example', 'ops'), tests.sign_up('reader@platform.example', 'reader');
insert into public.platform_admins (user_id, email, permissions) values (tests.id('ops'), 'ops@platform.example', '{billing.grant,orgs.read}'),
  (tests.id('reader'), 'reader@platform.example', '{orgs.read}');
select tests.remember('click', gen_random_uuid());
-- As owner.
create function pg_temp.logged() returns text language sql as $$
  select string_agg(concat_ws(' ', a.action, a.reason, a.refused), ', ' order by a.happened_at) from (
    select action, reason, refused, happened_at from public.audit_log where org_id = tests.id('kilo') and subject_type = 'plan_grants'
    union all select action, reason, refused, happened_at from private.platform_audit_log where subject_type = 'plan_grants') as a $$;

select tests.sign_in('ops@platform.example');
select admin_grant_plan(:'kilo', 'comp', 'pro', 'Founding coach', now() + interval '1 month', tests.id('click')) as given \gset
select tests.remember('grant', (:'given'::jsonb ->> 'grant_id')::uuid);
select is(:'given'::jsonb ->> 'plan', 'pro', 'an admin gives a comp');
select is(admin_grant_plan(:'kilo', 'comp', 'pro', 'Founding coach', now() + interval '1 month', tests.id('click')) ->> 'grant_id', tests.id('grant')::text, 'the same click is one comp');
select is(admin_entitlements(:'kilo') #>> '{features,marketing,why,0,why}', 'comp', 'and sees why it is open');
select is(admin_grant_plan(:'kilo', 'comp', 'pro', '  ', now() + interval '1 month') ->> 'details', 'reason_missing', 'not without a reason');
select is(admin_grant_plan(:'kilo', 'comp', 'pro', 'For ever') ->> 'details', 'value_not_allowed', 'nor without an end');
select is(admin_grant_plan(:'kilo', 'gift', 'pro', 'A gift', now() + interval '1 month') ->> 'details', 'value_not_allowed', 'nor from elsewhere');
select is(admin_grant_plan(:'kilo', 'trial', 'gold', 'Gold') ->> 'details', 'plan_not_found', 'nor of a plan that is not there');
select is(admin_grant_plan(gen_random_uuid(), 'trial', 'pro', 'Who?') ->> 'details', 'org_not_found', 'nor for nobody');
select ok(admin_grant_plan(:'kilo', 'trial', 'pro', 'Wants to try it') ->> 'ends_at' is not null, 'a trial ends by itself');
select is(admin_revoke_grant(:'kilo', tests.id('grant'), 'Has left') ->> 'is_revoked', 'true', 'and takes the comp back');
select is(admin_revoke_grant(:'kilo', tests.id('grant'), 'Has left') ->> 'is_revoked', 'false', 'once');
select is(admin_revoke_grant(:'lima', tests.id('grant'), 'Mine?') ->> 'details', 'grant_not_found', 'another organisation''s is not there');
select tests.sign_in('reader@platform.example');
select is(admin_grant_plan(:'kilo', 'comp', 'pro', 'For a friend', now() + interval '1 month') ->> 'details', 'platform_permission_missing', 'an admin without the permission gives nothing');
select is(admin_revoke_grant(:'kilo', tests.id('grant'), 'No') ->> 'details', 'platform_permission_missing', 'and takes nothing');
select tests.sign_in('coach@kilo.example');
select is(admin_entitlements(:'kilo') ->> 'details', 'platform_permission_missing', 'an owner is no admin');
select tests.sign_out();
select tests.forbids($$ select admin_grant_plan(tests.id('kilo'), 'comp', 'pro', 'x', now()) $$, 'nor is a visitor');

select tests.as_owner();
select is(pg_temp.logged(),
          'grant_plan Founding coach, grant_plan Founding coach, grant_plan    reason_missing, grant_plan For ever value_not_allowed, grant_plan A gift value_not_allowed, '
          || 'grant_plan Gold plan_not_found, grant_plan Who? org_not_found, grant_plan Wants to try it, revoke_grant Has left, revoke_grant Has left, revoke_grant Mine? grant_not_found, '
          || 'grant_plan For a friend platform_permission_missing, revoke_grant No platform_permission_missing', 'each of them is one row, with its reason');
select is((select granted_by from public.plan_grants where id = tests.id('grant')), tests.id('ops'), 'the grant says who gave it');
select is((select after from public.audit_log where org_id = :'kilo' and action = 'grant_plan' order by happened_at limit 1) ->> 'plan', 'pro', 'and the log what it was');
select * from finish();
rollback;
