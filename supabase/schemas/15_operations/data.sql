-- Whose values the audit logs keep: settings, prices and states. Never a name, an address, a text that a person wrote, or a secret.

insert into private.audited_columns (subject_type, column_name)
select t.subject_type, c.column_name
  from (values
    ('brakes', '{kind}'::text[]),
    ('orgs', '{commission_rate,onboarding_completed}'),
    ('org_members', '{role}'),
    ('offers', '{offer_type,price_cents,sessions_included,is_active}'),
    ('promo_codes', '{discount_type,discount_value,is_active}'),
    ('client_purchases', '{payment_status,expires_at,sessions_total}'),
    ('booking_settings', '{timezone,no_show_policy,late_cancellation_policy,buffer_between_mins,min_notice_hours,max_advance_days}'),
    ('session_types', '{duration_mins,price_cents,is_active}')
  ) as t (subject_type, columns)
 cross join unnest(t.columns) as c (column_name);
