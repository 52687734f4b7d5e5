-- client_detail: each section with its own status; one that fails or is refused leaves the others as they are.
begin;
select plan(48);
select tests.open_studio();
select tests.make_booking('done', 'kilo_package', now() - interval '2 days'), tests.make_booking('missed', null, now() - interval '3 days');
update public.bookings set status = 'completed' where id = tests.id('done');
update public.bookings set status = 'no_show' where id = tests.id('missed');
update public.clients set portal_token = gen_random_uuid(), onboarding_token = gen_random_uuid() where org_id = :'kilo' and id = :'kilo_client';
create table sections (name text primary key, permission text, breaking text);
insert into sections values
  ('profile', 'clients.read', 'alter table public.clients rename column portal_token to renamed'),
  ('packages', 'packages.read', 'alter table public.client_purchases rename column expires_at to renamed'),
  ('bookings', 'bookings.read', 'alter table public.bookings rename column client_confirmed to renamed'),
  ('communications', 'messages.read', 'revoke execute on function private.client_communications_log(uuid, uuid, timestamptz) from postgres'),
  ('money', 'money.read', 'alter table public.subscriptions rename column cancel_at_period_end to renamed'),
  ('waivers', 'clients.read', 'alter table public.client_waivers rename column signer_name to renamed'),
  ('measurements', 'progress.read', 'alter table public.client_measurements rename column unit to renamed'),
  ('threads', 'messages.read', 'alter table public.messages rename to renamed');
grant select on sections to public;
select tests.sign_in('coach@kilo.example');
insert into public.client_communications (org_id, client_id, type, direction, content) values (:'kilo', :'kilo_client', 'phone', 'outbound', 'Knee is better');
insert into public.message_threads (org_id, client_id) values (:'kilo', :'kilo_client') returning id as thread \gset
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'trainer', 'See you');
insert into public.client_measurements (org_id, client_id, measurement_type, value, unit) values (:'kilo', :'kilo_client', 'Waist', 81.5, 'cm');
select tests.sign_in('client@kilo.example');
insert into public.messages (org_id, thread_id, sender_type, body) values (:'kilo', :'thread', 'client', 'Yes!');


create function pg_temp.detail() returns jsonb language sql as $$ select client_detail(tests.id('kilo_client')) $$;
grant execute on function pg_temp.detail() to public;
create function pg_temp.statuses(p_detail jsonb) returns text language sql as $$
  select string_agg(s.key || ' ' || (s.value ->> 'status'), ', ' order by s.key) from jsonb_each(p_detail -> 'sections') as s $$;
-- What client_detail says after a change that is undone again.
create function pg_temp.after(p_change text, p_email text default 'coach@kilo.example') returns jsonb language plpgsql as $$
declare
  v_detail jsonb;
begin
  begin
    perform tests.as_owner();
    execute p_change;
    perform tests.sign_in(p_email);
    v_detail := client_detail(tests.id('kilo_client'));
    raise exception 'undone' using errcode = 'UNDON';
  exception when sqlstate 'UNDON' then null;
  end;
  return v_detail;
end;
$$;

