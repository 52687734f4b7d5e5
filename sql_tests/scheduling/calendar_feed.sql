-- Calendar feeds: a token shown once opens one person's bookings to other programs, until it is revoked; only its hash is kept.
begin;
select plan(55);
select tests.open_studio();
select tests.remember('lesson', (private.book(:'kilo', tests.id('ann'), tests.id('pt'), tests.at(8, '09:00'), null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null) ->> 'booking_id')::uuid),
       tests.remember('others', (private.book(:'kilo', tests.id('ben'), tests.id('pt'), tests.at(8, '09:00'), null, tests.id('second'), null, null, 'coach', 'trainer', null, null, null) ->> 'booking_id')::uuid);
create function pg_temp.uids(p_token text) returns text language sql as $$
  select string_agg(e ->> 'uid', ' ' order by n) from jsonb_array_elements(service.calendar_feed(p_token) -> 'events') with ordinality as x (e, n) $$;
grant execute on function pg_temp.uids(text) to public;

select tests.sign_in('manager@kilo.example');
select create_calendar_feed(tests.id('staff')) as staff_token, create_calendar_feed(p_client_id => tests.id('ann')) as ann_token, create_calendar_feed(tests.id('staff')) as other_token \gset
select matches(:'staff_token'::text, '^[0-9a-f]{64}$', 'whoever looks after staff and clients opens a feed, with a token that nobody guesses');
select isnt(:'staff_token'::text, :'other_token'::text, 'a different one each time');
select tests.as_owner();
select is(count(*), 3::bigint, 'the hash alone is kept') from private.calendar_feed_tokens where length(token_hash) = 32;
select is(count(*), 1::bigint, 'and finds its feed') from private.calendar_feed_tokens where token_hash = sha256(convert_to(:'staff_token', 'UTF8'));
select is_empty(format($$ select from private.calendar_feeds as f, private.calendar_feed_tokens as t where (to_jsonb(f) || to_jsonb(t))::text like '%%' || %L || '%%' $$, :'staff_token'), 'nothing holds the token itself');

