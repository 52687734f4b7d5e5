-- The roles and what each may do. `staff` and `accountant_readonly` are the existing app's names.

insert into public.roles (role, description) values
  ('owner', 'Owns the business: everything, including members and roles'),
  ('manager', 'Runs the business: everything but owners'),
  ('coach', 'Trains clients: clients, bookings, sessions and sales'),
  ('front_desk', 'Serves the desk: clients, bookings, check-ins and sales'),
  ('staff', 'The existing app''s coach'),
  ('accountant_readonly', 'Reads what accounting needs'),
  ('support', 'Helps for a while, from the platform: nothing that is of high risk');

insert into public.role_permissions (role, permission)
select r.role, p.permission
  from (values
    ('org.read',          '{owner,manager,coach,staff,front_desk,accountant_readonly}'::text[]),
    ('org.write',         '{owner,manager}'),
    ('members.read',      '{owner,manager,coach,staff,front_desk}'),
    ('members.write',     '{owner,manager}'),
    ('owners.write',      '{owner}'),
    ('settings.write',    '{owner,manager,coach,staff}'),
    ('audit.read',        '{owner,manager}'),
    ('alerts.read',       '{owner,manager,coach,staff,front_desk}'),
    ('clients.read',      '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('clients.write',     '{owner,manager,coach,staff,front_desk}'),
    ('leads.read',        '{owner,manager,coach,staff,front_desk}'),
    ('leads.write',       '{owner,manager,coach,staff,front_desk}'),
    ('progress.read',     '{owner,manager,coach,staff}'),
    ('progress.write',    '{owner,manager,coach,staff}'),
    ('finance.read',      '{owner,manager,accountant_readonly}'),
    ('offers.read',       '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('offers.write',      '{owner,manager,coach,staff}'),
    ('packages.read',     '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('packages.sell',     '{owner,manager,coach,staff,front_desk}'),
    ('packages.correct',  '{owner,manager,coach,staff}'),
    ('sessions.use',      '{owner,manager,coach,staff,front_desk}'),
    ('sessions.release',  '{owner,manager,coach,staff,front_desk}'),
    ('staff.write',       '{owner,manager}'),
    ('bookings.read',     '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('bookings.write',    '{owner,manager,coach,staff,front_desk}'),
    ('messages.read',     '{owner,manager,coach,staff,front_desk}'),
    ('messages.write',    '{owner,manager,coach,staff,front_desk}'),
    ('marketing.send',    '{owner,manager,coach,staff}'),
    ('billing.read',      '{owner,manager,accountant_readonly}'),
    ('billing.write',     '{owner,manager}'),
    ('automations.read',  '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('automations.write', '{owner,manager,coach,staff}'),
    ('money.read',        '{owner,manager,coach,staff,accountant_readonly}'),
    ('payouts.write',     '{owner}'),
    ('payments.refund',   '{owner,manager}')
  ) as p (permission, roles)
 cross join unnest(p.roles) as r (role);

-- Support access: whatever is not listed here (money, members, roles, exports, words to clients) is refused under it.
insert into public.role_permissions (role, permission)
select 'support', p.permission
  from unnest('{org.read,members.read,settings.write,audit.read,alerts.read,clients.read,clients.write,offers.read,packages.read,packages.correct,sessions.use,sessions.release,bookings.read,bookings.write,messages.read}'::text[]) as p (permission);
