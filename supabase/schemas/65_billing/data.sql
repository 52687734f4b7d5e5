-- What plans can have. A feature is here once a door asks for it.

insert into private.features (feature, description, is_limit) values
  ('marketing', 'Texts to many clients', false),
  ('clients', 'Active clients', true),
  ('staff', 'Active staff members; the first is always free', true);
