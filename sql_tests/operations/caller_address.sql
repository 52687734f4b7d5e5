-- caller_address: what a caller writes into a header is not believed; the service's word is.
begin;
select plan(9);

create function pg_temp.address(p_role text, p_headers text)
returns text
language plpgsql
as $$
begin
  perform set_config('request.jwt.claims', jsonb_build_object('role', p_role)::text, true),
          set_config('request.headers', p_headers, true);
  return private.caller_address();
end;
$$;

select is(pg_temp.address('anon', ''), '', 'without headers nobody calls');
select is(pg_temp.address('anon', '{}'), '', 'without an address nobody calls');
select is(pg_temp.address('anon', '{"x-forwarded-for": "203.0.113.7"}'), '203.0.113.7', 'the one proxy says who called it');
select is(pg_temp.address('anon', '{"x-forwarded-for": "9.9.9.9, 203.0.113.7"}'), '203.0.113.7', 'what a caller wrote before does not count');
select is(pg_temp.address('authenticated', '{"x-forwarded-for": "9.9.9.9, 203.0.113.7"}'), '203.0.113.7', 'nor of one who signed in');
select is(pg_temp.address('anon', '{"x-forwarded-for": "9.9.9.9", "cf-connecting-ip": "203.0.113.7"}'), '203.0.113.7',
          'the platform''s edge knows it');
select is(pg_temp.address('service_role', '{"x-forwarded-for": "203.0.113.7"}'), '203.0.113.7', 'the service says whose call it carries');
select is(pg_temp.address('service_role', '{"x-forwarded-for": "203.0.113.7, 10.0.0.1", "cf-connecting-ip": "10.0.0.1"}'), '203.0.113.7',
          'also where proxies stand between it and the database');
select is(pg_temp.address('service_role', '{"cf-connecting-ip": "10.0.0.1"}'), '', 'it calls for nobody when it does not say');

select * from finish();
rollback;
