-- dashboard: the figures of an organisation's own day, each section for itself.
begin;
select plan(39);
select tests.open_studio();
create function pg_temp.section(p_name text, p_on date default null) returns jsonb language sql as $$ select dashboard(tests.id('kilo'), p_on) #> array['sections', p_name, 'data'] $$;
grant execute on function pg_temp.section(text, date) to public;
delete from public.bookings where id = :'kilo_booking';
-- Far from today, so that nothing else is there: a Wednesday, and the days around it.
select tests.make_booking('first', null, '2026-03-10 14:00+00'), tests.make_booking('last', null, '2026-03-11 13:59+00'), tests.make_booking('next', null, '2026-03-11 14:00+00'),
       tests.make_booking('monday', null, '2026-03-08 14:00+00'), tests.make_booking('sunday', null, '2026-03-15 13:59+00'), tests.make_booking('after', null, '2026-03-15 14:00+00'),
       tests.make_booking('gone', null, '2026-03-11 02:00+00');
alter table public.bookings disable trigger user;
update public.bookings set status = 'cancelled', occupancy_id = null where id = tests.id('gone');
alter table public.bookings enable trigger user;
update public.bookings set status = 'completed' where id in (tests.id('first'), tests.id('monday'), tests.id('next'));
update public.bookings set status = 'no_show' where id = tests.id('last');
select tests.sign_in('coach@kilo.example');
select is((d ->> 'from_on', d ->> 'sessions', d ->> 'completed', d ->> 'no_shows', d ->> 'cancelled', d ->> 'upcoming')::text, '(2026-03-11,2,1,1,1,0)', 'a day holds what starts on it, to the minute') from pg_temp.section('today', '2026-03-11') as d;
select is((d ->> 'from_on', d ->> 'until_on', d ->> 'sessions', d ->> 'cancelled')::text, '(2026-03-09,2026-03-15,5,1)', 'a week begins on Monday and ends on Sunday') from pg_temp.section('week', '2026-03-11') as d;
select is(pg_temp.section('week', '2026-03-15') ->> 'from_on', '2026-03-09', 'on its Sunday it is the same week');
select is((d ->> 'from_on', d ->> 'until_on', d ->> 'no_shows', d ->> 'denominator', d ->> 'denominator_is', d ->> 'rate')::text, '(2026-02-10,2026-03-11,1,3,"completed and no_show",0.3333)', 'no-shows of those that came to an end, over 30 days')
  from pg_temp.section('no_show', '2026-03-11') as d;
select is((d ->> 'denominator', d ->> 'rate')::text, '(0,)', 'without any there is no rate') from pg_temp.section('no_show', '2025-03-11') as d;
select is((pg_temp.section('today') ->> 'from_on', dashboard(:'kilo') ->> 'on')::text, format('(%s,%1$s)', tests.day(0)), 'without a date it is today');

-- Outstanding: paid, unused, unexpired.
select is(pg_temp.section('outstanding'), '{"sessions": 10, "packages": 1, "clients": 1}', 'what is owed');
select tests.as_owner();
select tests.make_package('unpaid', 5, null, 'pending'), tests.make_package('expired', 5, now() - interval '1 second'), tests.make_package('refunded', 5, null, 'refunded'), tests.make_package('later', 5, now() + interval '1 second'), tests.make_package('frozen', 5);
update public.client_purchases set frozen_periods = tstzmultirange(tstzrange(now() - interval '1 day', null)) where id = tests.id('frozen');
select tests.sign_in('coach@kilo.example');
select is(pg_temp.section('outstanding'), '{"sessions": 20, "packages": 3, "clients": 1}', 'not what is unpaid, expired or refunded; a frozen one is still owed');

-- At risk: as of the latest scored day alone.
select is(pg_temp.section('at_risk'), '{"as_of_date": null, "red": 0, "amber": 0, "clients": []}', 'nobody was scored yet');
select tests.as_owner();
insert into public.client_risk (org_id, client_id, as_of_date, score, tier, reasons) values
  (:'kilo', tests.id('ann'), tests.day(-1), 70, 'red', '{no_booking}'), (:'kilo', tests.id('ben'), tests.day(-2), 90, 'red', '{}'), (:'kilo', :'kilo_client', tests.day(-1), 10, 'green', '{}'),
  (:'lima', :'lima_client', tests.day(0), 99, 'red', '{}');
