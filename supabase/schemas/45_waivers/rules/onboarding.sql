-- Onboarding by a link: a client fills in what their coach must know, and signs the waiver with it. The link is used once.

-- A link that is made anew is good for thirty days from then, whoever makes it.
create function private.tg_clients__date_onboarding()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.onboarding_sent_at := now();
  return new;
end;
$$;
comment on function private.tg_clients__date_onboarding is 'Dates a new onboarding link.';
create trigger clients__date_onboarding before update of onboarding_token on public.clients
  for each row when (new.onboarding_token is not null and new.onboarding_token is distinct from old.onboarding_token)
  execute function private.tg_clients__date_onboarding();

create function private.onboarding_client(p_token text, out client public.clients, out refusal jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_token ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    select c.* into client from public.clients as c where c.onboarding_token = p_token::uuid limit 1;
  end if;
  if client.id is null then
    refusal := private.refuse_link('onboarding_miss');
  elsif not private.is_within_rate('onboarding', client.id::text, 60, '10 minutes') then
    refusal := private.rate_limited();
  elsif private.onboarding_expires_at(client) <= now() then
    refusal := private.refusal(410, 'link_expired', 'This link has ended.', 'Ask your coach for a new link.');
  end if;
end;
$$;
comment on function private.onboarding_client is
  'The client whose form a link opens, or the refusal to answer: link_not_found 404, link_expired 410, rate_limited 429.';

create function private.onboarding_expires_at(p_client public.clients)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select coalesce(p_client.onboarding_sent_at, p_client.created_at) + interval '30 days';
$$;
comment on function private.onboarding_expires_at is 'Until when a client''s onboarding link works.';

create function private.onboarding_form(p_token text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_found record := private.onboarding_client(p_token);
  v_client public.clients := v_found.client;
  v_text public.waiver_texts;
begin
  if v_found.refusal is not null then
    return v_found.refusal;
  end if;
  v_text := private.waiver_text_of(v_client.org_id);
  return private.org_document(v_client.org_id) || jsonb_build_object(
    'expires_at', private.onboarding_expires_at(v_client),
    'waiver', case when v_text.id is not null then jsonb_build_object('version', v_text.version, 'text', v_text.body) end,
    'client', (select jsonb_object_agg(a.name, to_jsonb(v_client) -> a.name) from private.onboarding_fields() as a));
end;
$$;
comment on function private.onboarding_form is 'What the onboarding page shows.';

-- The form: what may be answered, and how much of it.
create function private.onboarding_fields()
returns table (name text, kind text, most integer)
language sql immutable security definer set search_path = ''
as $$
  values ('full_name', 'line', 200), ('email', 'line', 320), ('phone', 'line', 40), ('date_of_birth', 'date', null), ('gender', 'line', 40),
         ('address_line1', 'line', 200), ('address_line2', 'line', 200), ('city', 'line', 200), ('state', 'line', 200), ('postcode', 'line', 40),
         ('height_cm', 'number', 299), ('weight_kg', 'number', 999), ('target_weight_kg', 'number', 999),
         ('goals', 'lines', 200), ('health_conditions', 'lines', 200), ('injuries', 'lines', 200), ('medications', 'lines', 200),
         ('dietary_restrictions', 'lines', 200), ('emergency_contact_name', 'line', 200), ('emergency_contact_phone', 'line', 40),
         ('experience_level', 'line', 40), ('preferred_training_days', 'lines', 200);
$$;
comment on function private.onboarding_fields is 'The columns of clients that the onboarding form fills: line (text), lines (array of at most 50), number or date, with the most of each.';

-- Returns the answers clean and of the columns' types, or refuses the first that is not what it should be.
create function private.clean_answers(p_answers jsonb, p_today date)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_clean jsonb := '{}';
  v_field record;
  v_value jsonb;
  v_line text;
begin
  perform private.require_value(coalesce(jsonb_typeof(p_answers) = 'object' and pg_column_size(p_answers) < 100000, false), 'answers');
  perform private.require_value(
    not exists (select from jsonb_object_keys(p_answers) as k where k not in (select f.name from private.onboarding_fields() as f)), 'answers');
  for v_field in
    select f.name, f.kind, f.most, p_answers -> f.name as value from private.onboarding_fields() as f where p_answers ? f.name
  loop
    v_value := v_field.value;
    if v_field.kind = 'lines' and jsonb_typeof(v_value) = 'array' then
      perform private.require_value(
        jsonb_array_length(v_value) <= 50 and not exists (
          select from jsonb_array_elements(v_value) as e where jsonb_typeof(e) <> 'string' or char_length(e #>> '{}') > v_field.most), v_field.name);
      v_value := (select coalesce(jsonb_agg(private.clean_line(e #>> '{}')), '[]')
                    from jsonb_array_elements(v_value) as e where private.clean_line(e #>> '{}') is not null);
    elsif jsonb_typeof(v_value) <> 'null' then
      perform private.require_value(v_field.kind <> 'lines' and jsonb_typeof(v_value) in ('string', 'number'), v_field.name);
      v_line := private.clean_line(v_value #>> '{}');
      perform private.require_value(coalesce(case v_field.kind
        when 'number' then v_line ~ '^[0-9]{1,3}([.][0-9]{1,3})?$' and v_line::numeric > 0 and v_line::numeric <= v_field.most
        when 'date' then private.is_date(v_line) and v_line::date between '1900-01-01' and p_today
        else char_length(v_line) <= v_field.most end, true), v_field.name);
      v_value := to_jsonb(v_line);
    end if;
    v_clean := v_clean || jsonb_build_object(v_field.name, v_value);
  end loop;
  if v_clean ? 'full_name' then
    perform private.require_value(jsonb_typeof(v_clean -> 'full_name') = 'string', 'full_name');
  end if;
  perform private.require_value(coalesce((v_clean ->> 'email') ~ '^[^@\s<>"]+@[^@\s<>"]+\.[^@\s<>"]+$', true), 'email');
  perform private.require_value(coalesce((v_clean ->> 'gender') in ('male', 'female', 'other', 'prefer_not_to_say'), true), 'gender');
  perform private.require_value(coalesce((v_clean ->> 'experience_level') in ('beginner', 'intermediate', 'advanced'), true), 'experience_level');
  return v_clean;
end;
$$;
comment on function private.clean_answers is 'The answers of an onboarding form, clean. Fails: value_not_allowed 422, naming the field.';

create function private.submit_onboarding(p_token text, p_answers jsonb, p_signer_name text, p_waiver_version integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_found record := private.onboarding_client(p_token);
  v_client public.clients := v_found.client;
  v_signer text := private.clean_line(p_signer_name);
  v_text public.waiver_texts;
  v_waiver_id uuid;
  v_answers jsonb;
begin
  if v_found.refusal is not null then
    return v_found.refusal;
  end if;
  v_answers := private.clean_answers(p_answers, private.org_today(v_client.org_id));
  -- The row is the lock: of two tabs the second finds the link used.
  select c.* into v_client
    from public.clients as c
   where c.org_id = v_client.org_id and c.id = v_client.id and c.onboarding_token = p_token::uuid
     for no key update;
  if not found then
    return private.refuse_link('onboarding_miss');
  end if;
  if (private.waiver_text_of(v_client.org_id)).id is not null then
    perform private.require_value(coalesce(char_length(v_signer) between 2 and 200, false), 'signer_name');
    v_text := private.require_waiver_text(v_client.org_id, p_waiver_version);
  end if;
  v_client := jsonb_populate_record(v_client, v_answers);
  update public.clients as c
     set full_name = v_client.full_name, email = v_client.email, phone = v_client.phone, date_of_birth = v_client.date_of_birth,
         gender = v_client.gender, address_line1 = v_client.address_line1, address_line2 = v_client.address_line2, city = v_client.city,
         state = v_client.state, postcode = v_client.postcode, height_cm = v_client.height_cm, weight_kg = v_client.weight_kg,
         target_weight_kg = v_client.target_weight_kg, goals = v_client.goals, health_conditions = v_client.health_conditions,
         injuries = v_client.injuries, medications = v_client.medications, dietary_restrictions = v_client.dietary_restrictions,
         emergency_contact_name = v_client.emergency_contact_name, emergency_contact_phone = v_client.emergency_contact_phone,
         experience_level = v_client.experience_level, preferred_training_days = v_client.preferred_training_days,
         onboarding_completed_at = now(), onboarding_token = null
   where c.org_id = v_client.org_id and c.id = v_client.id;
  if v_text.id is not null then
    insert into public.client_waivers (
      org_id, client_id, status, signed_at, signed_ip, expires_at, source, waiver_text_id, signer_name)
    values (v_client.org_id, v_client.id, 'signed', now(), nullif(private.caller_address(), ''), null, 'onboarding', v_text.id, v_signer)
    returning id into v_waiver_id;
    perform private.settle_signature(v_client.org_id, v_client.id, v_waiver_id);
  end if;
  perform private.tell_onboarded(v_client.org_id, v_client.id);
  return private.outcome('submitted', jsonb_build_object('client_id', v_client.id, 'org_id', v_client.org_id, 'waiver_signed', v_text.id is not null));
end;
$$;
comment on function private.submit_onboarding is
  'Takes in an onboarding form, once: {outcome: submitted, client_id, org_id, waiver_signed}; the link works no more. Fails: value_not_allowed 422, waiver_changed 409.';

-- The coach's phone is told once for each form; the existing page asks for it after submitting.
create function private.tell_onboarded(p_org_id uuid, p_client_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_done_at timestamptz := (select c.onboarding_completed_at from public.clients as c where c.org_id = p_org_id and c.id = p_client_id);
  v_phone text := (select private.e164(s.notify_phone, private.phone_region(p_org_id)) from public.booking_settings as s where s.org_id = p_org_id);
  v_key text := 'onboarded-' || p_client_id || '-' || extract(epoch from v_done_at);
begin
  if v_done_at is null or v_done_at < now() - interval '1 hour' then
    return jsonb_build_object('notified', false, 'reason', 'not_onboarded');
  elsif v_phone is null then
    return jsonb_build_object('notified', false, 'reason', 'no_phone');
  end if;
  perform private.queue_message(
    p_org_id, 'sms', 'coach_notice', p_client_id, v_key, p_to_address => v_phone, p_metadata => jsonb_build_object('notice', 'onboarding form done'));
  return jsonb_build_object('notified', exists (
    select from public.outbox_messages as m where m.org_id = p_org_id and m.idempotency_key = v_key));
end;
$$;
comment on function private.tell_onboarded is
  'Texts the coach that a client has filled in the form, once: {notified, reason: not_onboarded | no_phone}.';

create function private.member_send_onboarding(p_client_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'clients.write');
  v_token uuid;
  v_path text;
  v_url text;
  v_answer jsonb;
begin
  perform private.refuse_support_access(v_org_id);
  -- An open link stays open and lasts anew; one that has ended is replaced.
  update public.clients as c
     set onboarding_token = case when private.onboarding_expires_at(c) > now() then coalesce(c.onboarding_token, gen_random_uuid()) else gen_random_uuid() end,
         onboarding_sent_at = now()
   where c.org_id = v_org_id and c.id = p_client_id
  returning c.onboarding_token into v_token;
  v_path := '/onboard/' || v_token;
  v_url := private.app_link(v_path);
  v_answer := case when v_url is null then private.outcome('off') else private.send_to_client(
    v_org_id, p_client_id, 'onboarding_link', null, null, jsonb_build_object('link', v_url), null, null, null,
    'onboarding_link-' || v_token || '-' || floor(extract(epoch from now()) / 60), auth.uid()) end;
  return jsonb_build_object('onboarding_url', coalesce(v_url, v_path), 'onboarding_token', v_token,
                            'sms_sent', v_answer ->> 'outcome' = 'queued', 'outcome', v_answer ->> 'outcome');
end;
$$;
comment on function private.member_send_onboarding is
  'Texts a client the link of their onboarding form: {onboarding_url, onboarding_token, sms_sent, outcome}; twice within a minute is once.';
