-- fail: a refusal is an SQLSTATE with an HTTP status, a stable slug, a sentence for a person and a next action.
begin;
select plan(8);

create function pg_temp.caught(p_sql text) returns text[] language plpgsql as $$
declare
  v_message text;
  v_detail text;
  v_hint text;
begin
  execute p_sql;
  return null;
exception when others then
  get stacked diagnostics v_message = message_text, v_detail = pg_exception_detail, v_hint = pg_exception_hint;
  return array[sqlstate, v_detail, v_message, v_hint];
end;
$$;

select is(pg_temp.caught($$ select private.fail(409, 'package_exhausted', 'No sessions are left.',
                                                'Sell a new package.') $$),
          array['PT409', 'package_exhausted', 'No sessions are left.', 'Sell a new package.'],
          'status, slug, sentence and hint arrive');
select is(pg_temp.caught($$ select private.fail(404, 'nothing_here', 'There is nothing.') $$),
          array['PT404', 'nothing_here', 'There is nothing.', ''], 'a hint may be left out');
select is(pg_temp.caught($$ select private.fail(422, 'percent_kept', '100% of %s is {} \n "quoted"', '%') $$),
          array['PT422', 'percent_kept', '100% of %s is {} \n "quoted"', '%'],
          'nothing in the text is taken for a format');
select lives_ok($$ select private.require_value(true, 'limit') $$, 'a value in its range passes');
select tests.refuses($$ select private.require_value(false, 'limit') $$,
                     422, 'value_not_allowed', 'a value out of its range does not');
select tests.refuses($$ select private.require_value(null, 'limit') $$,
                     422, 'value_not_allowed', 'nor one that is missing');

-- Everything that refuses says so in the same form.
select is_empty(
  $$ select p.oid::regprocedure from pg_proc as p
      where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace)
        and p.prosrc ~* '\mraise\s+(exception|sqlstate)' and p.proname <> 'fail'
        and not (p.prosrc ~ 'raise exception using errcode = ''PT900''' and p.prosrc ~ 'exception when sqlstate ''PT900''') $$,
  'nothing else raises an error of its own, but what catches it itself to undo its own work');
select is_empty(
  $$ select p.proname, m[1] from pg_proc as p
      cross join lateral regexp_matches(p.prosrc, 'private\.fail\(\s*\d+,\s*''([^'']*)''', 'g') as m
      where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace)
        and m[1] !~ '^[a-z]+(_[a-z]+)+$' $$, 'every slug is noun_state');

select * from finish();
rollback;
