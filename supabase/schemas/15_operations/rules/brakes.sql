-- Brakes: an operator stops a kind of work, everywhere or in one organisation, at once and with a reason.
-- Invariant: a brake loses nothing. What is due stays due; whoever asks is told (423) and has changed nothing.
-- A blocked organisation is one that every brake is on for. Each sweep and RPC asks for itself: a sweep leaves the braked out of what it claims (braked_orgs), an RPC refuses (require_unbraked).

create function private.is_braked(p_kind text, p_org_id uuid default null)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from private.brakes as b where b.kind = p_kind and (b.org_id is null or b.org_id = p_org_id))
      or exists (select from public.orgs as o where o.id = p_org_id and o.blocked_at is not null);
$$;
comment on function private.is_braked is
  'True while a kind of work (sms, email, push, payments, imports, automations, assistant, sign_up) is stopped for everybody, or for this organisation.';

create function private.braked_orgs(p_kind text)
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(s.org_id), '{}')
    from (select b.org_id from private.brakes as b where b.kind = p_kind and b.org_id is not null
          union
          select o.id from public.orgs as o where o.blocked_at is not null) as s;
$$;
comment on function private.braked_orgs is 'The organisations that a kind of work is stopped for, for set-based sweeps; is_braked(kind) tells of everybody.';

create function private.require_unbraked(p_kind text, p_org_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if private.is_braked(p_kind, p_org_id) then
    perform private.fail(423, 'brake_on', 'This is paused for the moment.', 'Nothing was changed; try again later.');
  end if;
end;
$$;
comment on function private.require_unbraked is 'Refuses while a kind of work is stopped: brake_on 423.';

-- Pulled twice is pulled once: the first reason stays.
create function private.set_brake(p_kind text, p_org_id uuid, p_reason text, p_banner text, p_is_on boolean)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  perform private.require_brake_kind(p_kind);
  perform private.require_value(coalesce(char_length(btrim(p_banner)), 1) between 1 and 500, 'banner');
  if p_org_id is not null then
    perform private.require_known_org(p_org_id);
  end if;
  v_acted.org_id := p_org_id;
  if p_is_on then
    insert into private.brakes (kind, org_id, reason, banner, pulled_by)
    values (p_kind, p_org_id, btrim(p_reason), btrim(p_banner), auth.uid())
    on conflict (kind, org_id) do nothing
    returning id into v_acted.subject_id;
    v_acted.after := jsonb_build_object('kind', p_kind);
  else
    delete from private.brakes as b where b.kind = p_kind and b.org_id is not distinct from p_org_id returning b.id into v_acted.subject_id;
    v_acted.before := jsonb_build_object('kind', p_kind);
  end if;
  v_acted.answer := jsonb_build_object('kind', p_kind, 'org_id', p_org_id, 'is_on', p_is_on, 'is_changed', v_acted.subject_id is not null);
  return v_acted;
end;
$$;
comment on function private.set_brake is 'Stops a kind of work or lets it go on: {kind, org_id, is_on, is_changed}. The caller has authorised and been given a reason.';

create function private.require_brake_kind(p_kind text)
returns void
language sql stable security definer set search_path = ''
as $$
  select private.require_value(
           coalesce(p_kind in ('sms', 'email', 'push', 'payments', 'imports', 'automations', 'assistant', 'sign_up'), false), 'kind');
$$;
comment on function private.require_brake_kind is 'Refuses a kind of work that has no brake: value_not_allowed 422.';

create function private.require_reason(p_reason text)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if coalesce(char_length(btrim(p_reason)), 0) not between 1 and 500 then
    perform private.fail(422, 'reason_missing', 'This needs a reason.', 'Say why, in at most 500 characters.');
  end if;
end;
$$;
comment on function private.require_reason is 'Refuses what an operator must account for without a reason: reason_missing 422.';
