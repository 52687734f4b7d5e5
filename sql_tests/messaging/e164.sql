-- e164: one form of a phone number, however it is written; what is none is nothing, and no other number.
begin;
select plan(31);
select is(private.e164(n, 'AU'), '+61400000001', format('%s is that number', n))
  from unnest(array['+61 400 000 001', '0400000001', '0400 000 001', '(04) 0000-0001', '04.0000.0001', '+61 (0)400 000 001', '0061400000001', '61400000001',
                    '0011 61 400 000 001', '400 000 001', '0400 000 001 ext. 4', '0400000001 x12', '０４００ ０００ ００１']) as n;
select is(private.e164(n, 'AU'), null, format('%s is none', coalesce(n, 'nothing')))
  from unnest(array[null, '', 'ask her mum', '0400 000 001 / 0400 000 002', '+', '+61', '04+00000001', '+0400000001', '12']) as n;
select is(private.e164('(415) 555-2671', 'US'), '+14155552671', 'an American number');
select is(private.e164('1 415 555 2671', 'US'), '+14155552671', 'with its one');
select is(private.e164('011 61 400 000 001', 'US'), '+61400000001', 'one dialled abroad from there');
select is(private.e164('06 1234 5678', 'IT'), '+390612345678', 'an Italian number keeps its zero');
select is(private.e164('55 99123 4567', 'BR'), '+5555991234567', 'a number that begins like its country''s code is not taken for one with it');
select is(private.e164('+44 (0)7400 123456', 'AU'), '+447400123456', 'another country''s zero goes too');
select is(private.e164('0400 000 001', 'XX'), null, 'of an unknown region nothing is known');

-- Kept by the row, by the organisation's region.
select tests.open_messaging();
select is(phone_e164, '+61400000001', 'a client''s number is kept in that form') from public.clients where id = tests.id('ann');
update public.clients set phone = '021 123 4567' where id = tests.id('ben');
update public.sms_settings set phone_region = 'NZ' where org_id = :'kilo';
select is(phone_e164, '+64211234567', 'the region changes: numbers are read anew') from public.clients where id = tests.id('ben');
select * from finish();
rollback;
