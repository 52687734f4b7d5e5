-- Quiet hours: wrapping or not, by the local clock; deferred to their end, or before they begin where that would be too late.
begin;
select plan(34);
create function pg_temp.at(p_wall text) returns timestamptz language sql as $$ select private.local_to_instant('Australia/Brisbane', p_wall::timestamp) $$;
create function pg_temp.wall(p_at timestamptz) returns text language sql as $$ select to_char(p_at at time zone 'Australia/Brisbane', 'DD HH24:MI') $$;
select is(private.is_quiet('Australia/Brisbane', s, e, pg_temp.at('2026-05-04 ' || t)), q, format('%s to %s at %s', s, e, t))
  from (values (21, 8, '21:00', true), (21, 8, '20:59:59', false), (21, 8, '00:00', true), (21, 8, '07:59:59', true), (21, 8, '08:00', false),
               (9, 17, '09:00', true), (9, 17, '16:59', true), (9, 17, '17:00', false), (9, 17, '03:00', false), (0, 0, '03:00', false), (null, 8, '03:00', false)) as x (s, e, t, q);
select is(pg_temp.wall(private.quiet_until('Australia/Brisbane', s, e, pg_temp.at('2026-05-04 ' || t))), u, format('%s to %s: at %s until %s', s, e, t, u))
  from (values (21, 8, '22:00', '05 08:00'), (21, 8, '03:00', '04 08:00'), (9, 17, '10:00', '04 17:00'), (21, 8, '12:00', null), (23, 0, '23:30', '05 00:00')) as x (s, e, t, u);
select is(pg_temp.wall(private.quiet_from('Australia/Brisbane', s, e, pg_temp.at('2026-05-04 ' || t))), u, format('%s to %s: at %s since %s', s, e, t, u))
  from (values (21, 8, '22:00', '04 21:00'), (21, 8, '03:00', '03 21:00'), (9, 17, '10:00', '04 09:00'), (21, 8, '12:00', null)) as x (s, e, t, u);
-- wanted, of use until, now; with 21 to 8
select is(pg_temp.wall(private.allowed_at('Australia/Brisbane', 21, 8, pg_temp.at(w), pg_temp.at(x), pg_temp.at(n))), u, d)
  from (values
    ('2026-05-04 12:00', '2026-05-04 14:00', '2026-05-03 12:00', '04 12:00', 'outside of them: when it is wanted'),
    ('2026-05-04 22:00', '2026-05-05 22:00', '2026-05-04 22:00', '05 08:00', 'inside: when they end'),
    ('2026-05-05 06:00', '2026-05-05 06:30', '2026-05-04 12:00', '04 20:30', 'an early session''s reminder: before they begin'),
    ('2026-05-05 06:00', '2026-05-05 06:30', '2026-05-04 06:00', '04 20:30', 'also where it is queued in the night before, as the sweep does'),
    ('2026-05-05 06:00', '2026-05-05 06:30', '2026-05-04 20:45', '04 20:45', 'within the last half hour: at once'),
    ('2026-05-05 06:00', '2026-05-05 06:30', '2026-05-04 21:00', null, 'once they have begun: never'),
    ('2026-05-05 06:00', '2026-05-05 08:00', '2026-05-04 23:00', null, 'of no use at their very end: never')) as x (w, x, n, u, d);

-- When it is sent, they are asked again.
select tests.open_messaging();
update public.sms_settings set quiet_hours_start = 21, quiet_hours_end = 8 where org_id = :'kilo';
select tests.queue('late', p_at => tests.at(2, '12:00'), p_now => tests.at(2, '12:00')), tests.queue('useless', p_at => tests.at(2, '12:00'), p_expires_at => tests.at(3, '07:00'), p_now => tests.at(2, '12:00')),
       tests.queue('mailed', p_channel => 'email', p_at => tests.at(2, '22:00'), p_now => tests.at(2, '22:00'));
select is(tests.claim(tests.at(2, '22:00')), 'mailed', 'what is claimed inside of them is no SMS');
select is((tests.standing('late'), pg_temp.wall(next_at) = pg_temp.wall(tests.at(3, '08:00')))::text, '(queued,t)', 'it waits for their end') from public.outbox_messages where id = tests.id('late');
select is(tests.standing('useless'), 'expired quiet_hours', 'unless it is of no use then');
select is(tests.claim(tests.at(3, '07:59')), '', 'a minute before their end nothing leaves');
select is(tests.claim(tests.at(3, '08:00')), 'late', 'then it does');
select tests.queue('last', p_at => tests.at(3, '20:00'), p_now => tests.at(3, '20:00'));
select is(tests.claim(tests.at(3, '20:59')), '', 'what could still be on its way when they begin waits');

-- Urgent, where the organisation says so.
select tests.refuses($$ update public.sms_settings set urgent_kinds = '{booking_reminder}' where org_id = tests.id('kilo') $$, 422, 'urgent_kind_not_allowed', 'a reminder is never urgent');
update public.sms_settings set urgent_kinds = '{booking_cancelled}' where org_id = :'kilo';
select * from finish();
rollback;
