-- timezone: an organisation's timezone is an IANA name, whichever way it is written.
begin;
select plan(26);

select tests.sign_in('coach@kilo.example');
create function pg_temp.set_zone(p_zone text) returns text language sql volatile as $$
  select format('update public.booking_settings set timezone = %L where org_id = tests.id(''kilo'')', p_zone);
$$;

select lives_ok(pg_temp.set_zone(z), format('%s is a timezone', z))
  from unnest(array['Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Asia/Kathmandu', 'Pacific/Kiritimati',
                    'UTC']) as z;

select tests.refuses(pg_temp.set_zone(z), 422, 'timezone_unknown', format('%L is none', z))
  from unnest(array['Mars/Phobos', '', ' ', 'Europe/Berlin ', 'europe/berlin', 'FOO+5', 'EST+5', '<-03>3', '+10',
                    '-03:30', '10',
                    'AEST-10AEDT,M10.1.0,M4.1.0/3', 'posix/Europe/Berlin', 'right/UTC',
                    'Europe/Berlin''; drop table public.orgs',
                    '../../etc/passwd', repeat('Europe/', 2000)]) as z
  where length(z) < 60;
select tests.refuses(pg_temp.set_zone(repeat('Europe/', 2000)), 422, 'timezone_unknown', 'nor is a very long one');
select tests.refuses($$ update public.booking_settings set timezone = null where org_id = tests.id('kilo') $$,
                     422, 'timezone_unknown', 'nor none');

select is(timezone, 'UTC', 'what was refused has changed nothing') from public.booking_settings where org_id = :'kilo';
select tests.as_service();
select tests.refuses($$ select service.create_org('November', 'nobody@nowhere.example', 'november', 'Mars/Phobos') $$,
                     422, 'timezone_unknown',
                     'an operator is told the same');
select is_empty($$ select from public.orgs where slug = 'november' $$, 'and no half of the organisation is left');

select * from finish();
rollback;
