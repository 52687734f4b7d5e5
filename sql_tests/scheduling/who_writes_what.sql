-- Scheduling's tables: what each role, a signed-in client and a visitor may read and write in their own organisation. What another
-- organisation may not is tenancy/tenant_wall.
begin;
select plan(131);
select tests.open_studio();
insert into public.locations (org_id, name) values (:'kilo', 'The gym') returning id as gym \gset
select tests.remember('gym', :'gym'), tests.remember('type', gen_random_uuid());
insert into public.session_types (org_id, id, name, slug) values (:'kilo', tests.id('type'), 'Massage', 'massage');
insert into public.location_hours (org_id, location_id, day_of_week, opens_time, closes_time) values (:'kilo', :'gym', 1, '06:00', '22:00');
insert into public.staff_locations (org_id, staff_id, location_id) values (:'kilo', tests.id('second'), :'gym');
insert into public.session_type_staff (org_id, session_type_id, staff_id) values (:'kilo', tests.id('type'), tests.id('second'));
insert into public.session_type_prices (org_id, session_type_id, location_id, price_cents) values (:'kilo', tests.id('type'), :'gym', 9000);
insert into public.blocked_times (org_id, day_of_week, start_time, end_time) values (:'kilo', 1, '12:00', '13:00');
insert into public.booking_series (org_id, client_id, interval_weeks) values (:'kilo', tests.id('ann'), 1);
insert into public.waitlist_entries (org_id, client_id, on_date) values (:'kilo', tests.id('ann'), tests.day(8));

-- One row that would be new, one change, whether it may be deleted, and the roles that may.
create temp table doors (name text, columns text, row text, change text, may_delete boolean, writers text[], client_reads boolean) on commit drop;
insert into doors values
  ('locations', 'name', '''The park''', 'name = name || ''!''', false, '{manager}', true),
  ('location_hours', 'location_id, day_of_week, opens_time, closes_time', 'tests.id(''gym''), 2, ''06:00'', ''07:00''', 'closes_time = ''21:00''', true, '{manager}', true),
  ('staff', 'full_name', '''Third Coach''', 'full_name = full_name || ''!''', false, '{manager}', true),
  ('staff_locations', 'staff_id, location_id', 'tests.id(''staff''), tests.id(''gym'')', null, true, '{manager}', true),
  ('session_types', 'name, slug', '''x'', gen_random_uuid()::text', 'name = name || ''!''', true, '{manager,coach}', true),
  ('session_type_staff', 'session_type_id, staff_id', 'tests.id(''type''), tests.id(''staff'')', null, true, '{manager}', true),
  ('session_type_prices', 'session_type_id, location_id, price_cents', 'tests.id(''pt''), tests.id(''gym''), 1', 'price_cents = 8000', true, '{manager,coach}', true),
  ('availability', 'day_of_week, start_time, end_time', '2, ''18:00'', ''19:00''', null, true, '{manager,coach}', true),
  ('blocked_times', 'day_of_week, start_time, end_time', '2, ''12:00'', ''13:00''', 'reason = ''Lunch''', true, '{manager,coach,desk}', false);
grant select on doors to public;
insert into public.org_members (org_id, user_id, role) select :'kilo', tests.sign_up('coach2@kilo.example', 'coach2'), 'coach';

create function pg_temp.email_of(p_role text) returns text language sql as $$ select case p_role when 'coach' then 'coach2' else p_role end || '@kilo.example' $$;
-- What somebody may do, undone again: i(nsert) u(pdate) d(elete), a dash where it changes no row or is forbidden.
create function pg_temp.may(p_door doors) returns text language plpgsql as $$
declare
  v_call text;
  v_rows bigint;
  v_may text := '';
begin
  foreach v_call in array array[
    format('insert into public.%I (org_id, %s) values (tests.id(''kilo''), %s)', p_door.name, p_door.columns, p_door.row),
    format('update public.%I set %s where org_id = tests.id(''kilo'')', p_door.name, coalesce(p_door.change, 'org_id = org_id')),
    format('delete from public.%I where org_id = tests.id(''kilo'')', p_door.name)]
  loop
    begin
      execute v_call;
      get diagnostics v_rows = row_count;
      raise exception using errcode = 'XX999';
    exception
      when sqlstate 'XX999' then null;
      when insufficient_privilege then v_rows := 0;
    end;
    v_may := v_may || case when v_rows > 0 then left(v_call, 1) else '-' end;
  end loop;
  return v_may;
end;
$$;
grant execute on function pg_temp.may(doors) to public;
create function pg_temp.wanted(p_door doors, p_role text) returns text language sql as $$
  select case when p_role = any (p_door.writers) then 'i' || case when p_door.change is null then '-' else 'u' end || case when p_door.may_delete then 'd' else '-' end else '---' end $$;
