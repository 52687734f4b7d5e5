-- What an automation may say: refused when it is saved, with a sentence that says what is wrong.

create function private.condition_number(p_value jsonb)
returns numeric
language sql immutable security invoker set search_path = ''
as $$
  select case when jsonb_typeof(p_value) in ('number', 'string') and p_value #>> '{}' ~ '^-?[0-9]{1,12}(\.[0-9]{1,6})?$'
              then (p_value #>> '{}')::numeric end;
$$;
comment on function private.condition_number is 'A number, also where a form sent it as text; null when it is none.';

create function private.is_whole(p_value jsonb, p_from integer, p_until integer)
returns boolean
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(p_value #>> '{}' ~ '^[0-9]{1,9}$' and private.condition_number(p_value) between p_from and p_until, false);
$$;
comment on function private.is_whole is 'True for a whole number within a range.';

create function private.require_trigger(p_is_ok boolean, p_sentence text, p_hint text)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if p_is_ok is not true then
    perform private.fail(422, 'automation_trigger_invalid', p_sentence, p_hint);
  end if;
end;
$$;
comment on function private.require_trigger is 'Refuses a trigger that cannot be meant: automation_trigger_invalid 422.';

create function private.require_condition(p_is_ok boolean, p_sentence text, p_hint text)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if p_is_ok is not true then
    perform private.fail(422, 'automation_condition_invalid', p_sentence, p_hint);
  end if;
end;
$$;
comment on function private.require_condition is 'Refuses a condition that cannot be meant: automation_condition_invalid 422.';

create function private.require_action(p_is_ok boolean, p_sentence text, p_hint text)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if p_is_ok is not true then
    perform private.fail(422, 'automation_action_invalid', p_sentence, p_hint);
  end if;
end;
$$;
comment on function private.require_action is 'Refuses an action that cannot be done: automation_action_invalid 422.';

create function private.require_guardrail(p_is_ok boolean, p_sentence text, p_hint text)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if p_is_ok is not true then
    perform private.fail(422, 'automation_guardrail_invalid', p_sentence, p_hint);
  end if;
end;
$$;
comment on function private.require_guardrail is 'Refuses a guardrail that cannot be meant: automation_guardrail_invalid 422.';

create function private.check_automation(p_org_id uuid, p_trigger jsonb, p_conditions jsonb, p_actions jsonb, p_guardrails jsonb)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.check_trigger(p_trigger),
          private.check_conditions(p_conditions),
          private.check_actions(p_org_id, p_actions),
          private.check_guardrails(p_guardrails);
end;
$$;
comment on function private.check_automation is
  'Refuses an automation that could not do what it says: automation_trigger_invalid, automation_condition_invalid, automation_action_invalid, automation_guardrail_invalid, placeholder_unknown, placeholder_malformed, all 422.';

-- A time, a date or a number that is not given has a default; one that is given must be one.
create function private.check_trigger(p_trigger jsonb)
returns void
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_type text := p_trigger ->> 'type';
  v_schedule text := p_trigger ->> 'schedule';
begin
  perform private.require_trigger(jsonb_typeof(p_trigger) = 'object' and v_type in ('schedule', 'event'),
    'A trigger is a schedule or an event.', 'Send {"type": "schedule", "schedule": "daily"} or {"type": "event", "event": "risk_red"}.');
  if v_type = 'schedule' then
    perform private.require_trigger(v_schedule in ('hourly', 'daily', 'weekly', 'fortnightly', 'monthly'),
              'The schedule is none that is known.', 'Choose hourly, daily, weekly, fortnightly or monthly.'),
            private.require_trigger(p_trigger ->> 'minute' is null or v_schedule = 'hourly' and private.is_whole(p_trigger -> 'minute', 0, 59),
              'The minute is not one of an hour.', 'An hourly schedule takes a minute from 0 to 59; the others take a time.'),
            private.require_trigger(p_trigger ->> 'day_of_week' is null or private.is_whole(p_trigger -> 'day_of_week', 0, 6),
              'The day of the week is none.', 'Send a number from 0 (Sunday) to 6.'),
            private.require_trigger(p_trigger ->> 'day_of_month' is null or private.is_whole(p_trigger -> 'day_of_month', 1, 31),
              'The day of the month is none.', 'Send a number from 1 to 31; in a shorter month its last day is meant.'),
            private.require_trigger(p_trigger ->> 'starts_on' is null or private.is_date(p_trigger ->> 'starts_on'),
              'The first day is not a date.', 'Send it as 2026-11-23.'),
            private.require_trigger(coalesce(p_trigger ->> 'missed', 'latest') in ('skip', 'latest', 'all'),
              'What to do with missed times is none that is known.', 'Choose skip, latest or all.'),
            private.require_trigger(p_trigger ->> 'grace_hours' is null or private.is_whole(p_trigger -> 'grace_hours', 1, 168),
              'How late it may still fire is out of range.', 'Send grace_hours from 1 to 168.');
  else
    perform private.require_trigger(
              p_trigger ->> 'event' in ('inactivity', 'risk_red', 'payment_failed', 'booking_completed', 'package_low', 'birthday'),
              'The event is none that is known.', 'Choose inactivity, risk_red, payment_failed, booking_completed, package_low or birthday.'),
            private.require_trigger(p_trigger ->> 'days' is null or p_trigger ->> 'event' = 'inactivity' and private.is_whole(p_trigger -> 'days', 1, 365),
              'The days without activity are out of range.', 'The event inactivity takes days from 1 to 365.'),
            private.require_trigger(p_trigger ->> 'sessions' is null or p_trigger ->> 'event' = 'package_low' and private.is_whole(p_trigger -> 'sessions', 0, 20),
              'The sessions left are out of range.', 'The event package_low takes sessions from 0 to 20.');
  end if;
  perform private.require_trigger(p_trigger ->> 'time' is null or p_trigger ->> 'time' ~ '^([01][0-9]|2[0-3]):[0-5][0-9](:00)?$',
    'The time is none of a day.', 'Send it as 09:00.');
end;
$$;
comment on function private.check_trigger is 'Refuses a trigger that cannot be meant.';

create function private.is_date(p_text text)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return p_text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' and p_text::date is not null;
exception when datetime_field_overflow or invalid_datetime_format then
  return false;
end;
$$;
comment on function private.is_date is 'True for a date such as 2026-11-23.';

create function private.condition_operator(p_operator text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case
    when p_operator in ('=', '==', 'eq', 'equals', 'is') then '='
    when p_operator in ('!=', '<>', 'neq', 'ne', 'not_equals', 'is_not') then '<>'
    when p_operator in ('<', 'lt', 'less_than') then '<'
    when p_operator in ('<=', 'lte', 'at_most') then '<='
    when p_operator in ('>', 'gt', 'greater_than') then '>'
    when p_operator in ('>=', 'gte', 'at_least') then '>='
    when p_operator = 'in' then 'in'
    when p_operator = 'not_in' then 'not_in' end;
$$;
comment on function private.condition_operator is 'An operator as it is meant; null when it is none.';

create function private.condition_kind(p_field text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case
    when p_field in ('risk_score', 'days_since_activity', 'sessions_remaining', 'sessions_booked', 'days_as_client') then 'number'
    when p_field in ('risk_tier', 'subscription_status', 'status') then 'text' end;
$$;
comment on function private.condition_kind is 'What the values of a field are: number or text; null when there is no such field.';

create function private.check_conditions(p_conditions jsonb)
returns void
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_condition record;
  v_kind text;
  v_operator text;
begin
  perform private.require_condition(jsonb_typeof(p_conditions) = 'array' and jsonb_array_length(p_conditions) <= 20,
    'Conditions are a list of at most twenty.', 'Send [] for everybody.');
  for v_condition in select c.value, c.nth from jsonb_array_elements(p_conditions) with ordinality as c (value, nth) loop
    v_kind := private.condition_kind(v_condition.value ->> 'field');
    v_operator := private.condition_operator(v_condition.value ->> 'operator');
    perform private.require_condition(v_kind is not null, 'A condition asks about a field that does not exist.',
              format('In condition %s use risk_tier, risk_score, subscription_status, days_since_activity, status, sessions_remaining, sessions_booked or days_as_client.', v_condition.nth)),
            private.require_condition(v_operator is not null and (v_kind = 'number' or v_operator in ('=', '<>', 'in', 'not_in')),
              'A condition compares in a way that its field does not allow.',
              format('In condition %s use %s.', v_condition.nth, case v_kind when 'number' then '=, !=, <, <=, >, >=, in or not_in' else '=, !=, in or not_in' end)),
            private.require_condition(
              case when v_operator in ('in', 'not_in')
                   then jsonb_typeof(v_condition.value -> 'value') = 'array'
                        and not exists (select from jsonb_array_elements(v_condition.value -> 'value') as x
                                         where case v_kind when 'number' then private.condition_number(x) is null else jsonb_typeof(x) <> 'string' end)
                   when v_kind = 'number' then private.condition_number(v_condition.value -> 'value') is not null
                   else jsonb_typeof(v_condition.value -> 'value') = 'string' end,
              'A condition compares with a value of the wrong kind.',
              format('In condition %s send %s%s.', v_condition.nth, case when v_operator in ('in', 'not_in') then 'a list of ' else '' end,
                     case v_kind when 'number' then 'numbers' else 'words' end)),
            private.require_condition(v_condition.value ->> 'field' <> 'risk_tier' or not exists (
              select from jsonb_array_elements_text(case jsonb_typeof(v_condition.value -> 'value') when 'array' then v_condition.value -> 'value'
                                                    else jsonb_build_array(v_condition.value -> 'value') end) as x where x not in ('green', 'amber', 'red')),
              'A condition names a risk tier that does not exist.', format('In condition %s use green, amber or red.', v_condition.nth));
  end loop;
end;
$$;
comment on function private.check_conditions is 'Refuses conditions that cannot be meant.';

-- The words of an action, wherever the app puts them.
create function private.action_text(p_params jsonb)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select nullif(btrim(coalesce(p_params ->> 'message', p_params ->> 'body', p_params ->> 'text')), '');
$$;
comment on function private.action_text is 'What an action says: params.message, body or text; null when it says nothing.';

create function private.check_actions(p_org_id uuid, p_actions jsonb)
returns void
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_action record;
  v_params jsonb;
  v_text text;
begin
  perform private.require_action(jsonb_typeof(p_actions) = 'array' and jsonb_array_length(p_actions) between 1 and 10,
    'An automation has one to ten actions.', 'Send [{"type": "send_message", "params": {"message": "…"}}].');
  for v_action in select a.value ->> 'type' as type, a.value -> 'params' as params, a.nth
                    from jsonb_array_elements(p_actions) with ordinality as a (value, nth) loop
    v_params := coalesce(nullif(v_action.params, 'null'), '{}');
    perform private.require_action(v_action.type in ('send_message', 'send_push', 'notify_trainer', 'webhook'),
              'An action is none that is known.', format('In action %s use send_message, send_push, notify_trainer or webhook.', v_action.nth)),
            private.require_action(jsonb_typeof(v_params) = 'object', 'The parameters of an action are not an object.',
              format('In action %s send params as {…}.', v_action.nth));
    v_text := private.action_text(v_params);
    if v_action.type in ('send_message', 'send_push') then
      perform private.require_action(char_length(v_text) <= 1600, 'A message says nothing, or too much.',
                format('In action %s send params.message of 1 to 1600 characters.', v_action.nth)),
              private.require_action(v_action.type = 'send_push' or coalesce(v_params ->> 'channel', 'thread') in ('thread', 'sms', 'email'),
                'A message goes by a channel that does not exist.', format('In action %s use the channel thread, sms or email.', v_action.nth));
    elsif v_action.type = 'webhook' then
      perform private.require_action(exists (select from public.webhook_endpoints as e
                                              where e.org_id = p_org_id and e.id::text = v_params ->> 'endpoint_id'),
                'A webhook posts to an endpoint that does not exist.',
                format('In action %s send params.endpoint_id of one of the organisation''s endpoints.', v_action.nth));
    end if;
    perform private.require_action(coalesce(char_length(v_params ->> 'title'), 0) <= 200 and coalesce(char_length(v_params ->> 'subject'), 0) <= 200
                and coalesce(char_length(v_text), 0) <= 1600, 'A title, a subject or a note is too long.',
              format('In action %s send at most 200 characters, or 1600 of text.', v_action.nth)),
            private.check_template(concat_ws(' ', v_params ->> 'title', v_params ->> 'subject', v_text), private.template_variables('thread_message'));
  end loop;
end;
$$;
comment on function private.check_actions is 'Refuses actions that cannot be done.';

create function private.check_guardrails(p_guardrails jsonb)
returns void
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_unknown text;
begin
  perform private.require_guardrail(jsonb_typeof(p_guardrails) = 'object', 'Guardrails are not an object.', 'Send {} for none.');
  select k into v_unknown from jsonb_object_keys(p_guardrails) as k
   where k not in ('max_per_client_per_day', 'max_per_client_per_week', 'quiet_hours_start', 'quiet_hours_end', 'dedupe_hours') limit 1;
  perform private.require_guardrail(v_unknown is null, 'A guardrail is none that is known, and so would guard nothing.',
            'Use max_per_client_per_day, max_per_client_per_week, quiet_hours_start, quiet_hours_end and dedupe_hours.'),
          private.require_guardrail(p_guardrails ->> 'max_per_client_per_day' is null or private.is_whole(p_guardrails -> 'max_per_client_per_day', 1, 100),
            'How often a client may be met on a day is out of range.', 'Send max_per_client_per_day from 1 to 100.'),
          private.require_guardrail(p_guardrails ->> 'max_per_client_per_week' is null or private.is_whole(p_guardrails -> 'max_per_client_per_week', 1, 700),
            'How often a client may be met in a week is out of range.', 'Send max_per_client_per_week from 1 to 700.'),
          private.require_guardrail(p_guardrails ->> 'dedupe_hours' is null or private.is_whole(p_guardrails -> 'dedupe_hours', 0, 8760),
            'The hours without a repeat are out of range.', 'Send dedupe_hours from 0 to 8760.'),
          private.require_guardrail((p_guardrails ->> 'quiet_hours_start' is null) = (p_guardrails ->> 'quiet_hours_end' is null)
              and (p_guardrails ->> 'quiet_hours_start' is null
                   or num_nulls(private.guard_hour(p_guardrails -> 'quiet_hours_start'), private.guard_hour(p_guardrails -> 'quiet_hours_end')) = 0),
            'Quiet hours need a whole hour to begin and one to end.', 'Send quiet_hours_start and quiet_hours_end, each 0 to 23 or as 21:00.');
end;
$$;
comment on function private.check_guardrails is 'Refuses guardrails that would not guard as meant.';
