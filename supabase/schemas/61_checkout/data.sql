-- What clients are told of their money, until an organisation saves its own words.

insert into private.message_kinds (kind, variables, subject, body, asks_confirmation, is_urgent_allowed, priority)
select k.kind,
       '{client_name,first_name,business_name,coach_name,portal_link,sessions_remaining,sessions_booked,session_summary,answer_hint}'::text[] || k.variables,
       k.subject, k.body, false, false, 0
  from (values
    ('deposit_late', '{session_datetime,amount}'::text[], 'Your deposit is on its way back',
     'Hi {first_name}, your deposit of {amount} for {session_datetime} came after the time was given away. All of it is being paid back; please choose another time. {business_name}'),
    ('receipt', '{receipt_number,receipt_kind,amount,description}', 'Receipt {receipt_number} from {business_name}',
     'Hi {first_name}, here is your receipt {receipt_number}: a {receipt_kind} of {amount} for {description}. {business_name}')
  ) as k (kind, variables, subject, body);
