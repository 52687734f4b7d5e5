-- Progress rules: what a reported fact must hold, and whose photos a path may name.

-- A number as the apps send it: as a number, or as text from a field.
create function private.json_number(p_value jsonb)
returns numeric
language sql immutable security invoker set search_path = ''
as $$
  select case when jsonb_typeof(p_value) = 'number' or jsonb_typeof(p_value) = 'string' and p_value #>> '{}' ~ '^\s*-?[0-9]{1,9}(\.[0-9]{1,9})?\s*$'
              then (p_value #>> '{}')::numeric end;
$$;
comment on function private.json_number is 'A JSON number, or a text that is one; null for anything else.';

-- What a fact says of its type is what screens and automations count on. Photos and habits must be the client's own: a row of one
-- client that names another's would be shown as theirs.
create function private.tg_activity_events__check_fact()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_weight numeric;
begin
  -- People outside the organisation learn nothing of its habits here: the policies refuse them next.
  if auth.role() = 'authenticated' and not (new.org_id = any (private.orgs_with('progress.write')) or new.client_id = any (private.my_client_ids())) then
    return new;
  end if;
  if exists (select from unnest(new.photo_paths) as p (path)
              where p.path is null or char_length(p.path) > 500 or p.path ~ '(^|/)\.{1,2}(/|$)' or not starts_with(p.path, new.client_id::text || '/')) then
    perform private.fail(422, 'photo_path_invalid', 'A photo does not lie in the client''s own folder.', 'Upload it below the client''s id.');
  end if;
  case new.type
    when 'weight' then
      v_weight := private.json_number(new.payload -> 'value');
      if v_weight is null or v_weight <= 0 or v_weight >= 2500 then
        perform private.fail(422, 'fact_invalid', 'This fact lacks what its type needs.', 'Send a weight as {value, unit}.');
      end if;
    when 'habit' then
      -- A habit that was taken off the client's list since the screen was opened still is a fact.
      if not exists (select from public.habits as h
                      where h.org_id = new.org_id and h.id::text = lower(new.payload ->> 'habit_id')) then
        perform private.fail(422, 'fact_invalid', 'This fact lacks what its type needs.', 'Send a habit as {habit_id, habit_name}, one of the organisation''s.');
      end if;
    else null;
  end case;
  return new;
end;
$$;
comment on function private.tg_activity_events__check_fact is
  'Refuses a weight without a number, a habit that is none and a photo outside the client''s folder: fact_invalid 422, photo_path_invalid 422.';
create trigger activity_events__check_fact before insert on public.activity_events
  for each row execute function private.tg_activity_events__check_fact();

-- A photo belongs to the check-in of the same client.
create function private.tg_checkin_photos__check_event()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if exists (select from public.activity_events as e
              where e.org_id = new.org_id and e.id = new.activity_event_id and e.client_id <> new.client_id) then
    perform private.fail(404, 'reference_not_found', 'Something this row points to does not exist.', 'Check activity_event_id.');
  end if;
  return new;
end;
$$;
comment on function private.tg_checkin_photos__check_event is 'Refuses a photo on another client''s check-in: reference_not_found 404.';
create trigger checkin_photos__check_event before insert on public.checkin_photos
  for each row when (new.activity_event_id is not null) execute function private.tg_checkin_photos__check_event();

-- For the bucket's policies: the client whose folder a path lies in, null where it lies in none.
create function private.photo_client(p_path text)
returns uuid
language sql immutable security invoker set search_path = ''
as $$
  select case when split_part(p_path, '/', 1) ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' and split_part(p_path, '/', 2) <> ''
                   and char_length(p_path) <= 500 and p_path !~ '(^|/)\.{1,2}(/|$)'
              then split_part(p_path, '/', 1)::uuid end;
$$;
comment on function private.photo_client is 'The client whose folder of progress-photos a path lies in; null where it lies in none.';
