-- Conversations: one thread per client, wherever a message came from.

create function private.thread_of(p_org_id uuid, p_client_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  select t.id into v_id from public.message_threads as t where t.org_id = p_org_id and t.client_id = p_client_id;
  if not found then
    insert into public.message_threads (org_id, client_id) values (p_org_id, p_client_id)
    on conflict (org_id, client_id) do nothing
    returning id into v_id;
    if v_id is null then
      select t.id into v_id from public.message_threads as t where t.org_id = p_org_id and t.client_id = p_client_id;
    end if;
  end if;
  return v_id;
end;
$$;
comment on function private.thread_of is 'The client''s thread, made with the first message.';

create function private.log_communication(
  p_org_id uuid, p_client_id uuid, p_type text, p_direction text, p_content text, p_user_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into public.client_communications (org_id, client_id, user_id, type, direction, content)
  values (p_org_id, p_client_id, p_user_id, p_type, p_direction, left(coalesce(nullif(btrim(p_content), ''), '(no text)'), 20000));
$$;
comment on function private.log_communication is 'Adds to the client''s log of communications.';

-- Coaches and clients are both `authenticated`: who writes is who they are, whatever the app sends.
create function private.tg_messages__check_sender()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if auth.role() = 'authenticated' then
    new.sender_user_id := auth.uid();
    if new.sender_type = 'trainer' and not new.org_id = any (private.orgs_with('messages.write'))
       or new.sender_type = 'client' and not exists (
         select from public.message_threads as t
          where t.org_id = new.org_id and t.id = new.thread_id and t.client_id = any (private.my_client_ids()))
       or new.sender_type = 'system' then
      perform private.fail(403, 'sender_not_you', 'You cannot write as somebody else.', 'Send your own sender_type.');
    end if;
  end if;
  return new;
end;
$$;
comment on function private.tg_messages__check_sender is 'Says who wrote a message, and refuses to write as somebody else: sender_not_you 403.';
create trigger messages__check_sender before insert on public.messages
  for each row execute function private.tg_messages__check_sender();

create function private.tg_messages__push()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.queue_message(
            new.org_id, 'push', 'thread_message', t.client_id, 'thread_message-' || new.id,
            p_body => left(new.body, 500),
            p_subject => coalesce((select nullif(btrim(b.display_name), '') from public.branding as b where b.org_id = o.id), o.name),
            p_metadata => jsonb_build_object('data', jsonb_build_object('thread_id', new.thread_id)))
    from public.message_threads as t
    join public.orgs as o on o.id = t.org_id
   where t.org_id = new.org_id and t.id = new.thread_id
     and exists (select from public.push_tokens as p where p.org_id = t.org_id and p.client_id = t.client_id);
  return null;
end;
$$;
comment on function private.tg_messages__push is 'Lets a client''s devices know what the coach wrote.';
create trigger messages__push after insert on public.messages
  for each row when (new.sender_type = 'trainer') execute function private.tg_messages__push();

create function private.tg_client_communications__sign()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.user_id := auth.uid();
  return new;
end;
$$;
comment on function private.tg_client_communications__sign is 'Says who made an entry of the log, whatever the app sends.';
create trigger client_communications__sign before insert on public.client_communications
  for each row when (current_user = 'authenticated') execute function private.tg_client_communications__sign();

-- Whoever signs in on a device gets its messages: those before them no longer, in whichever organisation. One person may be the
-- client of several.
create function private.tg_push_tokens__take_device()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  delete from public.push_tokens as t
   using public.clients as c, public.clients as own
   where t.expo_token = new.expo_token and c.org_id = t.org_id and c.id = t.client_id
     and own.org_id = new.org_id and own.id = new.client_id and c.auth_user_id is distinct from own.auth_user_id;
  return null;
end;
$$;
comment on function private.tg_push_tokens__take_device is 'Takes a device from the people who were signed in on it before.';
create trigger push_tokens__take_device after insert or update of client_id, expo_token on public.push_tokens
  for each row execute function private.tg_push_tokens__take_device();

-- The app's upsert sends updated_at; the client is its own.
create trigger push_tokens__touch before update on public.push_tokens
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

create function private.member_unread_threads(p_org_id uuid)
returns table (thread_id uuid, client_id uuid, unread bigint, last_message_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'messages.read');
  return query
  select t.id, t.client_id, count(*), max(m.created_at)
    from public.message_threads as t
    join public.messages as m on m.org_id = t.org_id and m.thread_id = t.id
   where t.org_id = p_org_id and m.sender_type = 'client' and m.created_at > coalesce(t.trainer_last_read_at, '-infinity')
   group by t.id, t.client_id
   order by max(m.created_at) desc;
end;
$$;
comment on function private.member_unread_threads is 'Threads with messages that no member has read, latest first.';

create function private.read_thread(p_thread_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.message_threads as t
     set trainer_last_read_at = case when t.org_id = any (private.orgs_with('messages.read')) then clock_timestamp() else t.trainer_last_read_at end,
         client_last_read_at = case when t.client_id = any (private.my_client_ids()) then clock_timestamp() else t.client_last_read_at end
   where t.id = p_thread_id and (t.org_id = any (private.orgs_with('messages.read')) or t.client_id = any (private.my_client_ids()));
  if not found then
    perform private.fail(404, 'thread_not_found', 'There is no such conversation.', 'Reload the messages.');
  end if;
end;
$$;
comment on function private.read_thread is 'Marks a thread as read by its reader, member or client. Fails: thread_not_found 404.';
