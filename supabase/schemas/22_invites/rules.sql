-- Invite rules: the existing app's own writes. Redeeming is in rules/clients.sql, members in rules/members.sql, accounts in rules/sign_up.sql.

-- The app writes redeemed_at and redeemed_by after it has redeemed: what redeem_client_invite wrote stands.
create function private.tg_client_invites__keep()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.redeemed_at := old.redeemed_at;
  new.redeemed_by := old.redeemed_by;
  return new;
end;
$$;
comment on function private.tg_client_invites__keep is 'Takes the existing app''s write of what is there already, and changes nothing.';
create trigger client_invites__keep before update of redeemed_at, redeemed_by on public.client_invites
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg_client_invites__keep();

create function private.my_invite_id()
returns uuid
language sql stable security definer set search_path = ''
as $$
  select i.id from public.client_invites as i
   where i.redeemed_by = (select auth.uid()) order by i.redeemed_at desc nulls last, i.created_at desc limit 1;
$$;
comment on function private.my_invite_id is
  'The invite that the signed-in person redeemed last: the app reads one, also where they are a client of several organisations.';
