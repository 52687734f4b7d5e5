-- The roles and what each may do. `staff` and `accountant_readonly` are the existing app's names. `support` is given by support access
-- alone: whatever is not listed for it (money, members, roles, exports, words to clients) is refused under it.

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
    ('org.read',          '{owner,manager,coach,staff,front_desk,accountant_readonly,support}'::text[]),
    ('org.write',         '{owner,manager}'),
    ('members.read',      '{owner,manager,coach,staff,front_desk,support}'),
    ('members.write',     '{owner,manager}'),
    ('owners.write',      '{owner}'),
    ('settings.write',    '{owner,manager,coach,staff,support}'),
    ('audit.read',        '{owner,manager,support}'),
    ('alerts.read',       '{owner,manager,coach,staff,front_desk,support}'),
    ('clients.read',      '{owner,manager,coach,staff,front_desk,accountant_readonly,support}'),
    ('clients.write',     '{owner,manager,coach,staff,front_desk,support}'),
    ('finance.read',      '{owner,manager,accountant_readonly}'),
    ('offers.read',       '{owner,manager,coach,staff,front_desk,accountant_readonly,support}'),
    ('offers.write',      '{owner,manager,coach,staff}'),
    ('packages.read',     '{owner,manager,coach,staff,front_desk,accountant_readonly,support}'),
    ('packages.sell',     '{owner,manager,coach,staff,front_desk}'),
    ('packages.correct',  '{owner,manager,coach,staff,support}'),
    ('sessions.use',      '{owner,manager,coach,staff,front_desk,support}'),
    ('sessions.release',  '{owner,manager,coach,staff,front_desk,support}'),
    ('staff.write',       '{owner,manager}'),
    ('bookings.read',     '{owner,manager,coach,staff,front_desk,accountant_readonly,support}'),
    ('bookings.write',    '{owner,manager,coach,staff,front_desk,support}'),
    ('messages.read',     '{owner,manager,coach,staff,front_desk,support}'),
    ('messages.write',    '{owner,manager,coach,staff,front_desk}'),
    ('marketing.send',    '{owner,manager,coach,staff}')
  ) as p (permission, roles)
 cross join unnest(p.roles) as r (role);
