-- Rate limits of the portal and the public page: too many calls are answered 429, and go on being counted.
begin;
select plan(21);
select tests.open_studio();
create function pg_temp.called(p_times integer, p_call text) returns text language plpgsql as $$
declare
  v_answer jsonb;
begin
  for v_n in 1 .. p_times loop
    execute 'select ' || p_call into v_answer;
  end loop;
  return coalesce(v_answer ->> 'details', 'answered');
end;
$$;
grant execute on function pg_temp.called(integer, text) to public;
create function pg_temp.from_address(p_address text) returns void language sql as $$
  select set_config('request.headers', jsonb_build_object('x-forwarded-for', p_address)::text, true) $$;
grant execute on function pg_temp.from_address(text) to public;

select tests.sign_out();
select pg_temp.from_address('203.0.113.1');
select is(pg_temp.called(20, 'portal_overview(gen_random_uuid()::text)'), 'link_not_found', 'twenty links that do not exist are not found');
select is(pg_temp.called(1, 'portal_overview(gen_random_uuid()::text)'), 'rate_limited', 'then it is too many');
select is(current_setting('response.status'), '429', 'which is the status');
select is(pg_temp.called(1, 'portal_cancel(''x'', gen_random_uuid())'), 'rate_limited', 'by whatever door');
select is(pg_temp.called(1, format('portal_overview(%L)', tests.id('token'))), 'answered', 'a link that exists is answered all the same');
select pg_temp.from_address('203.0.113.2');
select is(pg_temp.called(1, 'portal_overview(gen_random_uuid()::text)'), 'link_not_found', 'another address has its own count');
select pg_temp.from_address('198.51.100.9, 203.0.113.1');
select is(pg_temp.called(1, 'portal_overview(gen_random_uuid()::text)'), 'rate_limited', 'what a caller writes before their address helps nobody');
select tests.as_owner();
select cmp_ok(max(hits), '>=', 23, 'refused calls count on') from private.rate_limits where bucket = 'portal_miss';

select tests.sign_out();
select is(pg_temp.called(118, format('portal_overview(%L)', tests.id('token'))), 'answered', 'a link is opened often');
select is(pg_temp.called(2, format('portal_overview(%L)', tests.id('token'))), 'rate_limited', 'and then too often');
select is(pg_temp.called(1, format('portal_overview(%L)', upper(tests.id('token')::text))), 'rate_limited', 'however it is written');
select pg_temp.from_address('203.0.113.3');
select is(pg_temp.called(1, format('portal_slots(%L, current_date)', tests.id('token'))), 'rate_limited', 'from wherever');

select is(pg_temp.called(60, 'public_page(''none'')'), 'page_not_found', 'sixty pages that do not exist are not found') union all
select is(pg_temp.called(1, 'public_page(''none'')'), 'rate_limited', 'then it is too many');
select is(pg_temp.called(120, 'public_page(''kilo'')'), 'answered', 'a page is read often') union all
select is(pg_temp.called(1, 'public_page(''kilo'')'), 'rate_limited', 'and then too often');
select is(pg_temp.called(1, 'public_page(''lima'')'), 'answered', 'each page by itself');

select pg_temp.from_address('203.0.113.4');
select is(pg_temp.called(10, 'public_book(''kilo'', now(), ''A'', ''a@b.cc'')'), 'answered', 'ten attempts to book are answered');
select is(pg_temp.called(1, format('public_book(''kilo'', %L, ''A'', ''a@b.cc'')', tests.at(8, '09:00'))), 'rate_limited', 'the next is not');
select tests.as_owner();
select is_empty($$ select from public.bookings where start_time = tests.at(8, '09:00') $$, 'and books nothing');
select is_empty($$ select from private.rate_limits where encode(key_hash, 'escape') like '%203.0.113%' or length(key_hash) <> 32 $$, 'addresses are kept as hashes alone');

select * from finish();
rollback;
