-- Who may see what is asked for and given back. Nothing here is written directly: every write is an RPC, a rule or a sweep.

alter table public.refund_tiers enable row level security;
alter table public.deposits enable row level security;
alter table public.refunds enable row level security;
alter table public.receipts enable row level security;
alter table private.receipt_counters enable row level security;
alter table private.receipts_due enable row level security;
revoke all on public.refund_tiers, public.deposits, public.refunds, public.receipts from public, anon, authenticated, service_role;
revoke all on private.receipt_counters, private.receipts_due from public, anon, authenticated, service_role;

-- refund_tiers: members and the organisation's clients.
grant select on public.refund_tiers to authenticated, service_role;
create policy refund_tiers_select_people on public.refund_tiers for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));

-- deposits: members who see bookings, and the client whose it is.
grant select on public.deposits to authenticated, service_role;
create policy deposits_select_people on public.deposits for select to authenticated
  using (org_id = any ((select private.orgs_with('bookings.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));

-- refunds: members who see money; a client sees what of theirs is given back, by its receipt.
grant select on public.refunds to authenticated, service_role;
create policy refunds_select_members on public.refunds for select to authenticated
  using (org_id = any ((select private.orgs_with('money.read'))::uuid[]));

-- receipts: members who see money, and the client whose they are.
grant select on public.receipts to authenticated, service_role;
create policy receipts_select_people on public.receipts for select to authenticated
  using (org_id = any ((select private.orgs_with('money.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));

create policy receipt_counters_select_nobody on private.receipt_counters for select to service_role using (false);
create policy receipts_due_select_nobody on private.receipts_due for select to service_role using (false);
