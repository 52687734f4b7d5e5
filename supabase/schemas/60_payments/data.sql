-- What the doctor looks at of payments.

insert into private.doctor_checks (name, severity, meaning, fix, is_thorough) values
  ('package_money_drift', 'error', 'A package counts as paid, and its income is not in the ledger.', 'coach package show {subject}', true),
  ('stripe_account_unlisted', 'warning', 'The events of a connected account have not been reconciled for two days.', 'coach sweep stripe', false),
  ('stripe_endpoint_unpinned', 'warning', 'Stripe sends events of more than one version of its API: an endpoint is not pinned to one.', 'coach stripe events show EVENT, and pin the endpoint''s version at Stripe', false);
