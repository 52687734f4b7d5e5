-- defaults: what an organisation has not inserted means the default, and never stands in the way of its insert.
begin;
select plan(13);

select tests.sign_up('coach@mike.example', 'mike_owner');
select tests.sign_in('coach@mike.example');
insert into public.orgs (name, slug) values ('Mike', 'mike') returning id as mike \gset
select tests.remember('mike', :'mike');
insert into public.org_members (org_id, user_id, role) values (:'mike', tests.id('mike_owner'), 'owner');
select is_empty($$ select from public.branding where org_id = tests.id('mike') $$,
                'no branding is made for an organisation');
select is_empty($$ select from public.booking_settings where org_id = tests.id('mike') $$,
                'no booking settings are made for it');

select tests.as_owner();
select is(private.org_timezone(:'mike'), 'Australia/Brisbane', 'without settings its timezone is the default');
select is(private.click_window(:'mike'), interval '5 seconds', 'so is its click window');
select is(timezone, 'Australia/Brisbane', 'the operator''s list says so too') from service.list_orgs(1000, 'mike')
  where org_id = :'mike';
select is(private.org_timezone(gen_random_uuid()), 'Australia/Brisbane',
          'an unknown organisation has the default, not null');

select tests.sign_in('coach@mike.example');
insert into public.booking_settings (org_id) values (:'mike');
select results_eq(
  $$ select timezone, session_click_window_secs, no_show_policy, late_cancellation_policy, cancel_notice_hours,
     allow_client_cancel
       from public.booking_settings where org_id = tests.id('mike') $$,
  $$ values ('Australia/Brisbane', 5, 'free', 'refuse', 24, true) $$, 'the row''s own defaults are the same');
insert into public.branding (org_id, display_name) values (:'mike', 'Mike');
select is(primary_color, '#111111', 'a branding without a colour has the default') from public.branding
  where org_id = :'mike';

select tests.refuses($$ insert into public.booking_settings (org_id) values (tests.id('mike')) $$, 409, 'value_taken',
                     'a second row of settings is refused by name');
select tests.refuses($$ insert into public.branding (org_id, display_name) values (tests.id('mike'), 'Again') $$,
                     409, 'value_taken',
                     'so is a second branding');
update public.booking_settings set session_click_window_secs = 0, no_show_policy = 'charge' where org_id = :'mike';
select tests.as_owner();
select is(private.click_window(:'mike'), interval '0', 'a setting applies at once');
select tests.sign_in('desk@kilo.example');
select tests.changes_nothing($$ update public.booking_settings set no_show_policy = 'charge'
                                where org_id = tests.id('kilo') $$,
                             'a role without settings.write changes none');
select tests.sign_in('client@kilo.example');
select is(count(*), 1::bigint, 'a client reads the rules they book by') from public.booking_settings
  where org_id = :'kilo';

select * from finish();
rollback;
