-- Planning: when an automation is due next.

create function private.tg_automations__plan()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.enabled then
    new.enabled_at := null;
  elsif tg_op = 'INSERT' or not old.enabled then
    new.enabled_at := now();
  end if;
  return new;
end;
$$;
comment on function private.tg_automations__plan is 'Says since when an automation is on.';
create trigger automations__plan before insert or update of enabled, trigger on public.automations
  for each row execute function private.tg_automations__plan();
create trigger automations__touch before update of name, enabled, trigger, conditions, actions, guardrails on public.automations
  for each row execute function private.tg__touch_updated_at();
create trigger webhook_endpoints__touch before update on public.webhook_endpoints
  for each row execute function private.tg__touch_updated_at();
create trigger risk_settings__touch before update on public.risk_settings
  for each row execute function private.tg__touch_updated_at();
