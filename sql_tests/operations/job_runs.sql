-- job_runs: a sweep's run is recorded when it begins and, once, when it ends.
begin;
select plan(20);

select tests.as_service();
select service.start_job_run('sweep_bookings') as run, service.start_job_run('sweep_bookings') as killed,
  service.start_job_run('sweep_messages') as other \gset
select tests.remember('run', :'run'), tests.remember('killed', :'killed');
select isnt(:'run'::uuid, :'killed'::uuid, 'each run is its own');
select is((finished_at, result, error)::text, '(,,)', 'a run that has begun has not ended')
  from service.list_job_runs('sweep_bookings') where id = :'run';
select service.finish_job_run(:'run', '{"completed": 3}');
select is((finished_at is not null, result, error)::text, '(t,"{""completed"": 3}",)', 'it ends with what it did')
  from service.list_job_runs('sweep_bookings') where id = :'run';
select service.finish_job_run(:'run', null, 'database_unavailable');
select is((result, error)::text, '("{""completed"": 3}",)', 'and ends once')
  from service.list_job_runs('sweep_bookings') where id = :'run';
select service.finish_job_run(:'other', null, 'database_unavailable');
select is((result, error)::text, '(,database_unavailable)', 'or with what stopped it')
  from service.list_job_runs('sweep_messages') where id = :'other';
select is(finished_at, null, 'one that was killed never ends') from service.list_job_runs() where id = :'killed';
select lives_ok($$ select service.finish_job_run(gen_random_uuid(), '{}') $$, 'an unknown run ends nothing');

select is(count(*), 2::bigint, 'runs are listed by job') from service.list_job_runs('sweep_bookings');
select is(count(*), 0::bigint, 'an unknown job has none') from service.list_job_runs('no_such_job');
select is(count(*), 1::bigint, 'at most as many as asked for') from service.list_job_runs(p_limit => 1);
select is(job, 'sweep_messages', 'the latest first') from service.list_job_runs(p_limit => 1);
select is(count(*), 1::bigint, 'at least one') from service.list_job_runs(p_limit => -5);

select tests.refuses(format('select service.start_job_run(%L)', j), 422, 'value_not_allowed',
                     format('%L is no job', left(j, 20)))
  from unnest(array['', 'Sweep', 'a b', 'x; drop table public.orgs', repeat('x', 61)]) as j;
select tests.refuses($$ select service.start_job_run(null) $$, 422, 'value_not_allowed', 'nor is none');
select tests.forbids($$ select from private.job_runs $$, 'the table itself is nobody''s');
select tests.sign_in('coach@kilo.example');
select tests.forbids($$ select * from service.list_job_runs() $$, 'a coach does not read it');

select * from finish();
rollback;
