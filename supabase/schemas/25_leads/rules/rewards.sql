-- Rewards and credit: what a referral earns is booked where it is spent, once for each side, and credit is spent within what there is.
-- Lock order: referral, then client; a package is new, so nobody else has it.

-- Somebody who became a client: new since they signed up, it is a referral; a client before, it is none.
create function private.convert_referral(p_org_id uuid, p_referral_id uuid, p_client_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_referral public.referrals;
  v_link public.referral_links;
  v_referred boolean;
  v_referrer boolean;
begin
  select r.* into v_referral
    from public.referrals as r
   where r.org_id = p_org_id and r.id = p_referral_id and r.status in ('pending', 'signed_up')
     for no key update;
  if not found then
    return;
  end if;
  if exists (select from public.clients as c
              where c.org_id = p_org_id and c.id = p_client_id and c.created_at < coalesce(v_referral.signed_up_at, v_referral.created_at))
     -- One person, once: whichever link was first.
     or exists (select from public.referrals as r
                 where r.org_id = p_org_id and r.referred_client_id = p_client_id and r.status in ('converted', 'rewarded'))
     or v_referral.referrer_client_id = p_client_id then
    update public.referrals as r set status = 'expired', referred_client_id = p_client_id where r.org_id = p_org_id and r.id = p_referral_id;
    return;
  end if;
  update public.referral_links as l set conversions = l.conversions + 1
   where l.org_id = p_org_id and l.id = v_referral.referral_link_id
  returning l.* into v_link;
  v_referred := private.give_reward(p_org_id, p_referral_id, 'referred', p_client_id, v_link.reward_type, v_link.reward_value);
  v_referrer := private.give_reward(
    p_org_id, p_referral_id, 'referrer', v_referral.referrer_client_id, v_link.referrer_reward_type, v_link.referrer_reward_value);
  update public.referrals as r
     set status = case when v_referred or v_referrer then 'rewarded' else 'converted' end, referred_client_id = p_client_id, converted_at = now(),
         rewarded_at = case when v_referred or v_referrer then now() end, referred_rewarded = v_referred, referrer_rewarded = v_referrer,
         referred_reward_cents = case when v_referred and v_link.reward_type = 'credit' then v_link.reward_value end,
         referrer_reward_cents = case when v_referrer and v_link.referrer_reward_type = 'credit' then v_link.referrer_reward_value end
   where r.org_id = p_org_id and r.id = p_referral_id;
end;
$$;
comment on function private.convert_referral is 'Settles a referral whose person became a client: counts it, and rewards both sides, once.';

-- True when this side has been given something now.
create function private.give_reward(
  p_org_id uuid, p_referral_id uuid, p_side text, p_client_id uuid, p_reward_type text, p_reward_value integer)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_reward_id uuid;
begin
  if p_client_id is null or coalesce(p_reward_type, 'none') = 'none' or coalesce(p_reward_value, 0) = 0 then
    return false;
  end if;
  insert into public.referral_rewards (org_id, referral_id, side, client_id, reward_type, reward_value)
  values (p_org_id, p_referral_id, p_side, p_client_id, p_reward_type, p_reward_value)
  on conflict (org_id, referral_id, side) do nothing
  returning id into v_reward_id;
  if v_reward_id is null then
    return false;
  end if;
  case p_reward_type
    when 'credit' then
      insert into public.credit_entries (org_id, client_id, kind, amount_cents, currency, referral_reward_id, actor_id)
      values (p_org_id, p_client_id, 'reward', p_reward_value, private.client_credit_currency(p_org_id, p_client_id), v_reward_id, auth.uid());
    when 'free_session' then
      update public.referral_rewards as w set purchase_id = private.give_sessions(p_org_id, p_client_id, p_reward_value)
       where w.org_id = p_org_id and w.id = v_reward_id;
    else
      -- For one sale; the client shows it, or the coach finds it with the referral.
      with code as (
        insert into public.promo_codes (org_id, code, discount_type, discount_value, max_uses)
        values (p_org_id, 'REF-' || upper(substr(replace(v_reward_id::text, '-', ''), 1, 12)), 'percentage', p_reward_value, 1)
        returning id)
      update public.referral_rewards as w set promo_code_id = (select code.id from code)
       where w.org_id = p_org_id and w.id = v_reward_id;
  end case;
  return true;
end;
$$;
comment on function private.give_reward is 'Gives one side of a referral what the link promised, at most once; true when it was given now.';

-- An organisation's prices are in one currency; before it has any, credit is in the app's.
create function private.credit_currency(p_org_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((select o.currency from public.offers as o where o.org_id = p_org_id order by o.is_active desc, o.created_at desc limit 1), 'aud');
$$;
comment on function private.credit_currency is 'The currency in which an organisation gives credit: its price list''s.';

-- A package like any other, paid in full for nothing; its ledger opens with where it is from.
create function private.give_sessions(p_org_id uuid, p_client_id uuid, p_sessions integer)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_offer_id uuid;
  v_package public.client_purchases;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_org_id::text, 4));
  select o.id into v_offer_id
    from public.offers as o where o.org_id = p_org_id and o.name = 'Referral reward' and o.price_cents = 0 order by o.created_at limit 1;
  if not found then
    insert into public.offers (org_id, name, offer_type, price_cents, currency, sessions_included, is_active)
    values (p_org_id, 'Referral reward', 'session_pack', 0, private.credit_currency(p_org_id), 1, false)
    returning id into v_offer_id;
  end if;
  insert into public.client_purchases (
    org_id, client_id, offer_id, amount_paid_cents, currency, sessions_total, payment_status, source)
  values (p_org_id, p_client_id, v_offer_id, 0, private.credit_currency(p_org_id), p_sessions, 'succeeded', 'reward')
  returning * into v_package;
  perform private.enter_session(v_package, 'opening', 0, 'referral_reward', auth.uid(), clock_timestamp());
  return v_package.id;
