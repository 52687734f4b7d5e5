-- bookings: an operator lists bookings in the organisation's time, and completes and takes back.
begin;
select plan(16);

select tests.make_package('pack', 2);
select tests.make_booking('summer', 'pack', '2030-07-01 08:00+00'),
  tests.make_booking('winter', 'pack', '2030-12-01 08:00+00');
update public.booking_settings set timezone = 'Europe/Berlin' where org_id = :'kilo';
select tests.as_service();
select results_eq($$ select client_name, starts_local, status, settlement
                     from service.list_bookings(tests.id('kilo'), '2030-01-01', '2031-01-01') $$,
  $$ values ('Client of Kilo', '2030-12-01 09:00', 'confirmed', null),
     ('Client of Kilo', '2030-07-01 10:00', 'confirmed', null) $$,
  'bookings are listed, latest first, in the organisation''s time of that day');
select is(count(*), 1::bigint, 'from an instant on') from service.list_bookings(:'kilo', '2030-12-01 08:00+00');
select is(count(*), 0::bigint, 'until before one')
  from service.list_bookings(:'kilo', '2030-12-01', '2030-12-01 08:00+00');
select is(count(*), 3::bigint, 'all of them when no time is said') from service.list_bookings(:'kilo');
select is(count(*), 1::bigint, 'at most as many as asked for') from service.list_bookings(:'kilo', p_limit => 1);
select tests.refuses($$ select * from service.list_bookings(gen_random_uuid()) $$,
                     404, 'org_not_found', 'an unknown organisation has none');

select is(service.complete_booking(tests.id('summer')), 'charged', 'a booking is completed');
select is(settlement, 'charged', 'and listed so') from service.list_bookings(:'kilo')
  where booking_id = tests.id('summer');
select is(service.undo_completion(tests.id('summer')), 0, 'and taken back');
select is(service.undo_completion(tests.id('summer')), 0, 'once');
select tests.refuses($$ select service.undo_completion(tests.id('winter')) $$,
                     409, 'booking_not_completed', 'what is not completed is not taken back');
select tests.refuses($$ select service.complete_booking(gen_random_uuid()) $$,
                     404, 'booking_not_found', 'an unknown booking is not completed');
select tests.refuses($$ select service.undo_completion(gen_random_uuid()) $$,
                     404, 'booking_not_found', 'nor taken back');

-- Alerts.
select tests.as_owner();
update public.client_purchases set payment_status = 'refunded' where id = tests.id('pack');
select tests.as_service();
select service.complete_booking(tests.id('winter')) as ended \gset
select results_eq($$ select kind, client_id, purchase_id, booking_id from service.list_alerts(tests.id('kilo')) $$,
                  $$ values ('booking_uncovered', tests.id('kilo_client'), tests.id('pack'), tests.id('winter')) $$,
                  'open alerts are listed');
select is_empty($$ select from service.list_alerts(tests.id('lima')) $$, 'each organisation''s own');
select tests.refuses($$ select * from service.list_alerts(gen_random_uuid()) $$,
                     404, 'org_not_found', 'an unknown organisation has none');

select * from finish();
rollback;
