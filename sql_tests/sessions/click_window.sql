-- click_window: two clicks of one person on one package within the organisation's window are one click.
begin;
select plan(26);

select tests.make_package('pack', 20), tests.make_package('other', 20);
create function pg_temp.click(p_package text, p_who text, p_at interval) returns boolean language sql as $$
  select private.take_session(tests.id('kilo'), tests.id(p_package), null, null, tests.id(p_who),
                              '2030-01-01 10:00+00'::timestamptz + p_at);
$$;
create function pg_temp.give_back(p_package text, p_who text, p_at interval) returns integer language sql as $$
  select private.give_session_back(tests.id('kilo'), tests.id(p_package), null, null, tests.id(p_who),
                                   '2030-01-01 10:00+00'::timestamptz + p_at);
$$;
create function pg_temp.used(p_package text) returns integer language sql as $$
  select sessions_used from public.client_purchases where id = tests.id(p_package);
$$;

select ok(pg_temp.click('pack', 'kilo_owner', '0 s'), 'a click takes one');
select ok(pg_temp.click('pack', 'kilo_owner', '4.9 s'), 'a second one inside five seconds is true');
select is(pg_temp.used('pack'), 1, 'and takes nothing');
select ok(pg_temp.click('pack', 'kilo_desk', '2 s'), 'another person''s click is another click');
select is(pg_temp.used('pack'), 2, 'and takes one');
select ok(pg_temp.click('other', 'kilo_owner', '2 s'), 'a click on another package is another click');
select is(pg_temp.used('other'), 1, 'and takes one');
select ok(pg_temp.click('pack', 'kilo_owner', '5.1 s'), 'after five seconds it is a new click');
select is(pg_temp.used('pack'), 3, 'and takes one');
select ok(private.take_session(:'kilo', tests.id('pack'), null, null, null, '2030-01-01 10:00:00'),
          'an operator has no window');
select ok(private.take_session(:'kilo', tests.id('pack'), null, null, null, '2030-01-01 10:00:01'),
          'each of their calls counts');
select is(pg_temp.used('pack'), 5, 'and takes one');

-- Giving back.
select pg_temp.click('pack', 'kilo_owner', '1 min');
select is(pg_temp.give_back('pack', 'kilo_owner', '1 min 1 s'), 5, 'a session is given back');
select is(pg_temp.give_back('pack', 'kilo_owner', '1 min 2 s'), 5, 'a second click on it is the same click');
select ok(pg_temp.click('pack', 'kilo_owner', '1 min 3 s'), 'to take again after giving back is a new click');
select is(pg_temp.used('pack'), 6, 'inside the window too');
select is(pg_temp.give_back('pack', 'kilo_owner', '1 min 4 s'), 5, 'and so is to give back again after that');
select is(pg_temp.give_back('pack', 'kilo_owner', '1 min 10 s'), 4, 'after the window a release is a new one');
select is(pg_temp.give_back('pack', 'kilo_desk', '1 min 11 s'), 3, 'another person''s release is another');

-- The organisation's choice.
update public.booking_settings set session_click_window_secs = 60 where org_id = :'kilo';
select pg_temp.click('pack', 'kilo_owner', '10 min');
select pg_temp.click('pack', 'kilo_owner', '10 min 59 s');
select is(pg_temp.used('pack'), 4, 'a window of a minute lasts a minute');
update public.booking_settings set session_click_window_secs = 0 where org_id = :'kilo';
select pg_temp.click('pack', 'kilo_owner', '20 min');
select pg_temp.click('pack', 'kilo_owner', '20 min');
select is(pg_temp.used('pack'), 6, 'without a window every click counts');
select is(pg_temp.give_back('pack', 'kilo_owner', '20 min'), 5, 'also every release');
select is(pg_temp.give_back('pack', 'kilo_owner', '20 min'), 4, 'at the same instant');
delete from public.booking_settings where org_id = :'kilo';
select pg_temp.click('pack', 'kilo_owner', '30 min');
select pg_temp.click('pack', 'kilo_owner', '30 min 4 s');
select is(pg_temp.used('pack'), 5, 'without settings the window is five seconds');

-- The public door, at the present instant.
select tests.sign_in('manager@kilo.example');
select ok(use_session(tests.id('other')) and use_session(tests.id('other')) and use_session(tests.id('other')),
          'five instant clicks are all true');
select tests.as_owner();
select is(pg_temp.used('other'), 2, 'and take one');

select * from finish();
rollback;