end;
$$;
comment on function private.give_sessions is 'Gives a client free sessions as a package and returns its id.';

create function private.credit_balance(p_org_id uuid, p_client_id uuid)
returns bigint
language sql stable security definer set search_path = ''
as $$
  select coalesce(sum(e.amount_cents), 0)::bigint from public.credit_entries as e where e.org_id = p_org_id and e.client_id = p_client_id;
$$;
comment on function private.credit_balance is 'What a client has in credit, in the minor unit of its currency.';

-- The client's row is the lock: two desks that spend the last of it queue here.
create function private.spend_credit(p_org_id uuid, p_client_id uuid, p_amount_cents bigint, p_note text, p_request_id uuid, p_actor_id uuid)
returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_first public.credit_entries;
  v_balance bigint;
begin
  perform private.require_value(p_amount_cents between 1 and 100000000, 'amount_cents');
  perform private.require_value(coalesce(char_length(p_note), 0) <= 500, 'note');
  perform from public.clients as c where c.org_id = p_org_id and c.id = p_client_id for no key update;
  select e.* into v_first from public.credit_entries as e where e.org_id = p_org_id and e.request_id = p_request_id;
  if found then
    if (v_first.client_id, v_first.amount_cents) <> (p_client_id, -p_amount_cents) then
      perform private.refuse_request();
    end if;
    return private.credit_balance(p_org_id, p_client_id);
  end if;
  v_balance := private.credit_balance(p_org_id, p_client_id);
  if v_balance < p_amount_cents then
    perform private.fail(409, 'credit_exhausted', 'The client does not have so much credit.', 'Spend what there is.');
  end if;
  insert into public.credit_entries (org_id, client_id, kind, amount_cents, currency, note, request_id, actor_id)
  select p_org_id, p_client_id, 'spent', -p_amount_cents,
         private.client_credit_currency(p_org_id, p_client_id),
         private.clean_line(p_note), p_request_id, p_actor_id
  on conflict (org_id, request_id) where request_id is not null do nothing;
  if not found then
    perform private.refuse_request();
  end if;
  return v_balance - p_amount_cents;
end;
$$;
comment on function private.spend_credit is
  'Takes credit and returns what is left; the same request takes once. Fails: credit_exhausted 409, request_reused 409, value_not_allowed 422.';

create function private.member_spend_credit(p_client_id uuid, p_amount_cents bigint, p_note text, p_request_id uuid)
returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.spend_credit(private.require_client(p_client_id, 'packages.sell'), p_client_id, p_amount_cents, p_note, p_request_id, auth.uid());
end;
$$;
comment on function private.member_spend_credit is 'spend_credit for a member with packages.sell.';

