-- The work that runs by itself, and when it is late. A sweep that runs every minute or ten leaves nothing waiting this long.

insert into private.work_kinds (kind, description, jobs, done_keys, brake, degraded_after, failing_after, fix) values
  ('bookings', 'Bookings that are over are completed and settled', '{sweep_bookings}', '{completed}', null, '30 minutes', '3 hours', 'coach sweep bookings'),
  ('holds', 'Held times that ran out are freed and offered on', '{sweep_holds}', '{expired}', null, '20 minutes', '2 hours', 'coach sweep holds'),
  ('reminders', 'Reminders and follow-ups are queued', '{sweep_reminders}', '{queued}', null, '1 hour', '6 hours', 'coach sweep reminders'),
  ('sms', 'Texts leave', '{sweep_messages}', '{}', 'sms', '10 minutes', '1 hour', 'coach sweep messages'),
  ('email', 'Emails leave', '{sweep_messages}', '{}', 'email', '10 minutes', '1 hour', 'coach sweep messages'),
  ('push', 'Push messages leave', '{sweep_messages}', '{}', 'push', '10 minutes', '1 hour', 'coach sweep messages'),
  ('unknown_messages', 'Texts that may have been sent are looked up', '{sweep_messages_unknown}', '{settled}', null, '30 minutes', '6 hours', 'coach sweep messages-unknown'),
  ('callbacks', 'Status callbacks find their message', '{sweep_message_leftovers}', '{}', null, '1 day', '3 days', 'coach sweep message-leftovers'),
  ('clean_up', 'Counts that no limit asks about are deleted', '{sweep_rate_limits}', '{deleted}', null, '3 days', '14 days', 'coach sweep rate-limits'),
  ('stripe_events', 'What Stripe tells is applied', '{sweep_stripe}', '{}', 'payments', '30 minutes', '6 hours', 'coach sweep stripe'),
  ('stripe_fetches', 'What Stripe must be asked for is asked', '{sweep_stripe}', '{}', 'payments', '30 minutes', '6 hours', 'coach sweep stripe'),
  ('deposits', 'Deposits are opened and cancelled at Stripe', '{sweep_deposits}', '{}', 'payments', '10 minutes', '2 hours', 'coach sweep deposits'),
  ('refunds', 'Refunds are carried to Stripe', '{sweep_refunds}', '{}', 'payments', '30 minutes', '1 day', 'coach sweep refunds'),
  ('receipts', 'Payments and refunds are receipted', '{sweep_receipts}', '{issued}', null, '1 hour', '1 day', 'coach sweep receipts'),
  ('billing', 'Subscriptions in doubt are asked about', '{sweep_billing}', '{}', null, '1 hour', '1 day', 'coach sweep billing'),
  ('automations', 'Automations that are due fire', '{sweep_automations}', '{ok}', 'automations', '30 minutes', '6 hours', 'coach sweep automations'),
  ('webhooks', 'Webhook actions are posted', '{sweep_webhooks}', '{}', 'automations', '30 minutes', '6 hours', 'coach sweep webhooks'),
  ('risk', 'Clients are scored every day', '{sweep_risk}', '{scored}', null, '6 hours', '2 days', 'coach sweep risk');
