-- Waiver rules: texts are kept by version, and what was signed stays as it was.
-- Signing by link is in rules/sign.sql, onboarding in rules/onboarding.sql.

create function private.tg_orgs__keep_waiver_text()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  -- The organisation's row is locked by this very write: versions do not collide.
  insert into public.waiver_texts (org_id, version, body, created_by)
  select new.id, coalesce(max(t.version), 0) + 1, new.waiver_template, auth.uid()
    from public.waiver_texts as t where t.org_id = new.id
  having (select t.body from public.waiver_texts as t where t.org_id = new.id order by t.version desc limit 1) is distinct from new.waiver_template;
  return null;
end;
$$;
comment on function private.tg_orgs__keep_waiver_text is 'Keeps each text that an organisation lets its clients sign, numbered.';
create trigger orgs__keep_first_waiver_text after insert on public.orgs
  for each row when (btrim(coalesce(new.waiver_template, '')) <> '') execute function private.tg_orgs__keep_waiver_text();
create trigger orgs__keep_waiver_text after update of waiver_template on public.orgs
  for each row when (btrim(coalesce(new.waiver_template, '')) <> '' and new.waiver_template is distinct from old.waiver_template)
  execute function private.tg_orgs__keep_waiver_text();

-- The text that is signed now; null where the organisation has none.
create function private.waiver_text_of(p_org_id uuid)
returns public.waiver_texts
language sql stable security definer set search_path = ''
as $$
  select t.*
    from public.waiver_texts as t
    join public.orgs as o on o.id = t.org_id and btrim(coalesce(o.waiver_template, '')) <> ''
   where t.org_id = p_org_id
   order by t.version desc limit 1;
$$;
comment on function private.waiver_text_of is 'The waiver that an organisation''s clients sign now; null where there is none.';

-- The coach's page writes a status: signed means that the coach has it on paper, and says so.
create function private.tg_client_waivers__record()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if tg_op = 'UPDATE' and old.status = 'signed' and new.status = 'sent' then
    perform private.fail(409, 'waiver_signed', 'This waiver is signed.', 'Send a new one.');
  elsif new.status = 'signed' and new.signed_at is null then
    new.signed_at := now();
    new.recorded_by := auth.uid();
  end if;
  return new;
end;
$$;
comment on function private.tg_client_waivers__record is 'Says who marked a waiver as signed by hand: waiver_signed 409 when it is to become unsigned.';
create trigger client_waivers__record before insert or update of status on public.client_waivers
  for each row execute function private.tg_client_waivers__record();

-- Evidence: what was signed, by whom, when and from where is never another.
create function private.tg_client_waivers__keep_evidence()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.fail(403, 'waiver_evidence_kept', 'What was signed stays as it was signed.', 'Send a new waiver.');
  return new;
end;
$$;
comment on function private.tg_client_waivers__keep_evidence is 'Refuses to change what a waiver''s signature rests on: waiver_evidence_kept 403.';
create trigger client_waivers__keep_evidence before update on public.client_waivers
  for each row when (old.signed_at is not null and (old.client_id, old.signed_at, old.signed_ip, old.waiver_text_id, old.signer_name, old.recorded_by)
                       is distinct from (new.client_id, new.signed_at, new.signed_ip, new.waiver_text_id, new.signer_name, new.recorded_by))
  execute function private.tg_client_waivers__keep_evidence();
