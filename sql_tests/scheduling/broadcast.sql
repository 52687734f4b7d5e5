-- broadcast: open calendars are told that something changed, where Realtime exists, and nothing about whom.
begin;
select plan(4);

create schema realtime;
create table realtime.sent (payload jsonb, event text, topic text, is_private boolean);
create function realtime.send(payload jsonb, event text, topic text, private boolean) returns void
language sql as $$ insert into realtime.sent values (payload, event, topic, private) $$;

select tests.sign_in('coach@kilo.example');
update bookings set notes = 'moved to the park' where id = :'kilo_booking';
select tests.as_owner();

select is((select count(*) from realtime.sent), 1::bigint, 'one statement sends one message');
select is((select topic from realtime.sent), 'calendar:' || :'kilo', 'to the organisation''s own topic');
select ok((select is_private from realtime.sent), 'for those alone who may listen to it');
select is((select array_agg(k order by k) from realtime.sent, jsonb_object_keys(payload) as k), array['changed_at', 'org_id'],
          'and it says nothing of the booking');

select * from finish();
rollback;
