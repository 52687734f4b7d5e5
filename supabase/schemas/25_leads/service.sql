-- Leads for operators.

create function service.list_inquiries(p_org_id uuid, p_status text default null, p_limit integer default 100)
returns table (inquiry_id uuid, name text, email text, phone text, status text, source text, client_id uuid, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(coalesce(p_status in ('NEW', 'CONTACTED', 'BOOKED', 'WON', 'LOST'), true), 'status');
  return query
  select i.id, i.name, i.email, i.phone, i.status, i.source, i.converted_client_id, i.created_at
    from public.inquiries as i
   where i.org_id = p_org_id and (p_status is null or i.status = p_status)
   order by i.created_at desc, i.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_inquiries is
  'An organisation''s leads, newest first. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.list_inquiries(uuid, text, integer) from public, anon, authenticated;
grant execute on function service.list_inquiries(uuid, text, integer) to service_role;

create function service.create_inquiry(p_org_id uuid, p_name text, p_email text default null, p_phone text default null, p_message text default null)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_name text := private.clean_line(p_name);
  v_email text := lower(private.clean_line(p_email));
  v_phone text := private.clean_line(p_phone);
  v_message text := private.clean_text(p_message);
begin
  perform private.require_known_org(p_org_id);
  perform private.require_lead(v_name, v_email, v_phone, v_message, null);
  return private.capture_lead(p_org_id, 'other', v_name, v_email, v_phone, v_message, null, null, null);
end;
$$;
comment on function service.create_inquiry is
  'Adds a lead, or notes the question on the person''s open one: {outcome: captured | known, inquiry_id}. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.create_inquiry(uuid, text, text, text, text) from public, anon, authenticated;
grant execute on function service.create_inquiry(uuid, text, text, text, text) to service_role;

create function service.show_inquiry(p_inquiry_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.inquiry_history(private.inquiry_org(p_inquiry_id), p_inquiry_id);
$$;
comment on function service.show_inquiry is
  'A lead with what happened to it, oldest first: {inquiry, events}. Fails: inquiry_not_found 404.';
revoke all on function service.show_inquiry(uuid) from public, anon, authenticated;
grant execute on function service.show_inquiry(uuid) to service_role;

create function service.convert_inquiry(p_inquiry_id uuid, p_client_id uuid default null)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.convert_inquiry(private.inquiry_org(p_inquiry_id), p_inquiry_id, p_client_id);
$$;
comment on function service.convert_inquiry is
  'public.convert_inquiry for operators. Fails: inquiry_not_found 404, client_not_found 404, inquiry_converted 409.';
revoke all on function service.convert_inquiry(uuid, uuid) from public, anon, authenticated;
grant execute on function service.convert_inquiry(uuid, uuid) to service_role;

create function service.inquiry_pipeline(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.inquiry_pipeline(p_org_id);
end;
$$;
comment on function service.inquiry_pipeline is
  'public.inquiry_pipeline for operators. Fails: org_not_found 404.';
revoke all on function service.inquiry_pipeline(uuid) from public, anon, authenticated;
grant execute on function service.inquiry_pipeline(uuid) to service_role;

create function service.list_referral_links(p_org_id uuid)
returns table (referral_link_id uuid, code text, name text, reward text, referrer_reward text, clicks integer, signups integer, conversions integer, is_active boolean)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select l.id, l.code, l.name, concat_ws(' ', l.reward_type, l.reward_value), concat_ws(' ', l.referrer_reward_type, l.referrer_reward_value),
         l.clicks, l.signups, l.conversions, l.is_active
    from public.referral_links as l where l.org_id = p_org_id order by l.created_at desc, l.id;
end;
$$;
comment on function service.list_referral_links is
  'An organisation''s referral links, newest first, with what they brought. Fails: org_not_found 404.';
revoke all on function service.list_referral_links(uuid) from public, anon, authenticated;
grant execute on function service.list_referral_links(uuid) to service_role;

create function service.create_referral_link(
  p_org_id uuid, p_code text, p_name text, p_reward_type text default 'none', p_reward_value integer default null,
  p_referrer_reward_type text default 'none', p_referrer_reward_value integer default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(coalesce(p_code ~ '^[A-Za-z0-9_-]{3,60}$', false), 'code');
  perform private.require_value(coalesce(char_length(btrim(p_name)) between 1 and 200, false), 'name');
  perform private.require_value(p_reward_type in ('discount', 'free_session', 'credit', 'none'), 'reward_type');
  perform private.require_value(p_referrer_reward_type in ('discount', 'free_session', 'credit', 'none'), 'referrer_reward_type');
  perform private.require_value(coalesce(p_reward_value between 0 and case p_reward_type when 'credit' then 10000000 else 100 end, true), 'reward_value');
  perform private.require_value(coalesce(p_referrer_reward_value between 0 and case p_referrer_reward_type when 'credit' then 10000000 else 100 end, true),
                                'referrer_reward_value');
  insert into public.referral_links (org_id, code, name, reward_type, reward_value, referrer_reward_type, referrer_reward_value)
  values (p_org_id, p_code, btrim(p_name), p_reward_type, p_reward_value, p_referrer_reward_type, p_referrer_reward_value)
  returning id into v_id;
  return v_id;
end;
$$;
comment on function service.create_referral_link is
  'Makes a referral link and returns its id. Rewards: discount (percent), free_session (sessions), credit (minor unit), none. Fails: org_not_found 404, referral_code_taken 409, value_not_allowed 422.';
revoke all on function service.create_referral_link(uuid, text, text, text, integer, text, integer) from public, anon, authenticated;
grant execute on function service.create_referral_link(uuid, text, text, text, integer, text, integer) to service_role;

create function service.list_referrals(p_org_id uuid, p_limit integer default 100)
returns table (referral_id uuid, code text, status text, referred_name text, referrer_name text, referrer_rewarded boolean, referred_rewarded boolean, signed_up_at timestamptz, converted_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select r.id, l.code, r.status, r.referred_name, c.full_name, r.referrer_rewarded, r.referred_rewarded, r.signed_up_at, r.converted_at
    from public.referrals as r
    join public.referral_links as l on l.org_id = r.org_id and l.id = r.referral_link_id
    left join public.clients as c on c.org_id = r.org_id and c.id = r.referrer_client_id
   where r.org_id = p_org_id
   order by r.created_at desc, r.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_referrals is
  'An organisation''s referrals, newest first. Fails: org_not_found 404.';
revoke all on function service.list_referrals(uuid, integer) from public, anon, authenticated;
grant execute on function service.list_referrals(uuid, integer) to service_role;

create function service.client_referral_link(p_client_id uuid)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.referral_link_document(private.client_org(p_client_id), p_client_id, null);
$$;
comment on function service.client_referral_link is
  'public.client_referral_link for operators. Fails: client_not_found 404, referral_not_found 404.';
revoke all on function service.client_referral_link(uuid) from public, anon, authenticated;
grant execute on function service.client_referral_link(uuid) to service_role;

create function service.credit_balance(p_client_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('balance_cents', private.credit_balance(o.id, p_client_id), 'currency', private.client_credit_currency(o.id, p_client_id))
    from (select private.client_org(p_client_id) as id) as o;
$$;
comment on function service.credit_balance is
  'public.credit_balance for operators. Fails: client_not_found 404.';
revoke all on function service.credit_balance(uuid) from public, anon, authenticated;
grant execute on function service.credit_balance(uuid) to service_role;
