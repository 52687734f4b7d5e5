-- change_of_client: a booking given to another client is not paid by the first one's package.
begin;
select plan(18);

select tests.make_package('pack', 10), tests.make_package('empty', 0);
select tests.make_booking('open', 'pack', now() + interval '1 day'),
  tests.make_booking('charged', 'pack', now() - interval '1 day'),
       tests.make_booking('due', 'pack', now() - interval '2 days'),
       tests.make_booking('waived', 'pack', now() - interval '3 days'),
       tests.make_booking('uncovered', 'empty', now() - interval '3 days'),
       tests.make_booking('moved', 'pack', now() + interval '2 days');
select tests.sign_in('coach@kilo.example');
insert into public.clients (org_id, full_name) values (:'kilo', 'Another') returning id as another \gset
select tests.remember('another', :'another');
select complete_booking(tests.id('charged')), complete_booking(tests.id('waived')),
  complete_booking(tests.id('uncovered'));
select release_session(tests.id('pack'), tests.id('waived'));
update public.bookings set status = 'completed' where id = tests.id('due');

create function pg_temp.give_away(p_booking text) returns text language sql as $$
  select format('update public.bookings set client_id = tests.id(''another'') where id = tests.id(%L)', p_booking);
$$;
create function pg_temp.stands(p_booking text) returns text language sql as $$
  select format('%s %s %s', status, coalesce(settlement, '-'),
                case when purchase_id is null then 'bare' else 'with package' end)
    from public.bookings where id = tests.id(p_booking);
$$;
grant execute on function pg_temp.stands(text) to public;

select is(bookable_sessions_remaining(tests.id('pack')), 6, 'a package holds its bookings');
select lives_ok(pg_temp.give_away('open'), 'a booking to come may be given to another client');
select is(pg_temp.stands('open'), 'confirmed - bare', 'the first client''s package is detached');
select is(client_id, :'another'::uuid, 'it is the other''s now') from public.bookings where id = tests.id('open');
select is(bookable_sessions_remaining(tests.id('pack')), 7, 'and is held for the first no longer');
select is(complete_booking(tests.id('open')), 'none', 'completed, it owes nothing to anybody');

select tests.refuses(pg_temp.give_away('charged'), 409, 'booking_charged',
                     'one whose session is taken is not given away');
select tests.refuses(pg_temp.give_away('due'), 409, 'booking_charged', 'nor one whose session is being taken');
select lives_ok(pg_temp.give_away('waived'), 'a waived one may be');
select is(pg_temp.stands('waived'), 'completed none bare', 'it owes nothing then');
select lives_ok(pg_temp.give_away('uncovered'), 'an uncovered one may be');
select is(pg_temp.stands('uncovered'), 'completed none bare', 'it is uncovered no longer');
select is(count(*), 0::bigint, 'and nobody is told of it any more') from public.alerts
  where booking_id = tests.id('uncovered') and resolved_at is null;

update public.bookings set start_time = start_time + interval '1 day', end_time = end_time + interval '1 day',
  client_id = :'kilo_client' where id = tests.id('moved');
select is(pg_temp.stands('moved'), 'confirmed - with package', 'a form that sends the same client keeps the package');
select tests.sign_in('accountant@kilo.example');
select tests.changes_nothing($$ update public.bookings set client_id = tests.id('another')
                                where id = tests.id('moved') $$, 'a role without bookings.write moves nothing');
select tests.sign_in('client@kilo.example');
select tests.refuses($$ update public.bookings set client_id = tests.id('another') where id = tests.id('moved') $$,
                     403, 'column_protected', 'nor does the client');
select tests.as_service();
select tests.forbids($$ update public.bookings set client_id = tests.id('another') where id = tests.id('moved') $$,
                     'nor the service');
select tests.ledger_holds('the counters equal the ledger');

select * from finish();
rollback;
