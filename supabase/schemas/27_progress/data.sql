-- What the apps propose to measure.

insert into public.measurement_types (id, name, unit, category, sort_order) values
  ('ae76e1e4-6e12-5bc7-82ea-b2f95c735677', 'Weight', 'kg', 'body', 10),
  ('6364fb28-f15b-5416-8aba-cd199c7f7e09', 'Body fat', '%', 'body', 20),
  ('b3aa4bcf-5507-58ce-9e63-6b5f12cb9df9', 'Muscle mass', 'kg', 'body', 30),
  ('9dbc17fd-a00b-5111-b4f6-32e3d83e9fd0', 'Neck', 'cm', 'circumference', 40),
  ('5f3e29f6-2f96-58a2-bf42-54981b9edaf9', 'Chest', 'cm', 'circumference', 50),
  ('76449381-a449-5661-8a53-93dedc52363a', 'Waist', 'cm', 'circumference', 60),
  ('c3f8d7de-61b0-5dc7-aed2-f69ff255d483', 'Hips', 'cm', 'circumference', 70),
  ('390798cf-b5a4-56fb-837d-0cc8ad4508d4', 'Upper arm', 'cm', 'circumference', 80),
  ('062dbe65-e159-589b-b314-6397822f1f98', 'Thigh', 'cm', 'circumference', 90),
  ('f0bfe9c6-98af-57a3-a5b9-a3af75ab8882', 'Calf', 'cm', 'circumference', 100),
  ('7d6db5c1-1d19-5c33-b45e-598ea2e9f7d7', 'Resting heart rate', 'bpm', 'health', 110),
  ('730c6ece-b037-56c8-b300-4b9dfec490a5', 'Systolic blood pressure', 'mmHg', 'health', 120),
  ('17fa4b5e-ff07-5149-9cad-ef184deb51bf', 'Diastolic blood pressure', 'mmHg', 'health', 130),
  ('f9b8dc40-e09f-5ebd-b88a-ad94a301e634', 'VO2 max', 'ml/kg/min', 'fitness', 140),
  ('197be251-86b3-52ec-bfa7-2e89aed75c4a', 'Plank', 's', 'fitness', 150),
  ('f3f599f8-a7e1-5666-b1f8-282269ebf613', 'Push-ups', 'reps', 'fitness', 160);
