-- What plans can have. A feature is here once a door asks for it.

insert into private.features (feature, description, is_limit) values
  ('marketing', 'Texts to many clients', false),
  ('imports', 'Clients from a file', false),
  ('deposits', 'Session types that ask for a deposit; those that do go on', false),
  ('clients', 'Active clients', true),
  ('automations', 'Automations that are on', true),
  ('staff', 'Active staff members; the first is always free', true);

insert into private.audited_columns (subject_type, column_name)
select t.subject_type, c.column_name
  from (values
    ('plans', '{plan,price_cents,currency,billing_period,commission_rate,features,limits,trial_days,grace_days,rank,is_default,is_active}'::text[]),
    ('plan_grants', '{source,plan,starts_at,ends_at,revoked_at,is_self_serve}'),
    ('org_subscriptions', '{plan,status,cancels_at,ended_at}')
  ) as t (subject_type, columns)
 cross join unnest(t.columns) as c (column_name);

insert into private.admin_actions (action, permission, needs_reason, subject_type) values
  ('show_entitlements', 'orgs.read', false, 'orgs'),
  ('grant_plan', 'billing.grant', true, 'plan_grants'),
  ('revoke_grant', 'billing.grant', true, 'plan_grants');
