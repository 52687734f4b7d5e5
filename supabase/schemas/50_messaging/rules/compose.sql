-- What a message says. Composed when it is sent, from what is true then: one function renders, one writes the time of a booking, so
-- that all messages of a booking show the same time, and follow the organisation's timezone and locale at once.

create function private.datetime_text(p_timezone text, p_locale text, p_at timestamptz)
returns text
language sql stable security definer set search_path = ''
as $$
  select case p_locale
           when 'en-US' then to_char(l.at, 'FMDy, FMMon FMDD') || ' at ' || to_char(l.at, 'FMHH12:MI AM')
           when 'en-CA' then to_char(l.at, 'FMDy, FMMon FMDD') || ' at ' || lower(to_char(l.at, 'FMHH12:MI AM'))
           when 'en-GB' then to_char(l.at, 'FMDy FMDD FMMon') || ' at ' || to_char(l.at, 'HH24:MI')
           when 'en-IE' then to_char(l.at, 'FMDy FMDD FMMon') || ' at ' || to_char(l.at, 'HH24:MI')
           else to_char(l.at, 'FMDy FMDD FMMon') || ' at ' || lower(to_char(l.at, 'FMHH12:MI AM'))
         end
    from (select p_at at time zone p_timezone as at) as l;
$$;
comment on function private.datetime_text is 'An instant as people of that locale read it, such as Tue 3 Mar at 9:30 am.';

create function private.org_datetime_text(p_org_id uuid, p_at timestamptz)
returns text
language sql stable security definer set search_path = ''
as $$
  select private.datetime_text(
    private.org_timezone(p_org_id),
    coalesce((select s.locale from public.sms_settings as s where s.org_id = p_org_id), 'en-AU'), p_at);
$$;
comment on function private.org_datetime_text is 'An instant in the organisation''s timezone and locale: the one form that messages show.';

create function private.placeholders(p_body text)
returns text[]
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(array_agg(distinct m.found[1] order by m.found[1]), '{}')
    from regexp_matches(p_body, '\{\{?\s*([A-Za-z0-9_.-]+)\s*\}\}?', 'g') as m (found);
$$;
comment on function private.placeholders is 'The names in {braces} or {{double braces}} of a template.';

-- Each placeholder once and none inside what another was replaced by: a client named "{link}" stays so.
create function private.render(p_body text, p_variables jsonb)
returns text
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_rest text := coalesce(p_body, '');
  v_done text := '';
  v_found text[];
  v_at integer;
begin
  loop
    v_found := regexp_match(v_rest, '(\{\{?\s*([A-Za-z0-9_.-]+)\s*\}\}?)');
    exit when v_found is null;
    v_at := position(v_found[1] in v_rest);
    v_done := v_done || left(v_rest, v_at - 1) || coalesce(p_variables ->> v_found[2], '');
    v_rest := substr(v_rest, v_at + char_length(v_found[1]));
  end loop;
  return btrim(regexp_replace(v_done || v_rest, ' {2,}', ' ', 'g'));
end;
$$;
comment on function private.render is 'A template with its placeholders replaced; one without a value is left out.';

create function private.template_variables(p_template_key text)
returns text[]
language sql stable security definer set search_path = ''
as $$
  select coalesce((select k.variables from private.message_kinds as k where k.kind = p_template_key),
                  (select array_agg(distinct v) from private.message_kinds as k cross join unnest(k.variables) as v));
$$;
comment on function private.template_variables is 'The placeholders that a template of this key may use; a key of the organisation''s own may use all.';