select tests.sign_in('coach@kilo.example');
select is(pg_temp.section('at_risk') - 'as_of_date', jsonb_build_object('red', 1, 'amber', 0, 'clients', jsonb_build_array(jsonb_build_object('client_id', tests.id('ann'), 'full_name', 'Ann', 'score', 70, 'tier', 'red', 'reasons', '["no_booking"]'::jsonb))),
          'who was scored on an earlier day, is green or another''s is not in it');

-- Revenue: each amount on the day it moved, in the organisation's days; Brisbane is ten hours ahead.
select tests.as_owner();
select private.book_money(:'kilo', 'INCOME', 10000, 'aud', 'manual', 'r1', '2026-03-10 14:00+00'), private.book_money(:'kilo', 'INCOME', 700, 'jpy', 'manual', 'r2', '2026-03-11 13:59:59+00'),
       private.book_money(:'kilo', 'REFUND', -2500, 'aud', 'manual', 'r3', '2026-03-11 02:00+00'), private.book_money(:'kilo', 'INCOME', 99, 'aud', 'manual', 'r4', '2026-03-11 14:00+00'),
       private.book_money(:'kilo', 'FEE', -50, 'aud', 'stripe', 'r5', '2026-03-11 02:00+00'), private.book_money(:'kilo', 'INCOME', 1000, 'aud', 'manual', 'r6', '2026-02-28 14:00+00'),
       private.book_money(:'kilo', 'INCOME', 1, 'aud', 'manual', 'r7', '2026-02-28 13:59+00'), private.book_money(:'lima', 'INCOME', 1, 'aud', 'manual', 'r8', '2026-03-11 02:00+00'),
       private.book_money(:'kilo', 'PAYOUT', -5000, 'aud', 'stripe', 'r9', '2026-03-11 02:00+00');
select tests.sign_in('coach@kilo.example');
select is(pg_temp.section('revenue', '2026-03-11') #> '{day,amounts}', '[{"currency": "aud", "gross_cents": 10000, "returned_cents": -2500, "net_cents": 7500}, {"currency": "jpy", "gross_cents": 700, "returned_cents": 0, "net_cents": 700}]',
          'a day''s revenue: what came in less what was returned on it, without fees and payouts');
