-- message_history and show_message: everything that was sent or waits, by client, channel, status and kind, page by page without loss.
begin;
select plan(33);
select tests.open_studio();
insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end, max_sms_per_client_per_day, max_sms_per_hour) values (:'kilo', 0, 0, null, null);
-- Three hundred, ten to an instant; and one of another organisation.
insert into public.outbox_messages (org_id, id, channel, kind, client_id, booking_id, to_address, body, status, next_at, expires_at, created_at)
select :'kilo', gen_random_uuid(), (array['sms', 'email', 'push'])[1 + n % 3], (array['direct', 'booking_reminder'])[1 + n % 2], case when n % 5 = 0 then tests.id('ann') else :'kilo_client' end,
       case when n % 2 = 1 and n % 5 > 0 then :'kilo_booking'::uuid end, 'x', 'Text ' || n, (array['queued', 'cancelled', 'expired', 'failed'])[1 + n % 4], now(), now() + interval '1 day', now() - n / 10 * interval '1 minute'
  from generate_series(0, 299) as n;
insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, next_at, expires_at) values (:'lima', 'sms', 'direct', :'lima_client', 'theirs', 'queued', now(), now() + interval '1 day') returning id as theirs \gset
select tests.remember('theirs', :'theirs');

create function pg_temp.pages(p_limit integer) returns table (page bigint, id uuid, created_at timestamptz) language plpgsql as $$
declare
  v_last record;
  v_page bigint := 0;
  v_found boolean := true;
begin
  while v_found loop
    v_found := false;
    v_page := v_page + 1;
    for v_last in select h.id, h.created_at from message_history(tests.id('kilo'), p_before => created_at, p_before_id => pages.id, p_limit => p_limit) as h loop
      v_found := true;
      page := v_page; id := v_last.id; created_at := v_last.created_at;
      return next;
    end loop;
  end loop;
end;
$$;
grant execute on function pg_temp.pages(integer) to public;

select tests.sign_in('desk@kilo.example');
select is((select count(*) from message_history(:'kilo')), 50::bigint, 'fifty unless told');
select is((select count(*) from message_history(:'kilo', p_limit => 10000)), 300::bigint, 'all of the organisation''s, and of no other');
select is((select array_agg(h.created_at) from message_history(:'kilo', p_limit => 500) as h), (select array_agg(h.created_at order by h.created_at desc) from message_history(:'kilo', p_limit => 500) as h), 'newest first');
select is((select (count(*), count(distinct p.id), max(p.page))::text from pg_temp.pages(n) as p), format('(300,300,%s)', ceil(300.0 / n)), format('pages of %s lose and repeat nothing, also where many were made at once', n)) from unnest(array[1, 7, 10, 99, 300]) as n;
select is((select array_agg(p.id) from pg_temp.pages(7) as p), (select array_agg(h.id) from message_history(:'kilo', p_limit => 500) as h), 'in the order of one page');
select is((select count(*) from message_history(:'kilo', t.client, t.channel, t.status, t.kind, p_limit => 500)), t.rows, format('%s', t.title)) from (values
  (tests.id('ann'), null, null, null, 60::bigint, 'of a client'), (null, 'push', null, null, 100, 'of a channel'), (null, null, 'failed', null, 75, 'of a status'),
  (null, null, null, 'booking_reminder', 150, 'of a kind'), (tests.id('ann'), 'sms', 'queued', 'direct', 5, 'of all four'), (:'lima_client', null, null, null, 0, 'not of another organisation''s client'),
  (null, 'fax', null, null, 0, 'nothing of a channel that does not exist')) as t (client, channel, status, kind, rows, title);
select is((client_name, booking_id, body)::text, ('Client of Kilo', :'kilo_booking'::uuid, 'Text 1')::text, 'with what a page shows') from message_history(:'kilo', p_limit => 500) where body = 'Text 1';
select tests.only_for_members($$ select message_history(tests.id('kilo')) $$, 'org_not_found', 'accountant@kilo.example', 'message_history');

-- One message.
select tests.as_owner();
select service.push_message(:'kilo_client', 'x', 'x');
select tests.sign_in('desk@kilo.example');
select (send_message(:'kilo_client', 'Hello') ->> 'message_id')::uuid as message \gset
select tests.remember('message', :'message');
select tests.as_owner();
select claim as claim from service.claim_messages('w', 500, '{sms}') where id = :'message' \gset
select service.record_messages(jsonb_build_array(jsonb_build_object('org_id', :'kilo', 'id', :'message', 'claim', :'claim', 'outcome', 'sent', 'provider_message_id', 'SM1', 'provider_status', 'queued', 'http_status', 201)));
select service.record_sms_status(:'message', 'SM1', 'delivered', null, '{"Body": "Hello"}');
select tests.sign_in('desk@kilo.example');
select is(d - '{attempts_made,events}'::text[] @> jsonb_build_object('id', :'message', 'status', 'delivered', 'body', 'Hello', 'preview', 'Hello', 'to_address', '+61400000000', 'attempts', 1, 'followed_by', '[]'::jsonb), true, 'one message')
  from show_message(:'message') as d;
select is((select string_agg(concat_ws(' ', a ->> 'attempt_number', a ->> 'provider', a ->> 'provider_message_id', a ->> 'status', a ->> 'http_status'), ', ') from jsonb_array_elements(d -> 'attempts_made') as a), '1 twilio SM1 sent 201', 'with its attempts')
  from show_message(:'message') as d;
select is((select string_agg(e ->> 'status', ', ') from jsonb_array_elements(d -> 'events') as e), 'delivered', 'and what was told') from show_message(:'message') as d;
select is(d ?| array['claim', 'worker', 'provider_account', 'created_by', 'event_payload'], false, 'without what is the machinery''s') from show_message(:'message') as d;
select tests.refuses($$ select show_message(tests.id('theirs')) $$, 404, 'message_not_found', 'another organisation''s message does not exist');
select tests.refuses($$ select show_message(gen_random_uuid()) $$, 404, 'message_not_found', 'nor an unknown one');
select tests.sign_in('accountant@kilo.example');
select tests.refuses($$ select show_message(tests.id('message')) $$, 404, 'message_not_found', 'nor for who may not read messages');
select tests.sign_in('client@kilo.example');
select tests.refuses($$ select show_message(tests.id('message')) $$, 404, 'message_not_found', 'nor for the client');
select tests.sign_out();
select tests.forbids($$ select show_message(tests.id('message')) $$, 'a visitor may not call it');
select tests.as_owner();
select service.set_platform_setting('app_url', 'https://app.example');
select is((select count(*) from public.outbox_messages where id = :'message' and status = 'delivered'), 1::bigint, 'looking changed nothing');

select * from finish();
rollback;