create function private.check_template(p_body text, p_variables text[])
returns void
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_unknown text[] := (select array_agg(p) from unnest(private.placeholders(p_body)) as p where p <> all (p_variables));
begin
  if v_unknown is not null then
    perform private.fail(422, 'placeholder_unknown', 'This template uses a placeholder that does not exist here.',
                         format('Use only: %s.', array_to_string(p_variables, ', ')));
  elsif p_body ~ '[{}]' and regexp_replace(p_body, '\{\{?\s*[A-Za-z0-9_.-]+\s*\}\}?', '', 'g') ~ '[{}]' then
    perform private.fail(422, 'placeholder_malformed', 'A placeholder of this template is not closed.', 'Write it as {client_name}.');
  elsif p_body ~* '\m(reply|respond|text|send|answer|type)\M'
        and (p_body ~ '\mCANCEL\M' or p_body ~* '["''“‘]cancel["''”’]'
             or p_body ~* '\m(reply|respond|text|send|answer|type)\M(\s+(us|back|with|the|word|by|sms))*[\s:]+cancel\M'
             or p_body ~* '\mor\s+cancel\s+to\M') then
    perform private.fail(422, 'template_invites_cancel', 'Carriers take the answer CANCEL for an opt-out from all messages.',
                         'Invite R to reschedule instead.');
  end if;
end;
$$;
comment on function private.check_template is
  'Refuses a text that cannot be sent as meant: placeholder_unknown 422, placeholder_malformed 422, template_invites_cancel 422.';

create function private.tg_sms_templates__check()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.body is null or new.template_key is null then
    return new;
  end if;
  perform private.check_template(new.body, private.template_variables(new.template_key));
  new.variables_schema := to_jsonb(private.placeholders(new.body));
  if tg_op = 'INSERT' then
    -- Two tabs that save one key get two versions.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(new.org_id::text || new.template_key, 2));
    new.version := 1 + coalesce((select max(t.version) from public.sms_templates as t
                                  where t.org_id = new.org_id and t.template_key = new.template_key), 0);
  end if;
  return new;
end;
$$;
comment on function private.tg_sms_templates__check is 'Checks a template''s text and numbers its version.';
create trigger sms_templates__check before insert or update of body on public.sms_templates
  for each row execute function private.tg_sms_templates__check();

create function private.tg_sms_schedules__check()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.body is not null then
    perform private.check_template(new.body, private.template_variables(
      case new.type when 'pre_session' then 'booking_reminder' else 'booking_follow_up' end));
  end if;
  return new;
end;
$$;
comment on function private.tg_sms_schedules__check is 'Checks a schedule''s text.';
create trigger sms_schedules__check before insert or update of body, type on public.sms_schedules
  for each row execute function private.tg_sms_schedules__check();
create trigger sms_templates__touch before update on public.sms_templates
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger sms_schedules__touch before update on public.sms_schedules
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger sms_settings__touch before update on public.sms_settings
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

create function private.app_link(p_path text)
returns text
language sql stable security definer set search_path = ''
as $$
  select rtrim(s.value, '/') || p_path from private.platform_settings as s where s.name = 'app_url';
$$;
comment on function private.app_link is 'The address of a page of the apps; null where the platform has not said where they are.';