select tests.as_service();
select is(pg_temp.uids(:'ann_token'), tests.id('lesson') || '@coach-os', 'a client''s feed holds their bookings');
select is(pg_temp.uids(:'staff_token') like '%' || tests.id('lesson') || '@coach-os', true, 'a staff member''s holds theirs');
select is(pg_temp.uids(:'staff_token') like '%' || tests.id('others') || '%', false, 'and nobody else''s');
select is(pg_temp.uids(:'other_token'), pg_temp.uids(:'staff_token'), 'a second feed of the same is the same');
select is((f ->> 'name', f #>> '{events,0,summary}', f #>> '{events,0,organizer}')::text, '(Kilo,"Personal training with Kilo",Kilo)', 'a client reads with whom') from service.calendar_feed(:'ann_token') as f;
select is(e ->> 'summary', 'Personal training: Ann', 'a staff member reads of whom') from service.calendar_feed(:'staff_token') as f, jsonb_array_elements(f -> 'events') as e where e ->> 'uid' like tests.id('lesson') || '%';
select is((f #>> '{events,0,start_time}')::timestamptz, tests.at(8, '09:00'), 'as an instant') from service.calendar_feed(:'ann_token') as f;
select is((f #>> '{events,0,status}', f #>> '{events,0,sequence}')::text, '(CONFIRMED,0)', 'confirmed') from service.calendar_feed(:'ann_token') as f;

-- What changes keeps its uid, and its sequence rises.
select tests.sign_in('coach@kilo.example');
select reschedule_booking(tests.id('lesson'), tests.at(8, '10:00'));
select tests.as_service();
select is((f #>> '{events,0,uid}', f #>> '{events,0,sequence}', (f #>> '{events,0,start_time}')::timestamptz)::text, (tests.id('lesson') || '@coach-os', '1', tests.at(8, '10:00'))::text, 'a booking that moved is the same event') from service.calendar_feed(:'ann_token') as f;
select tests.sign_in('coach@kilo.example');
select cancel_booking(tests.id('lesson'));
select tests.as_service();
select is((f #>> '{events,0,uid}', f #>> '{events,0,sequence}', f #>> '{events,0,status}')::text, (tests.id('lesson') || '@coach-os', '2', 'CANCELLED')::text, 'one that was cancelled stays, and says so') from service.calendar_feed(:'ann_token') as f;
select is(service.booking_event(tests.id('lesson')), service.calendar_feed(:'ann_token') #> '{events,0}', 'one booking''s file is the same event');
select tests.refuses($$ select service.booking_event(gen_random_uuid()) $$, 404, 'booking_not_found', 'an unknown booking has none');
select tests.as_owner();
update public.bookings set status = 'pending' where id = tests.id('others');
insert into public.locations (org_id, name, address) values (:'kilo', 'The gym', '1 Main St') returning id as gym \gset
update public.bookings set location_id = :'gym' where id = tests.id('others');
select is((private.booking_event(b, false) ->> 'status', private.booking_event(b, false) ->> 'location')::text, '(TENTATIVE,"The gym, 1 Main St")', 'one that waits is tentative; a place is named')
  from public.bookings as b where id = tests.id('others');

-- Who may: a staff member's feed shows their clients, a client's where they are.
select tests.as_owner();
insert into public.staff (org_id, full_name, user_id) values (:'kilo', 'Accounts', tests.id('kilo_accountant')) returning tests.remember('accounts', id);
select tests.sign_in('accountant@kilo.example');
select tests.refuses(format('select %s(%s)', f, a), 403, 'permission_missing', format('who only reads bookings: %s of %s', f, a))
  from unnest(array['create_calendar_feed', 'revoke_calendar_feeds']) as f cross join unnest(array['tests.id(''staff'')', 'p_client_id => tests.id(''ann'')']) as a;
select create_calendar_feed(tests.id('accounts')) as own \gset
select is(revoke_calendar_feeds(tests.id('accounts')), 1, 'but has a feed of their own calendar, and closes it');
select tests.sign_in('desk@kilo.example');
select tests.refuses(format('select %s(tests.id(''staff''))', f), 403, 'permission_missing', format('a desk looks after no staff: %s', f)) from unnest(array['create_calendar_feed', 'revoke_calendar_feeds']) as f;
select create_calendar_feed(p_client_id => tests.id('ben')) as bens \gset
select is(revoke_calendar_feeds(p_client_id => tests.id('ben')), 1, 'but after clients');

-- Who leaves keeps no window.
select tests.as_owner();
select tests.sign_up('brief@kilo.example', 'brief');
insert into public.org_members (org_id, user_id, role) values (:'kilo', tests.id('brief'), 'manager');
insert into public.staff (org_id, full_name, user_id) values (:'kilo', 'Brief', tests.id('brief')) returning tests.remember('briefs', id);
select tests.sign_in('manager@kilo.example');
select create_calendar_feed(tests.id('briefs')) as handed \gset
select tests.sign_in('brief@kilo.example');
select create_calendar_feed(p_client_id => tests.id('ann')) as shown, create_calendar_feed(tests.id('briefs')) as own \gset
select tests.as_owner();
update public.clients set auth_user_id = tests.id('brief') where id = tests.id('ben');
select tests.sign_in('brief@kilo.example');
select create_calendar_feed(p_client_id => tests.id('ben')) as as_client \gset
select tests.as_owner();
delete from public.org_members where user_id = tests.id('brief');
select tests.as_service();
select is(service.calendar_feed(t.token) ->> 'details', 'feed_not_found', t.title)
  from (values (:'handed', 'a member who leaves: the feed of their calendar ends'), (:'own', 'whoever opened it'), (:'shown', 'and those they opened of others')) as t (token, title);
select is(service.calendar_feed(:'as_client') ->> 'name', 'Kilo', 'what is theirs as a client stays');
select isnt(pg_temp.uids(:'ann_token'), null, 'and what others opened');
select tests.sign_in('manager@kilo.example');
select create_calendar_feed(tests.id('briefs')) as last \gset
select deactivate_staff(tests.id('briefs'));
select tests.as_service();
select is(service.calendar_feed(:'last') ->> 'details', 'feed_not_found', 'a staff member who is deactivated has no feed');

-- Revoked.
select tests.sign_in('manager@kilo.example');
select is(revoke_calendar_feeds(tests.id('staff')), 2, 'every feed of a person is closed') union all select is(revoke_calendar_feeds(tests.id('staff')), 0, 'once');
select tests.as_service();
select is(service.calendar_feed(:'staff_token') ->> 'details', 'feed_not_found', 'then its token opens nothing');
select is(current_setting('response.status'), '404', 'and is not found');
select isnt(pg_temp.uids(:'ann_token'), null, 'others stay open');
select is(service.calendar_feed(t.token) ->> 'details', 'feed_not_found', t.title) from (values ('x', 'nonsense opens nothing'), ('', 'nor does nothing'), (null, 'nor null')) as t (token, title);

-- A client, for themselves.
select tests.sign_in('client@kilo.example');
select create_calendar_feed(p_client_id => :'kilo_client') as own_token \gset
select matches(:'own_token'::text, '^[0-9a-f]{64}$', 'a client opens their own');
select is(revoke_calendar_feeds(p_client_id => :'kilo_client'), 1, 'and closes it');
select tests.refuses($$ select create_calendar_feed(p_client_id => tests.id('ann')) $$, 404, 'feed_subject_not_found', 'not another client''s');
select tests.refuses($$ select create_calendar_feed(tests.id('staff')) $$, 404, 'feed_subject_not_found', 'nor a staff member''s');
select tests.refuses($$ select revoke_calendar_feeds(p_client_id => tests.id('ann')) $$, 404, 'feed_subject_not_found', 'nor closes it');

select tests.sign_in('coach@lima.example');
select tests.refuses(format('select %s(%s)', f, a), 404, 'feed_subject_not_found', format('for lima, %s: kilo''s %s does not exist', f, a))
  from unnest(array['create_calendar_feed', 'revoke_calendar_feeds']) as f cross join unnest(array['tests.id(''staff'')', 'p_client_id => tests.id(''ann'')']) as a;
select tests.sign_in('nobody@nowhere.example');
select tests.refuses($$ select create_calendar_feed(tests.id('staff')) $$, 404, 'feed_subject_not_found', 'nor for somebody without a membership');
select tests.sign_in('coach@kilo.example');
select tests.refuses($$ select create_calendar_feed() $$, 422, 'value_not_allowed', 'a feed is somebody''s');
select tests.refuses($$ select create_calendar_feed(tests.id('staff'), tests.id('ann')) $$, 422, 'value_not_allowed', 'of one alone');
select tests.sign_out();
select tests.forbids($$ select create_calendar_feed(tests.id('staff')) $$, 'a visitor opens none') union all
select tests.forbids($$ select revoke_calendar_feeds(tests.id('staff')) $$, 'nor closes one') union all
select tests.forbids($$ select service.calendar_feed('x') $$, 'the feeds are read by the service alone');

select * from finish();
rollback;