select is((d #>> '{week,amounts,0,net_cents}', d #>> '{month,amounts,0,net_cents}', d #>> '{month,from_on}', d #>> '{month,until_on}')::text, '(7599,8599,2026-03-01,2026-03-31)', 'a week''s and a month''s') from pg_temp.section('revenue', '2026-03-11') as d;

-- Earned: this month's sessions at their package's price, and with those that are booked.
select is(pg_temp.section('earned') -> 'amounts', '[]', 'nothing was held this month, nothing is booked');
select tests.as_owner();
select tests.make_booking('held', 'kilo_package', date_trunc('month', tests.day(0)::timestamp) at time zone 'Australia/Brisbane' + interval '1 minute');
update public.bookings set status = 'completed' where id = tests.id('held');
select service.use_session(:'kilo_package', tests.id('held'));
select tests.make_booking('ahead', 'kilo_package', (date_trunc('month', tests.day(0)::timestamp) + interval '1 month') at time zone 'Australia/Brisbane' - interval '61 minutes');
select tests.sign_in('coach@kilo.example');
select is(pg_temp.section('earned') -> 'amounts', '[{"currency": "aud", "earned_cents": 8000, "sessions_earned": 1, "forecast_cents": 16000, "sessions_booked": 1}]', 'one was held, one is booked, each a tenth of the package');
select is(pg_temp.section('earned', tests.day(0) - 40) -> 'amounts', '[]', 'another month has its own');

-- MRR: active subscriptions; what is past due is counted and not added.
select tests.as_owner();
insert into public.subscriptions (org_id, client_id, status, price_cents, currency) values (:'kilo', :'kilo_client', 'active', 4000, 'aud'), (:'kilo', tests.id('ann'), 'past_due', 5000, 'aud'),
  (:'kilo', tests.id('ben'), 'active', 900, 'jpy'), (:'lima', :'lima_client', 'active', 1, 'aud');
select tests.sign_in('coach@kilo.example');
select is(pg_temp.section('mrr'), '{"active": 2, "past_due": 1, "amounts": [{"currency": "aud", "mrr_cents": 4000}, {"currency": "jpy", "mrr_cents": 900}]}', 'what subscriptions bring in a month');

-- Sections stand alone.
select tests.as_owner();
create table sections (name text primary key, permission text, breaking text);
insert into sections values
  ('today', 'bookings.read', 'alter function private.dashboard_today(uuid, date, timestamptz) rename to gone'),
  ('week', 'bookings.read', 'alter function private.dashboard_week(uuid, date, timestamptz) rename to gone'),
  ('no_show', 'bookings.read', 'alter function private.dashboard_no_show(uuid, date, timestamptz) rename to gone'),
  ('at_risk', 'clients.read', 'alter table public.client_risk rename column score to renamed'),
  ('revenue', 'finance.read', 'revoke execute on function private.dashboard_revenue(uuid, date, timestamptz) from postgres'),
  ('earned', 'finance.read', 'alter function private.other_earnings(uuid, tstzrange) rename to gone'),
  ('mrr', 'finance.read', 'alter table public.subscriptions rename to renamed'),
  ('outstanding', 'packages.read', 'revoke execute on function private.dashboard_outstanding(uuid, date, timestamptz) from postgres');
create function pg_temp.statuses_after(p_change text) returns text language plpgsql as $$
declare
  v_detail jsonb;
begin
  begin
    perform tests.as_owner();
    execute p_change;
    perform tests.sign_in('coach@kilo.example');
    v_detail := dashboard(tests.id('kilo'));
    raise exception 'undone' using errcode = 'UNDON';
  exception when sqlstate 'UNDON' then null;
  end;
  return (select string_agg(s.key || ' ' || (s.value ->> 'status'), ', ' order by s.key) from jsonb_each(v_detail -> 'sections') as s);
end;
$$;
select is(pg_temp.statuses_after('select'), (select string_agg(name || ' ok', ', ' order by name) from sections), 'all sections are there');
select is(pg_temp.statuses_after(s.breaking), (select string_agg(o.name || case when o.name = s.name then ' failed' else ' ok' end, ', ' order by o.name) from sections as o), format('%s fails alone', s.name)) from sections as s order by s.name;
select is(pg_temp.statuses_after(format('delete from public.role_permissions where role = ''owner'' and permission = %L', p.permission)),
          (select string_agg(o.name || case when o.permission = p.permission then ' refused' else ' ok' end, ', ' order by o.name) from sections as o), format('without %s the rest is shown', p.permission))
  from (select distinct permission from sections) as p order by p.permission;

select tests.sign_in('coach@kilo.example');
select tests.refuses(format('select dashboard(tests.id(''kilo''), %L)', t), 422, 'value_not_allowed', format('%s is no day to look at', t)) from unnest('{infinity,1999-12-31,2100-01-02}'::text[]) as t;
select tests.refuses($$ select dashboard(null) $$, 404, 'org_not_found', 'nothing is no organisation');
select tests.as_owner();
delete from public.role_permissions where role = 'front_desk' and permission = 'org.read';
select tests.sign_in(t.email), tests.refuses($$ select dashboard(tests.id('kilo')) $$, 404, 'org_not_found', t.email || ' finds no such organisation') from (values ('coach@lima.example'), ('nobody@nowhere.example'), ('client@kilo.example'), ('desk@kilo.example')) as t (email);
select tests.sign_out();
select tests.forbids($$ select dashboard(tests.id('kilo')) $$, 'a visitor may not ask');
select tests.as_service();
select tests.forbids($$ select dashboard(tests.id('kilo')) $$, 'nor the service');
select * from finish();
rollback;