-- What the placeholders stand for, at this moment.
create function private.message_variables(p_message public.outbox_messages)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object(
           'client_name', c.full_name,
           'first_name', split_part(c.full_name, ' ', 1),
           'business_name', coalesce((select nullif(btrim(b.display_name), '') from public.branding as b where b.org_id = o.id), o.name),
           'coach_name', coalesce(s.full_name, o.name),
           'portal_link', private.app_link('/portal/' || c.portal_token),
           'feedback_link', case when k.id is not null then private.app_link('/feedback/' || k.id) end,
           'session_datetime', private.org_datetime_text(o.id, coalesce(x.next_start, k.start_time, (p_message.metadata ->> 'start_time')::timestamptz)),
           'session_type', coalesce(t.name, replace(k.session_type, '_', ' ')),
           'location', (select ' at ' || l.name from public.locations as l where l.org_id = o.id and l.id = coalesce(k.location_id, h.location_id)),
           'previous_datetime', private.org_datetime_text(o.id, (p_message.metadata ->> 'previous_start')::timestamptz),
           'offer_until', private.org_datetime_text(o.id, (p_message.metadata ->> 'offer_until')::timestamptz),
           'session_count', x.ahead,
           'sessions_remaining', r.remaining,
           'sessions_booked', r.booked,
           'session_summary', format('%s left, %s booked', private.count_text(r.remaining, 'session'), r.booked),
           'answer_hint', case p_message.channel when 'sms' then 'Reply Y to confirm or R to reschedule.' end,
           'link', p_message.metadata ->> 'link', 'notice', p_message.metadata ->> 'notice', 'message', p_message.metadata ->> 'message'))
         || p_message.variables
    from public.orgs as o
    left join public.clients as c on c.org_id = o.id and c.id = p_message.client_id
    left join public.bookings as k on k.org_id = o.id and k.id = p_message.booking_id
    left join private.holds as h on h.org_id = o.id and h.id = (p_message.metadata ->> 'hold_id')::uuid
    left join public.staff as s on s.org_id = o.id and s.id = coalesce(k.staff_id, h.staff_id)
    left join public.session_types as t on t.org_id = o.id and t.id = coalesce(k.session_type_id, h.session_type_id)
   -- What is told of a whole series: its next date, and how many there are.
   cross join lateral (
     select count(*) as ahead, case when p_message.kind in ('series_booked', 'series_moved') then min(b.start_time) end as next_start
       from public.bookings as b
      where b.org_id = o.id and b.series_id = k.series_id and b.status in ('pending', 'confirmed') and b.start_time > now()) as x
   cross join lateral (
     select coalesce(sum(p.sessions_remaining), 0)::integer as remaining,
            (select count(*)::integer from public.bookings as b
              where b.org_id = o.id and b.client_id = c.id and b.status in ('pending', 'confirmed') and b.start_time > now()) as booked
       from public.client_purchases as p
      where p.org_id = o.id and p.client_id = c.id and p.valid_during @> now()) as r
   where o.id = p_message.org_id;
$$;
comment on function private.message_variables is 'The values of every placeholder for one message, as they are now.';

create function private.count_text(p_count integer, p_noun text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select p_count || ' ' || p_noun || case when p_count = 1 then '' else 's' end;
$$;
comment on function private.count_text is 'A number with its noun, such as 2 sessions.';

-- The words: the schedule's or the text's to many, else the organisation's newest active template of the key, else what the kind says.
create function private.message_words(p_message public.outbox_messages, out subject text, out body text, out template_id uuid)
language sql stable security definer set search_path = ''
as $$
  select coalesce(p_message.subject, k.subject),
         coalesce((select x.body from public.sms_schedules as x where x.org_id = p_message.org_id and x.id = p_message.schedule_id),
                  (select x.body from public.marketing_sends as x where x.org_id = p_message.org_id and x.id = p_message.marketing_send_id),
                  t.body, k.body),
         t.id
    from private.message_kinds as k
    left join lateral (
      select x.id, x.body from public.sms_templates as x
       where x.org_id = p_message.org_id and x.template_key = coalesce(p_message.template_key, p_message.kind)
         -- A key of the organisation's own has no other words: those it had stay, for what waits already.
         and (x.is_active or k.kind <> coalesce(p_message.template_key, k.kind))
       order by x.is_active desc, x.version desc limit 1) as t on p_message.schedule_id is null and p_message.marketing_send_id is null
   where k.kind = p_message.kind;
$$;
comment on function private.message_words is 'The template that a message is composed from: {subject, body, template_id}.';

create function private.compose(p_message public.outbox_messages, out subject text, out body text, out template_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_words record;
  v_variables jsonb;
begin
  subject := p_message.subject;
  body := p_message.body;
  template_id := p_message.template_id;
  if body is null or p_message.channel = 'email' and subject is null then
    v_words := private.message_words(p_message);
    v_variables := private.message_variables(p_message);
    subject := coalesce(subject, left(private.render(v_words.subject, v_variables), 200));
  end if;
  if body is null then
    body := left(private.render(v_words.body, v_variables), 1600);
    template_id := v_words.template_id;
  end if;
end;
$$;
comment on function private.compose is 'What a message says: {subject, body, template_id}; a text that was given stays as it is.';