grant execute on function pg_temp.wanted(doors, text) to public;
create function pg_temp.seen(p_table text) returns boolean language plpgsql as $$
declare
  v_rows bigint;
begin
  execute format('select count(*) from public.%I where org_id = tests.id(''kilo'')', p_table) into v_rows;
  return v_rows > 0;
exception when insufficient_privilege then
  return null;
end;
$$;
grant execute on function pg_temp.seen(text) to public;

select tests.sign_in('manager@kilo.example');
select is(pg_temp.may(d), pg_temp.wanted(d, 'manager'), format('%s: what a manager may', d.name)) from doors as d;
select ok(pg_temp.seen(d.name), format('%s: and sees', d.name)) from doors as d;
select tests.sign_in('coach2@kilo.example');
select is(pg_temp.may(d), pg_temp.wanted(d, 'coach'), format('%s: what a coach may', d.name)) from doors as d;
select ok(pg_temp.seen(d.name), format('%s: and sees', d.name)) from doors as d;
select tests.sign_in('desk@kilo.example');
select is(pg_temp.may(d), pg_temp.wanted(d, 'desk'), format('%s: what a front desk may', d.name)) from doors as d;
select ok(pg_temp.seen(d.name), format('%s: and sees', d.name)) from doors as d;
select tests.sign_in('accountant@kilo.example');
select is(pg_temp.may(d), '---', format('%s: an accountant writes nothing', d.name)) from doors as d;
select ok(pg_temp.seen(d.name), format('%s: and sees it', d.name)) from doors as d;
select tests.sign_in('client@kilo.example');
select is(pg_temp.may(d), '---', format('%s: a client writes nothing', d.name)) from doors as d;
select is(pg_temp.seen(d.name), d.client_reads, format('%s: and sees %s', d.name, case when d.client_reads then 'it' else 'nothing' end)) from doors as d;
select tests.sign_in('client@lima.example');
select is(pg_temp.seen(d.name), false, format('%s: another organisation''s client sees nothing', d.name)) from doors as d;
select tests.sign_out();
select is((pg_temp.may(d), pg_temp.seen(d.name))::text, '(---,)', format('%s: a visitor neither', d.name)) from doors as d;
select tests.as_service();
select is((pg_temp.may(d), pg_temp.seen(d.name))::text, '(---,t)', format('%s: the service reads', d.name)) from doors as d;

-- Series and the waitlist are written by RPC alone.
select tests.sign_in('coach@kilo.example');
select is((pg_temp.seen(t), has_any_column_privilege(format('public.%I', t), 'insert'), has_any_column_privilege(format('public.%I', t), 'update'), has_table_privilege(format('public.%I', t), 'delete'))::text,
          '(t,f,f,f)', format('%s: read, and written by RPC alone', t)) from unnest(array['booking_series', 'waitlist_entries']) as t;
select tests.sign_in('client@kilo.example');
select is(pg_temp.seen(t), false, format('%s: a client does not see another''s', t)) from unnest(array['booking_series', 'waitlist_entries']) as t;
select tests.as_owner();
update public.booking_series set client_id = :'kilo_client';
update public.waitlist_entries set client_id = :'kilo_client';
select tests.sign_in('client@kilo.example');
select is(pg_temp.seen(t), true, format('%s: but their own', t)) from unnest(array['booking_series', 'waitlist_entries']) as t;
select tests.sign_out();
select is(pg_temp.seen(t), null, format('%s: a visitor sees none', t)) from unnest(array['booking_series', 'waitlist_entries']) as t;

-- Values.
select tests.sign_in('manager@kilo.example');
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ insert into public.session_type_prices (org_id, session_type_id, location_id, price_cents) values (tests.id('kilo'), tests.id('type'), tests.id('gym'), 1) $$, 409, 'value_taken', 'one price for a type and place'),
  ($$ update public.session_type_prices set price_cents = -1 $$, 422, 'value_not_allowed', 'no price below nothing'),
  ($$ insert into public.staff_locations (org_id, staff_id, location_id) values (tests.id('kilo'), tests.id('second'), tests.id('gym')) $$, 409, 'value_taken', 'once at a place is enough'),
  ($$ insert into public.session_type_staff (org_id, session_type_id, staff_id) values (tests.id('kilo'), tests.id('type'), tests.id('second')) $$, 409, 'value_taken', 'once for a type as well'),
  ($$ insert into public.location_hours (org_id, location_id, day_of_week, opens_time, closes_time) values (tests.id('kilo'), tests.id('gym'), 1, '10:00', '09:00') $$, 422, 'value_not_allowed', 'a place closes after it opens'),
  ($$ insert into public.staff_locations (org_id, staff_id, location_id) values (tests.id('kilo'), gen_random_uuid(), tests.id('gym')) $$, 404, 'reference_not_found', 'unknown staff work nowhere')) as t (call, status, slug, title);

select * from finish();
rollback;
