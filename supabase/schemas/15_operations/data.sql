-- Whose values the audit logs keep: settings, prices and states. Never a name, an address, a text that a person wrote, or a secret.

insert into private.audited_columns (subject_type, column_name)
select t.subject_type, c.column_name
  from (values
    ('brakes', '{kind}'::text[]),
    ('orgs', '{commission_rate,onboarding_completed,allows_support,blocked_at}'),
    ('clients', '{blocked_at,onboarding_completed_at}'),
    ('support_access', '{client_id,expires_at,ended_at}'),
    ('platform_admins', '{permissions}'),
    ('org_members', '{role}'),
    ('offers', '{offer_type,price_cents,sessions_included,is_active}'),
    ('promo_codes', '{discount_type,discount_value,is_active}'),
    ('client_purchases', '{payment_status,expires_at,sessions_total}'),
    ('booking_settings', '{timezone,no_show_policy,late_cancellation_policy,buffer_between_mins,min_notice_hours,max_advance_days}'),
    ('session_types', '{duration_mins,price_cents,is_active}')
  ) as t (subject_type, columns)
 cross join unnest(t.columns) as c (column_name);

insert into private.admin_actions (action, permission, needs_reason, subject_type) values
  ('search', 'orgs.read', false, 'platform'),
  ('show_org', 'orgs.read', false, 'orgs'),
  ('show_client', 'clients.read', false, 'clients'),
  ('block_org', 'orgs.block', true, 'orgs'),
  ('unblock_org', 'orgs.block', true, 'orgs'),
  ('block_client', 'clients.block', true, 'clients'),
  ('unblock_client', 'clients.block', true, 'clients'),
  ('reset_org_onboarding', 'orgs.onboard', true, 'orgs'),
  ('reset_client_onboarding', 'clients.onboard', true, 'clients'),
  ('resend_message', 'messages.resend', true, 'outbox_messages'),
  ('retry_work', 'work.retry', true, 'work'),
  ('start_support', 'support.start', true, 'support_access'),
  ('end_support', 'support.start', false, 'support_access'),
  ('list_support', 'support.start', false, 'support_access'),
  ('pull_brake', 'system.brakes', true, 'brakes'),
  ('release_brake', 'system.brakes', true, 'brakes'),
  ('list_brakes', 'system.brakes', false, 'brakes'),
  ('list_audit', 'audit.read', false, 'audit_log'),
  ('list_admins', 'system.admins', false, 'platform_admins'),
  ('set_admin', 'system.admins', true, 'platform_admins'),
  ('remove_admin', 'system.admins', true, 'platform_admins');
