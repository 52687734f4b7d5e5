-- Lead rules: what a lead goes through is kept, a lead becomes one client, and a referral code leads to one link.
-- Capturing is in rules/capture.sql, becoming a client in rules/convert.sql, rewards and credit in rules/rewards.sql.

create function private.refuse_inquiry()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'inquiry_not_found', 'There is no such lead.', 'Reload the leads.');
$$;
comment on function private.refuse_inquiry is 'Refuses an unknown lead, or another tenant''s: inquiry_not_found 404.';

create function private.tg_inquiries__name()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.phone_e164 := private.e164(new.phone, private.phone_region(new.org_id));
  if new.converted_client_id is not null and (tg_op = 'INSERT' or old.converted_client_id is null) then
    new.converted_at := now();
    new.status := case tg_op when 'INSERT' then new.status else 'WON' end;
  end if;
  return new;
end;
$$;
comment on function private.tg_inquiries__name is 'Keeps phone_e164 in step, and says when a lead became a client.';
create trigger inquiries__name before insert or update on public.inquiries
  for each row execute function private.tg_inquiries__name();

-- A second tab that has made a client of its own must not take the first one's place.
create function private.tg_inquiries__keep_client()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.fail(409, 'inquiry_converted', 'This lead is a client already.', 'Open the client.');
  return new;
end;
$$;
comment on function private.tg_inquiries__keep_client is 'Lets a lead become one client, once: inquiry_converted 409.';
create trigger inquiries__keep_client before update of converted_client_id on public.inquiries
  for each row when (current_user in ('authenticated', 'service_role') and old.converted_client_id is not null
                     and new.converted_client_id is distinct from old.converted_client_id)
  execute function private.tg_inquiries__keep_client();

create function private.tg_inquiries__note()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_is_converted boolean := tg_op = 'UPDATE' and new.converted_client_id is not null and old.converted_client_id is null;
begin
  if tg_op = 'INSERT' or v_is_converted or new.status <> old.status then
    insert into public.inquiry_events (org_id, inquiry_id, kind, status, message, actor_id)
    values (new.org_id, new.id, case when tg_op = 'INSERT' then 'received' when v_is_converted then 'converted' else 'moved' end, new.status,
            case when tg_op = 'INSERT' then new.message end, auth.uid());
  end if;
  if v_is_converted then
    perform private.note_lead(new);
    perform private.convert_referral(new.org_id, new.referral_id, new.converted_client_id);
  end if;
  return null;
end;
$$;
comment on function private.tg_inquiries__note is 'Keeps what happened to a lead; once they are a client, tells it there and settles the referral.';
create trigger inquiries__note after insert or update of status, converted_client_id on public.inquiries
  for each row execute function private.tg_inquiries__note();

create function private.tg_referral_links__name()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  -- Two organisations that want one code at once: the directory's key decides.
  insert into private.referral_codes (code, org_id, referral_link_id) values (lower(new.code), new.org_id, new.id)
  on conflict (code) do nothing;
  if not found then
    perform private.fail(409, 'referral_code_taken', 'This code is taken.', 'Choose another code.');
  end if;
  return null;
end;
$$;
comment on function private.tg_referral_links__name is 'Enters a link''s code into the directory: referral_code_taken 409.';
create trigger referral_links__name after insert on public.referral_links
  for each row execute function private.tg_referral_links__name();