select tests.sign_in('coach@kilo.example');
select pg_temp.detail() as detail \gset
select is(pg_temp.statuses(:'detail'), (select string_agg(name || ' ok', ', ' order by name) from sections), 'every section is there');
select is((:'detail'::jsonb ->> 'client_id', :'detail'::jsonb ->> 'org_id')::text, format('(%s,%s)', :'kilo_client', :'kilo'), 'of this client');
select is(:'detail'::jsonb #>> '{sections,profile,data,full_name}', 'Client of Kilo', 'the profile is the record');
select is((:'detail'::jsonb #>> '{sections,profile,data,has_portal_link}', :'detail'::jsonb #>> '{sections,profile,data,has_account}')::text, '(true,true)', 'it says whether there is a link and an account');
select ok(not (:'detail'::jsonb #> '{sections,profile,data}' ?| '{portal_token,onboarding_token,auth_user_id}'), 'and shows no token');
select is((d ->> 'total', d ->> 'sessions_left', d ->> 'sessions_bookable', d #>> '{latest,0,offer_name}', d #>> '{latest,0,sessions_used}')::text, '(1,10,8,"Ten sessions",0)', 'packages with what is left and what is bookable')
  from (select :'detail'::jsonb #> '{sections,packages,data}' as d) as x;
select is((d #>> '{latest,0,sessions_bookable}')::integer, bookable_sessions_remaining(:'kilo_package'), 'which is what the app''s own function says')
  from (select :'detail'::jsonb #> '{sections,packages,data}' as d) as x;
select is((d ->> 'total', d ->> 'upcoming_total', d ->> 'completed', d ->> 'no_shows', d ->> 'cancelled', d #>> '{upcoming,0,id}', d #>> '{latest,0,id}')::text,
          format('(3,1,1,1,0,%s,%s)', :'kilo_booking', tests.id('done')), 'bookings, to come and past') from (select :'detail'::jsonb #> '{sections,bookings,data}' as d) as x;
select is((d ->> 'total', d #>> '{latest,0,content}')::text, '(1,"Knee is better")', 'the log of communications') from (select :'detail'::jsonb #> '{sections,communications,data}' as d) as x;
select is((jsonb_array_length(d), d #>> '{0,unread}', jsonb_array_length(d #> '{0,latest}'))::text, '(1,1,2)', 'the conversation, with what is unread') from (select :'detail'::jsonb #> '{sections,threads,data}' as d) as x;

select is((d ->> 'total', d #>> '{latest,0,value}')::text, '(1,81.5)', 'what was measured') from (select :'detail'::jsonb #> '{sections,measurements,data}' as d) as x;

select tests.as_owner();
insert into public.client_waivers (org_id, client_id, sent_at, expires_at) values (:'kilo', :'kilo_client', now() - interval '40 days', now() - interval '10 days');
select private.book_money(:'kilo', 'INCOME', 5000, 'jpy', 'manual', 'x1', now(), :'kilo_client'), private.book_money(:'kilo', 'REFUND', -20000, 'aud', 'manual', 'x2', now(), :'kilo_client', :'kilo_package'),
       private.book_money(:'kilo', 'FEE', -30, 'aud', 'stripe', 'x3', now(), :'kilo_client');
select tests.sign_in('coach@kilo.example');
select is(d - 'latest', '{"total": 3, "amounts": [{"currency": "aud", "paid_cents": 80000, "returned_cents": -20000, "net_cents": 60000}, {"currency": "jpy", "paid_cents": 5000, "returned_cents": 0, "net_cents": 5000}], "subscription": null}',
          'what the client paid and got back, in each currency, without our fees') from (select pg_temp.detail() #> '{sections,money,data}' as d) as x;
select is((d ->> 'total', d ->> 'is_signed', d #>> '{latest,0,status}', d::text ~ 'token')::text, '(1,false,expired,f)', 'a waiver whose link ran out is expired, and shows no link') from (select pg_temp.detail() #> '{sections,waivers,data}' as d) as x;

-- Each fails in turn.
select is(pg_temp.statuses(pg_temp.after(s.breaking)), (select string_agg(o.name || case when o.name = s.name then ' failed' else ' ok' end, ', ' order by o.name) from sections as o),
          format('%s fails alone', s.name)) from sections as s order by s.name;
select is(pg_temp.after(s.breaking) #> array['sections', s.name], '{"status": "failed", "data": null, "error": "section_failed"}', format('%s says that it failed, and not how', s.name)) from sections as s order by s.name;
select is(pg_temp.statuses(pg_temp.detail()), (select string_agg(name || ' ok', ', ' order by name) from sections), 'when it works again it is back');
-- What fails may quote a row.
select is(pg_temp.after($$ create or replace function private.client_profile(p_org_id uuid, p_client_id uuid, p_now timestamptz) returns jsonb language plpgsql stable security definer set search_path = '' as
  $f$ begin perform (select c.email from public.clients as c where c.id = p_client_id)::integer; return null; end $f$ $$) #> '{sections,profile}', '{"status": "failed", "data": null, "error": "section_failed"}', 'an error that quotes an email is not passed on');
select is(pg_temp.after($$ create or replace function private.client_profile(p_org_id uuid, p_client_id uuid, p_now timestamptz) returns jsonb language plpgsql stable security definer set search_path = '' as
  $f$ begin perform private.fail(423, 'brake_on', 'x'); return null; end $f$ $$) #>> '{sections,profile,error}', 'brake_on', 'a rule''s own slug is');

-- Each is refused in turn.
select is(pg_temp.statuses(d), (select string_agg(o.name || case when o.permission = p.permission then ' refused' else ' ok' end, ', ' order by o.name) from sections as o), format('without %s the rest is shown', p.permission))
  from (select distinct permission from sections) as p, lateral pg_temp.after(format('delete from public.role_permissions where role = ''owner'' and permission = %L', p.permission)) as d order by p.permission;
select is(pg_temp.after('delete from public.role_permissions where role = ''owner'' and permission = ''clients.read''') #> '{sections,profile}', '{"status": "refused", "data": null, "error": "permission_missing"}', 'a refused section says why');
select tests.sign_in('accountant@kilo.example');
select is((d #>> '{sections,packages,status}', d #>> '{sections,threads,status}')::text, '(ok,refused)', 'an accountant reads packages and no conversation') from (select pg_temp.detail() as d) as x;

-- Nobody else's.
select tests.sign_in(t.email), tests.refuses($$ select client_detail(tests.id('kilo_client')) $$, 404, 'client_not_found', t.email || ' finds no such client')
  from (values ('coach@lima.example'), ('nobody@nowhere.example'), ('client@kilo.example')) as t (email);
select tests.refuses($$ select client_detail(null) $$, 404, 'client_not_found', 'nor is nothing a client');
select tests.refuses($$ select client_detail(gen_random_uuid()) $$, 404, 'client_not_found', 'nor what does not exist');
select tests.sign_out();
select tests.forbids($$ select client_detail(tests.id('kilo_client')) $$, 'a visitor may not ask');
select tests.as_service();
select tests.forbids($$ select client_detail(tests.id('kilo_client')) $$, 'nor the service');
select tests.sign_in('coach@lima.example');
select is(client_detail(:'lima_client') #>> '{sections,bookings,data,total}', '1', 'everyone sees their own');
select * from finish();
rollback;
