-- capture_inquiry: a visitor's question becomes a lead, honestly and once; what is no question is refused.
begin;
select plan(22);

select tests.sign_out();
select is(capture_inquiry('kilo', 'Ann Lee', 'Ann@Example.com', null, 'How much?') ->> 'outcome', 'captured', 'a question is taken in');
select is(capture_inquiry('kilo', 'Ann Lee', 'ann@example.com', '0400 000 111', 'And when?') ->> 'outcome', 'known', 'the same person''s next one is said to be known');
select is(capture_inquiry('kilo', 'Ann L', null, '+61 400 000 111', 'And when?') ->> 'outcome', 'known', 'also by their phone');
select is(capture_inquiry('KILO', 'Ben', null, '0400000222', null, 'tiktok') ->> 'outcome', 'captured', 'a phone alone will do');
select is(capture_inquiry('kilo', e'Eve\u202E\u200B <b>bold</b>\r\nnext', 'eve@example.com', null, e'line\n\u2066two\u2069\u0007') ->> 'outcome', 'captured', 'HTML and direction marks do no harm');
select is(capture_inquiry('nobody', 'Ann', 'ann@example.com') ->> 'details', 'page_not_found', 'an organisation that does not exist is 404');
select tests.refuses($$ select capture_inquiry('kilo', '   ', 'x@example.com') $$, 422, 'value_not_allowed', 'a name is needed');
select tests.refuses($$ select capture_inquiry('kilo', 'Ann') $$, 422, 'value_not_allowed', 'an email or a phone is needed');
select tests.refuses($$ select capture_inquiry('kilo', 'Ann', 'not an email') $$, 422, 'value_not_allowed', 'an email looks like one');
select tests.refuses($$ select capture_inquiry('kilo', 'Ann', 'a@example.com', '0400; drop') $$, 422, 'value_not_allowed', 'a phone looks like one');
select tests.refuses($$ select capture_inquiry('kilo', repeat('x', 201), 'a@example.com') $$, 422, 'value_not_allowed', 'a name has an end');
select tests.refuses($$ select capture_inquiry('kilo', 'Ann', 'a@example.com', null, repeat('x', 5001)) $$, 422, 'value_not_allowed', 'so has a message');
select tests.refuses($$ select capture_inquiry('kilo', null, null, null, null, null, null) $$, 422, 'value_not_allowed', 'nulls are no question');
select tests.forbids($$ insert into public.inquiries (org_id, name) values (tests.id('kilo'), 'x') $$, 'a visitor writes no table');
select tests.forbids($$ select * from public.inquiries $$, 'nor reads one');

select tests.as_owner();
select is((select count(*) from public.inquiries where org_id = :'kilo'), 3::bigint, 'three people, three leads');
select is((select array_agg(e.kind order by e.happened_at) from public.inquiry_events as e join public.inquiries as i on i.id = e.inquiry_id where lower(i.email) = 'ann@example.com'),
          '{received,repeated}', 'a question is noted once, however often it is sent');
select is((select phone_e164 from public.inquiries where lower(email) = 'ann@example.com'), '+61400000111', 'what was missing is filled in');
select is((select source from public.inquiries where name = 'Ben'), 'other', 'a source that is not known is another one');
select is((select name || '|' || message from public.inquiries where email = 'eve@example.com'), e'Eve <b>bold</b> next|line\ntwo', 'marks that turn what is shown beside them are gone');

-- The pipeline.
select tests.sign_in('coach@kilo.example');
select is(inquiry_pipeline(:'kilo') #>> '{NEW,count}', '3', 'the pipeline counts');
select tests.sign_out();
select count(capture_inquiry('kilo', 'Bot', 'bot' || n || '@example.com')) from generate_series(1, 10) as n;
select is(capture_inquiry('kilo', 'Bot', 'bot99@example.com') ->> 'details', 'rate_limited', 'who asks on and on is asked to wait');
select * from finish();
rollback;
