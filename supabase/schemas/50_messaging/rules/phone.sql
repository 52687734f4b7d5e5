-- Phone numbers: one form (E.164) in which numbers are compared, suppressed and sent to.

-- How people write numbers: +61…, 0061…, 04…, with spaces, dots, dashes and brackets, an extension behind. Null where that is no phone
-- number, or longer than any that could take an SMS there.
create function private.e164(p_phone text, p_region text)
returns text
language plpgsql stable security definer set search_path = ''
as $$
begin
  -- Materialized, or each region would work the number out anew; planned once, since whole files are read with it.
  return (
  with dialled as materialized (
    select regexp_replace(regexp_replace(normalize(p_phone, nfkc), '\s*(,|;|#|x|ext).*$', '', 'i'), '[^0-9+]', '', 'g') as phone,
           r.calling_code, r.trunk_prefix, r.mobile_digits
      from private.phone_regions as r where r.region = p_region),
  number as materialized (
    select case
             when d.phone ~ '^\+' then d.phone
             when d.calling_code = '61' and d.phone ~ '^0011[1-9]' then '+' || substr(d.phone, 5)
             when d.phone ~ '^00[1-9]' then '+' || substr(d.phone, 3)
             when d.calling_code = '1' and d.phone ~ '^011[1-9]' then '+' || substr(d.phone, 4)
             when d.calling_code = '1' and d.phone ~ '^1[2-9][0-9]{9}$' then '+' || d.phone
             when d.trunk_prefix is not null and d.calling_code <> '1' and starts_with(d.phone, d.trunk_prefix)
               then case when char_length(d.phone) <= char_length(d.trunk_prefix) + d.mobile_digits then '+' || d.calling_code || substr(d.phone, char_length(d.trunk_prefix) + 1) end
             -- Written with the country code but without its plus.
             when starts_with(d.phone, d.calling_code) and char_length(d.phone) > d.mobile_digits then '+' || d.phone
             else '+' || d.calling_code || d.phone
           end as phone
      from dialled as d)
  -- "+61 (0)4…": a zero that is dialled inside the country alone.
  select case when n.phone ~ '^\+[1-9][0-9]{6,14}$' then n.phone end
    from (select coalesce((select '+' || r.calling_code || substr(x.phone, char_length(r.calling_code) + 3)
                             from private.phone_regions as r
                            where starts_with(x.phone, '+' || r.calling_code || '0')
                            group by r.calling_code having bool_and(r.trunk_prefix in ('0', '80') is true)), x.phone) as phone
            from number as x) as n);
end;
$$;
comment on function private.e164 is
  'A phone number as E.164, read as people of that region write it; null where it is none.';

create function private.phone_region(p_org_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((select s.phone_region from public.sms_settings as s where s.org_id = p_org_id), 'AU');
$$;
comment on function private.phone_region is 'Where an organisation''s numbers without a country code are from.';

create function private.tg_clients__name_phone()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.phone_e164 := private.e164(new.phone, private.phone_region(new.org_id));
  return new;
end;
$$;
comment on function private.tg_clients__name_phone is 'Keeps phone_e164 in step with phone.';
create trigger clients__name_phone before insert or update of phone, phone_e164 on public.clients
  for each row execute function private.tg_clients__name_phone();

create function private.tg_sms_settings__name_phones()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.clients as c set phone = c.phone where c.org_id = new.org_id and c.phone is not null;
  return null;
end;
$$;
comment on function private.tg_sms_settings__name_phones is 'Reads an organisation''s phone numbers anew when its region changes.';
create trigger sms_settings__name_phones after update of phone_region on public.sms_settings
  for each row when (old.phone_region <> new.phone_region) execute function private.tg_sms_settings__name_phones();
create trigger sms_settings__name_first_phones after insert on public.sms_settings
  for each row when (new.phone_region <> 'AU') execute function private.tg_sms_settings__name_phones();

create function private.is_suppressed(p_org_id uuid, p_phone text)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.sms_suppression as s
                  where s.org_id = p_org_id and s.phone = private.e164(p_phone, private.phone_region(p_org_id)));
$$;
comment on function private.is_suppressed is 'True when an organisation sends no SMS to this number.';

create function private.suppress(p_org_id uuid, p_phone text, p_reason text, p_client_id uuid default null)
returns void
language sql volatile security definer set search_path = ''
as $$
  -- A short code or a sender's name is no number that we could write to.
  insert into public.sms_suppression as s (org_id, phone, reason, client_id)
  select p_org_id, p_phone, p_reason, p_client_id where p_phone ~ '^\+[1-9][0-9]{6,14}$'
  on conflict (org_id, phone) do update set reason = excluded.reason, created_at = excluded.created_at
    where excluded.reason = 'opt_out' and s.reason <> 'opt_out';
$$;
comment on function private.suppress is
  'Sends no SMS to a number (E.164) any more. The first reason stays, but for an opt-out: that one only the person lifts.';