create function private.client_credit_currency(p_org_id uuid, p_client_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((select e.currency from public.credit_entries as e
                    where e.org_id = p_org_id and e.client_id = p_client_id order by e.created_at limit 1), private.credit_currency(p_org_id));
$$;
comment on function private.client_credit_currency is 'The currency of a client''s credit: that of the first.';

create function private.member_credit_balance(p_client_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('balance_cents', private.credit_balance(o.id, p_client_id), 'currency', private.client_credit_currency(o.id, p_client_id))
    from (select private.readable_client_org(p_client_id) as id) as o;
$$;
comment on function private.member_credit_balance is 'A client''s credit, for members and for the client: {balance_cents, currency}.';

-- A client's own code, which a link is handed on with; made when it is first asked for.
create function private.client_referral_code(p_org_id uuid, p_client_id uuid)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_code text;
begin
  -- Of an organisation's clients no two share one: 40 bits, and asked for under its lock.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_org_id::text, 5));
  select c.referral_code into v_code from public.clients as c where c.org_id = p_org_id and c.id = p_client_id;
  while v_code is null or exists (
    select from public.clients as c where c.org_id = p_org_id and c.referral_code = v_code and c.id <> p_client_id) loop
    v_code := private.random_code(8);
  end loop;
  update public.clients as c set referral_code = v_code
   where c.org_id = p_org_id and c.id = p_client_id and c.referral_code is distinct from v_code;
  return v_code;
end;
$$;
comment on function private.client_referral_code is 'The code by which a client is known as the one who referred somebody.';

create function private.referral_link_document(p_org_id uuid, p_client_id uuid, p_referral_link_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_link public.referral_links;
  v_code text;
  v_path text;
begin
  select l.* into v_link
    from public.referral_links as l
   where l.org_id = p_org_id and l.is_active and coalesce(l.expires_at > now(), true) and (p_referral_link_id is null or l.id = p_referral_link_id)
   order by l.created_at desc limit 1;
  if not found then
    perform private.fail(404, 'referral_not_found', 'There is no open referral link.', 'Make one first.');
  end if;
  v_code := private.client_referral_code(p_org_id, p_client_id);
  v_path := '/refer/' || v_link.code || '?by=' || v_code;
  return jsonb_build_object('referral_link_id', v_link.id, 'code', v_link.code, 'name', v_link.name, 'referral_code', v_code,
                            'url', coalesce(private.app_link(v_path), v_path));
end;
$$;
comment on function private.referral_link_document is
  'The link a client hands on: {referral_link_id, code, name, referral_code, url}. Fails: referral_not_found 404.';

create function private.person_referral_link(p_client_id uuid, p_referral_link_id uuid)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.referral_link_document(private.readable_client_org(p_client_id), p_client_id, p_referral_link_id);
$$;
comment on function private.person_referral_link is 'referral_link_document for members with clients.read, and for the client.';

create function private.readable_client_org(p_client_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
begin
  return coalesce(
    (select c.org_id from public.clients as c where c.id = p_client_id and c.id = any (private.my_client_ids())),
    private.require_client(p_client_id, 'clients.read'));
end;
$$;
comment on function private.readable_client_org is 'The organisation of a client who is the signed-in person, or whom they may see. Fails: client_not_found 404, permission_missing 403.';

create function private.client_org(p_client_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid := (select c.org_id from public.clients as c where c.id = p_client_id);
begin
  if v_org_id is null then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'List the clients.');
  end if;
  return v_org_id;
end;
$$;
comment on function private.client_org is 'The organisation of a client, for operators. Fails: client_not_found 404.';

-- Letters and digits that nobody takes for others. Each byte of a random uuid's hash gives one: 256 is a multiple of 32.
create function private.random_code(p_length integer)
returns text
language sql volatile security definer set search_path = ''
as $$
  select string_agg(substr('ABCDEFGHJKLMNPQRSTUVWXYZ23456789', get_byte(h.bytes, n) % 32 + 1, 1), '' order by n)
    from (select sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')) as bytes) as h
   cross join generate_series(0, least(p_length, 32) - 1) as n;
$$;
comment on function private.random_code is 'A random code of so many characters (at most 32), five bits each.';
