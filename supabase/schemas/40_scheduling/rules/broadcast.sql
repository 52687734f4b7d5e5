-- Telling open calendars that something changed, where Supabase Realtime is there. A message carries no booking: the app answers it
-- with its next `calendar(…, p_since)`.

create function private.tg_bookings__broadcast()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_ids uuid[];
begin
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is not null then
    select array_agg(distinct c.org_id) into v_org_ids from changed as c;
    execute $send$
      select realtime.send(jsonb_build_object('org_id', o.id, 'changed_at', now()), 'bookings_changed', 'calendar:' || o.id, true)
        from unnest($1) as o (id)
    $send$ using v_org_ids;
  end if;
  return null;
end;
$$;
comment on function private.tg_bookings__broadcast is
  'Sends one private message per organisation and statement to the topic calendar:<org_id>, where Realtime exists.';
create trigger bookings__broadcast_new after insert on public.bookings
  referencing new table as changed for each statement execute function private.tg_bookings__broadcast();
create trigger bookings__broadcast_changed after update on public.bookings
  referencing new table as changed for each statement execute function private.tg_bookings__broadcast();
