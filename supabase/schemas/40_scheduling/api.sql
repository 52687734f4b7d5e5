-- Scheduling for apps: settling bookings, and finding, booking and moving time.

create function public.complete_booking(p_booking_id uuid)
returns text
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_complete_booking(p_booking_id);
end;
comment on function public.complete_booking is
  'Completes a booking and settles its session in one, and says how it ended: charged, waived, uncovered, or none (no package). The same again answers the same. Needs bookings.write. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409, permission_missing 403.';
revoke all on function public.complete_booking(uuid) from public, anon, service_role;
grant execute on function public.complete_booking(uuid) to authenticated;
grant execute on function private.member_complete_booking(uuid) to authenticated;

create function public.undo_completion(p_booking_id uuid)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_undo_completion(p_booking_id);
end;
comment on function public.undo_completion is
  'Takes a completion or a no-show back: the booking is confirmed again, its session returns to the package, and the sweep leaves it alone. Returns the package''s sessions_used, null without a package. Needs sessions.release. Fails: booking_not_found 404, booking_not_completed 409, booking_moving 409, permission_missing 403.';
revoke all on function public.undo_completion(uuid) from public, anon, service_role;
grant execute on function public.undo_completion(uuid) to authenticated;
grant execute on function private.member_undo_completion(uuid) to authenticated;

create function public.find_slots(
  p_org_id uuid, p_on date, p_until date default null,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_duration_mins integer default null)
returns table (start_time timestamptz, end_time timestamptz, staff_id uuid, rank integer, seats_left integer)
language sql stable security invoker set search_path = ''
begin atomic
  select t.start_time, t.end_time, t.staff_id, t.rank, t.seats_left from private.member_find_slots(p_org_id, p_on, p_until, p_session_type_id, p_staff_id, p_location_id, p_duration_mins) as t;
end;
comment on function public.find_slots is
  'The starts that can be booked on some local days (p_on to p_until, at most 63), with staff and rank: the minutes to the nearest taken time, 0 = adjacent, so that the lowest keep a day compact. Needs bookings.read. Fails: org_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404, value_not_allowed 422.';
revoke all on function public.find_slots(uuid, date, date, uuid, uuid, uuid, integer) from public, anon, service_role;
grant execute on function public.find_slots(uuid, date, date, uuid, uuid, uuid, integer) to authenticated;
grant execute on function private.member_find_slots(uuid, date, date, uuid, uuid, uuid, integer) to authenticated;

create function public.available_dates(
  p_org_id uuid, p_on date, p_until date, p_session_type_id uuid default null, p_staff_id uuid default null,
  p_location_id uuid default null, p_duration_mins integer default null)
returns table (on_date date, slots bigint)
language sql stable security invoker set search_path = ''
begin atomic
  select (s.start_time at time zone private.org_timezone(p_org_id))::date, count(*)
    from private.member_find_slots(p_org_id, p_on, p_until, p_session_type_id, p_staff_id, p_location_id, p_duration_mins) as s
   group by 1 order by 1;
end;
comment on function public.available_dates is
  'The local dates that have a start to book, with how many. Needs bookings.read. Fails as find_slots.';
revoke all on function public.available_dates(uuid, date, date, uuid, uuid, uuid, integer) from public, anon, service_role;
grant execute on function public.available_dates(uuid, date, date, uuid, uuid, uuid, integer) to authenticated;
grant execute on function private.org_timezone(uuid) to authenticated;

create function public.book(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_purchase_id uuid default null, p_duration_mins integer default null, p_notes text default null,
  p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_book(p_org_id, p_client_id, p_start_time, p_session_type_id, p_staff_id, p_location_id, p_purchase_id, p_duration_mins, p_notes, p_request_id);
end;
comment on function public.book is
  'Books a start that find_slots offers, with a staff member or (null) anyone: {outcome: booked, booking_id, staff_id, start_time, end_time}; {outcome: taken, alternatives} when somebody was faster and {outcome: unavailable, alternatives} when it was never offered, with up to five {start_time, end_time, staff_id, rank}; {outcome: package_exhausted}. The same request id books once. Needs bookings.write. Fails: org_not_found 404, permission_missing 403, client_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404, purchase_not_found 404, value_not_allowed 422, request_reused 409, request_in_progress 409.';
revoke all on function public.book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) from public, anon, service_role;
grant execute on function public.book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) to authenticated;
grant execute on function private.member_book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) to authenticated;

create function public.reschedule_booking(p_booking_id uuid, p_start_time timestamptz, p_staff_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_reschedule(p_booking_id, p_start_time, p_staff_id);
end;
comment on function public.reschedule_booking is
  'Moves a booking and keeps its identity: {outcome: rescheduled, booking_id, staff_id, start_time, end_time}, {outcome: taken, alternatives}, or {outcome: package_expired} where its package is not valid at the new start; then nothing changes. Needs bookings.write. Fails: booking_not_found 404, booking_not_confirmed 409, staff_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.reschedule_booking(uuid, timestamptz, uuid) from public, anon, service_role;
grant execute on function public.reschedule_booking(uuid, timestamptz, uuid) to authenticated;
grant execute on function private.member_reschedule(uuid, timestamptz, uuid) to authenticated;

create function public.cancel_booking(
  p_booking_id uuid, p_reason text default null, p_is_charged boolean default false)
returns text
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_cancel_booking(p_booking_id, p_reason, p_is_charged);
end;
comment on function public.cancel_booking is
  'Cancels a booking: its time and its held session are free again, a session taken early returns. With p_is_charged the session is taken all the same, or stays taken. Says what became of the session: null (free), waived, charged or uncovered. Needs bookings.write. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409, permission_missing 403.';
revoke all on function public.cancel_booking(uuid, text, boolean) from public, anon, service_role;
grant execute on function public.cancel_booking(uuid, text, boolean) to authenticated;
grant execute on function private.member_cancel_booking(uuid, text, boolean) to authenticated;

create function public.hold_slot(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_duration_mins integer default null, p_minutes integer default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_hold(p_org_id, p_client_id, p_start_time, p_session_type_id, p_staff_id, p_location_id, p_duration_mins, p_minutes);
end;
comment on function public.hold_slot is
  'Keeps a start for a client for some minutes (1 to 1440, else booking_settings.hold_mins): {outcome: held, hold_id, staff_id, start_time, end_time, expires_at} or {outcome: taken, alternatives}. A client who holds that start already is answered with their hold, as it is. Needs bookings.write. Fails as book.';
revoke all on function public.hold_slot(uuid, uuid, timestamptz, uuid, uuid, uuid, integer, integer) from public, anon, service_role;
grant execute on function public.hold_slot(uuid, uuid, timestamptz, uuid, uuid, uuid, integer, integer) to authenticated;
grant execute on function private.member_hold(uuid, uuid, timestamptz, uuid, uuid, uuid, integer, integer) to authenticated;

create function public.confirm_hold(
  p_org_id uuid, p_hold_id uuid, p_purchase_id uuid default null,
  p_notes text default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_confirm_hold(p_org_id, p_hold_id, p_purchase_id, p_notes);
end;
comment on function public.confirm_hold is
  'Books what a hold keeps: {outcome: booked, …}, {outcome: hold_expired, alternatives} when it comes too late, or {outcome: package_exhausted}. Needs bookings.write. Fails: org_not_found 404, hold_not_found 404, purchase_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.confirm_hold(uuid, uuid, uuid, text) from public, anon, service_role;
grant execute on function public.confirm_hold(uuid, uuid, uuid, text) to authenticated;
grant execute on function private.member_confirm_hold(uuid, uuid, uuid, text) to authenticated;

create function public.book_series(
  p_org_id uuid, p_client_id uuid, p_from date,
  p_time time, p_interval_weeks integer default 1, p_count integer default 10,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_purchase_id uuid default null, p_duration_mins integer default null, p_is_partial boolean default true,
  p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_book_series(p_org_id, p_client_id, p_from, p_time, p_interval_weeks, p_count, p_session_type_id, p_staff_id, p_location_id, p_purchase_id, p_duration_mins, p_is_partial, p_request_id);
end;
comment on function public.book_series is
  'Books a series from a local date on, weekly or fortnightly at one local time, across DST: {outcome: booked, series_id, dates} with what became of each date, or {outcome: clashes, dates} and nothing booked when every date clashes, or any does and p_is_partial is false. 1 to 104 dates. Needs bookings.write. Fails as book.';
revoke all on function public.book_series(uuid, uuid, date, time, integer, integer, uuid, uuid, uuid, uuid, integer, boolean, uuid) from public, anon, service_role;
grant execute on function public.book_series(uuid, uuid, date, time, integer, integer, uuid, uuid, uuid, uuid, integer, boolean, uuid) to authenticated;
grant execute on function private.member_book_series(uuid, uuid, date, time, integer, integer, uuid, uuid, uuid, uuid, integer, boolean, uuid) to authenticated;

create function public.move_series(
  p_series_id uuid, p_from date, p_shift_days integer default 0,
  p_time time default null, p_staff_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_move_series(p_series_id, p_from, p_shift_days, p_time, p_staff_id);
end;
comment on function public.move_series is
  'Moves the bookings of a series from a local date on, by days (-27 to 27), to another local time, to another staff member: {outcome: moved, dates}, or {outcome: clashes, dates} and nothing moved; dates say what becomes of each, package_expired where its package is not valid then. Needs bookings.write. Fails: series_not_found 404, staff_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.move_series(uuid, date, integer, time, uuid) from public, anon, service_role;
grant execute on function public.move_series(uuid, date, integer, time, uuid) to authenticated;
grant execute on function private.member_move_series(uuid, date, integer, time, uuid) to authenticated;

create function public.end_series(p_series_id uuid, p_from date)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_end_series(p_series_id, p_from);
end;
comment on function public.end_series is
  'Cancels the bookings of a series from a local date on and returns how many. Needs bookings.write. Fails: series_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.end_series(uuid, date) from public, anon, service_role;
grant execute on function public.end_series(uuid, date) to authenticated;
grant execute on function private.member_end_series(uuid, date) to authenticated;

create function public.join_waitlist(
  p_org_id uuid, p_client_id uuid, p_on date default null,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_start_time timestamptz default null)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_join_waitlist(p_org_id, p_client_id, p_on, p_session_type_id, p_staff_id, p_start_time);
end;
comment on function public.join_waitlist is
  'Puts a client on the waitlist of a local day, or of one start, and returns the entry; a cancellation is offered to the first who fits, with a hold and a time limit. Asking again changes nothing. Needs bookings.write. Fails as book.';
revoke all on function public.join_waitlist(uuid, uuid, date, uuid, uuid, timestamptz) from public, anon, service_role;
grant execute on function public.join_waitlist(uuid, uuid, date, uuid, uuid, timestamptz) to authenticated;
grant execute on function private.member_join_waitlist(uuid, uuid, date, uuid, uuid, timestamptz) to authenticated;

create function public.leave_waitlist(p_entry_id uuid)
returns boolean
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_leave_waitlist(p_entry_id);
end;
comment on function public.leave_waitlist is
  'Takes a client off the waitlist, with the offer they may have; false when it is over already (booked, let pass or left). Needs bookings.write. Fails: waitlist_entry_not_found 404, permission_missing 403.';
revoke all on function public.leave_waitlist(uuid) from public, anon, service_role;
grant execute on function public.leave_waitlist(uuid) to authenticated;
grant execute on function private.member_leave_waitlist(uuid) to authenticated;

create function public.deactivate_staff(p_staff_id uuid)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_deactivate_staff(p_staff_id);
end;
comment on function public.deactivate_staff is
  'Deactivates a staff member: no new bookings, the email is removed, history stays. Returns how many bookings still lie ahead of them. Needs staff.write. Fails: staff_not_found 404, permission_missing 403.';
revoke all on function public.deactivate_staff(uuid) from public, anon, service_role;
grant execute on function public.deactivate_staff(uuid) to authenticated;
grant execute on function private.member_deactivate_staff(uuid) to authenticated;

create function public.reactivate_staff(p_staff_id uuid)
returns void
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_reactivate_staff(p_staff_id);
end;
comment on function public.reactivate_staff is
  'Lets a staff member take bookings again. Needs staff.write. Fails: staff_not_found 404, permission_missing 403.';
revoke all on function public.reactivate_staff(uuid) from public, anon, service_role;
grant execute on function public.reactivate_staff(uuid) to authenticated;
grant execute on function private.member_reactivate_staff(uuid) to authenticated;

create function public.calendar(
  p_org_id uuid, p_view text, p_on date default null,
  p_staff_id uuid default null, p_since timestamptz default null)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_calendar(p_org_id, p_view, p_on, p_staff_id, p_since);
end;
comment on function public.calendar is
  'The calendar of a day, week (from Monday) or month around a local date (default today), in the organisation''s timezone: {view, from_on, until_on, from, until, timezone, as_of, bookings, blocks, free}. With p_since (the last answer''s as_of) only what changed: {…, bookings, left}, left being the ids that are outside of the view now or deleted, and blocks and free, each whole, when they changed; a key that is absent has not changed. An answer without left is whole (p_since was more than seven days back, or the timezone changed): it replaces all there was. Needs bookings.read. Fails: org_not_found 404, permission_missing 403, staff_not_found 404, value_not_allowed 422.';
revoke all on function public.calendar(uuid, text, date, uuid, timestamptz) from public, anon, service_role;
grant execute on function public.calendar(uuid, text, date, uuid, timestamptz) to authenticated;
grant execute on function private.member_calendar(uuid, text, date, uuid, timestamptz) to authenticated;

-- Runs as whoever asks: a member or the portal's server. Knows what is booked, held and blocked, no hours and no notice.
create function public.is_slot_available(
  p_org_id uuid, p_start_time timestamptz, p_end_time timestamptz, p_exclude_booking_id uuid default null)
returns boolean
language sql stable security invoker set search_path = ''
begin atomic
  select private.is_slot_free(p_org_id, p_start_time, p_end_time, p_exclude_booking_id);
end;
comment on function public.is_slot_available is
  'True when some staff member''s time is neither booked, held nor blocked between two instants; false for another''s organisation. Hours, buffers and notice are find_slots'' matter.';
revoke all on function public.is_slot_available(uuid, timestamptz, timestamptz, uuid) from public, anon;
grant execute on function public.is_slot_available(uuid, timestamptz, timestamptz, uuid) to authenticated, service_role;
grant execute on function private.is_slot_free(uuid, timestamptz, timestamptz, uuid) to authenticated, service_role;

-- The portal and the public page: for anybody with the link or the slug, rate-limited. A refusal that is counted is the answer
-- itself, with its status: {code, message, details: slug, hint}.

create function public.portal_overview(p_token text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_overview(p_token);
end;
comment on function public.portal_overview is
  'The portal''s first page: {client_id, client_name, org_id, org_name, timezone, branding, active_purchases: [{id, offer_id, offer_name, sessions_total, sessions_used, sessions_remaining, bookable_remaining, expires_at, session_duration_mins}], session_types, bookings, waitlist_offers: [{entry_id, hold_id, start_time, end_time, expires_at}], waitlist: [{entry_id, on_date, start_time, session_type_id}]}. Fails: link_not_found 404, rate_limited 429.';
revoke all on function public.portal_overview(text) from public;
grant execute on function public.portal_overview(text) to anon, authenticated, service_role;
grant execute on function private.portal_overview(text) to anon, authenticated, service_role;

create function public.portal_dates(
  p_token text, p_session_type_id uuid default null, p_staff_id uuid default null,
  p_duration_mins integer default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_dates(p_token, p_session_type_id, p_staff_id, p_duration_mins);
end;
comment on function public.portal_dates is
  'The local dates that have a start the client may book: {dates, timezone}; the length is the one asked for, the type''s, that of the package that pays on that day, or the settings''. A client who has packages is listed what one of them pays. Fails: link_not_found 404, rate_limited 429, online_booking_off 403, session_type_not_found 404, staff_not_found 404, value_not_allowed 422.';
revoke all on function public.portal_dates(text, uuid, uuid, integer) from public;
grant execute on function public.portal_dates(text, uuid, uuid, integer) to anon, authenticated, service_role;
grant execute on function private.portal_dates(text, uuid, uuid, integer) to anon, authenticated, service_role;

create function public.portal_slots(
  p_token text, p_on date, p_session_type_id uuid default null,
  p_staff_id uuid default null, p_duration_mins integer default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_slots(p_token, p_on, p_session_type_id, p_staff_id, p_duration_mins);
end;
comment on function public.portal_slots is
  'The starts of a local day that the client may book: {slots: [{start, end, staff_id, score, recommended}], timezone, durationMins}; recommended are those that keep the day compact. Each start has the length it is booked with, durationMins that of the first. Fails: link_not_found 404, rate_limited 429, session_type_not_found 404, staff_not_found 404, value_not_allowed 422.';
revoke all on function public.portal_slots(text, date, uuid, uuid, integer) from public;
grant execute on function public.portal_slots(text, date, uuid, uuid, integer) to anon, authenticated, service_role;
grant execute on function private.portal_slots(text, date, uuid, uuid, integer) to anon, authenticated, service_role;

create function public.portal_book(
  p_token text, p_start_time timestamptz default null, p_purchase_id uuid default null,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_duration_mins integer default null,
  p_notes text default null, p_hold_id uuid default null, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_book(p_token, p_start_time, p_purchase_id, p_session_type_id, p_staff_id, p_duration_mins, p_notes, p_hold_id, p_request_id);
end;
comment on function public.portal_book is
  'Books a start, or a hold (a waitlist offer), paid from the named package or the one that expires first: {outcome: booked, booking_id, …, event}, {outcome: taken | unavailable | hold_expired, alternatives} or {outcome: package_exhausted}; event is the calendar''s. Where no package pays and the type asks a deposit, the time is held while it is paid: {outcome: deposit_due, deposit_id, amount_cents, currency, start_time, expires_at, refund_policy}. The same request id books once. Fails: link_not_found 404, rate_limited 429, online_booking_off 403, purchase_not_found 404, hold_not_found 404, session_type_not_found 404, staff_not_found 404, value_not_allowed 422, request_reused 409, request_in_progress 409, payments_not_set_up 409, brake_on 423.';
revoke all on function public.portal_book(text, timestamptz, uuid, uuid, uuid, integer, text, uuid, uuid) from public;
grant execute on function public.portal_book(text, timestamptz, uuid, uuid, uuid, integer, text, uuid, uuid) to anon, authenticated, service_role;
grant execute on function private.portal_book(text, timestamptz, uuid, uuid, uuid, integer, text, uuid, uuid) to anon, authenticated, service_role;

create function public.portal_reschedule(p_token text, p_booking_id uuid, p_start_time timestamptz)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_reschedule(p_token, p_booking_id, p_start_time);
end;
comment on function public.portal_reschedule is
  'Moves one of the client''s bookings, while they may still cancel it: {outcome: rescheduled, …, event}, {outcome: taken, alternatives}, or {outcome: package_expired} where its package is not valid at the new start; then nothing changes. Fails: link_not_found 404, rate_limited 429, booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed 403, cancellation_too_late 403, value_not_allowed 422.';
revoke all on function public.portal_reschedule(text, uuid, timestamptz) from public;
grant execute on function public.portal_reschedule(text, uuid, timestamptz) to anon, authenticated, service_role;
grant execute on function private.portal_reschedule(text, uuid, timestamptz) to anon, authenticated, service_role;

create function public.portal_cancel(p_token text, p_booking_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_cancel(p_token, p_booking_id);
end;
comment on function public.portal_cancel is
  'Cancels one of the client''s bookings: {outcome: cancelled, settlement}, settlement being null (the session is free again), waived, charged or uncovered. Fails: link_not_found 404, rate_limited 429, booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed 403, cancellation_too_late 403.';
revoke all on function public.portal_cancel(text, uuid) from public;
grant execute on function public.portal_cancel(text, uuid) to anon, authenticated, service_role;
grant execute on function private.portal_cancel(text, uuid) to anon, authenticated, service_role;

create function public.portal_join_waitlist(
  p_token text, p_on date default null, p_session_type_id uuid default null,
  p_start_time timestamptz default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_join_waitlist(p_token, p_on, p_session_type_id, p_start_time);
end;
comment on function public.portal_join_waitlist is
  'Puts the client on the waitlist of a local day or of one start: {outcome: waiting, entry_id}. Fails: link_not_found 404, rate_limited 429, session_type_not_found 404, value_not_allowed 422.';
revoke all on function public.portal_join_waitlist(text, date, uuid, timestamptz) from public;
grant execute on function public.portal_join_waitlist(text, date, uuid, timestamptz) to anon, authenticated, service_role;
grant execute on function private.portal_join_waitlist(text, date, uuid, timestamptz) to anon, authenticated, service_role;

create function public.portal_leave_waitlist(p_token text, p_entry_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_leave_waitlist(p_token, p_entry_id);
end;
comment on function public.portal_leave_waitlist is
  'Ends one of the client''s waits, with the offer they may have: {outcome: left}, or {outcome: not_waiting} when it is over already (booked, let pass or left). Fails: link_not_found 404, rate_limited 429, waitlist_entry_not_found 404.';
revoke all on function public.portal_leave_waitlist(text, uuid) from public;
grant execute on function public.portal_leave_waitlist(text, uuid) to anon, authenticated, service_role;
grant execute on function private.portal_leave_waitlist(text, uuid) to anon, authenticated, service_role;

create function public.public_page(p_slug text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.public_page(p_slug);
end;
comment on function public.public_page is
  'What anybody may see of an organisation that takes bookings: {org_id, name, slug, timezone, can_book, needs_waiver, branding, session_types, offers, staff}. Fails: page_not_found 404, rate_limited 429.';
revoke all on function public.public_page(text) from public;
grant execute on function public.public_page(text) to anon, authenticated, service_role;
grant execute on function private.public_page(text) to anon, authenticated, service_role;

create function public.public_dates(
  p_slug text, p_session_type_id uuid default null, p_staff_id uuid default null,
  p_duration_mins integer default null, p_offer_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.public_dates(p_slug, p_session_type_id, p_staff_id, p_duration_mins, p_offer_id);
end;
comment on function public.public_dates is
  'The local dates that have a start anybody may book: {dates, timezone}; an offer says how long where p_duration_mins does not. Fails: page_not_found 404, rate_limited 429, online_booking_off 403, session_type_not_found 404, staff_not_found 404, offer_not_found 404, value_not_allowed 422.';
revoke all on function public.public_dates(text, uuid, uuid, integer, uuid) from public;
grant execute on function public.public_dates(text, uuid, uuid, integer, uuid) to anon, authenticated, service_role;
grant execute on function private.public_dates(text, uuid, uuid, integer, uuid) to anon, authenticated, service_role;

create function public.public_slots(
  p_slug text, p_on date, p_session_type_id uuid default null,
  p_staff_id uuid default null, p_duration_mins integer default null, p_offer_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.public_slots(p_slug, p_on, p_session_type_id, p_staff_id, p_duration_mins, p_offer_id);
end;
comment on function public.public_slots is
  'The starts of a local day that anybody may book, as portal_slots; an offer says how long where p_duration_mins does not. Fails: page_not_found 404, rate_limited 429, online_booking_off 403, session_type_not_found 404, staff_not_found 404, offer_not_found 404, value_not_allowed 422.';
revoke all on function public.public_slots(text, date, uuid, uuid, integer, uuid) from public;
grant execute on function public.public_slots(text, date, uuid, uuid, integer, uuid) to anon, authenticated, service_role;
grant execute on function private.public_slots(text, date, uuid, uuid, integer, uuid) to anon, authenticated, service_role;

create function public.public_book(
  p_slug text, p_start_time timestamptz, p_full_name text,
  p_email text, p_phone text default null, p_session_type_id uuid default null,
  p_staff_id uuid default null, p_duration_mins integer default null, p_notes text default null,
  p_request_id uuid default null, p_offer_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.public_book(p_slug, p_start_time, p_full_name, p_email, p_phone, p_session_type_id, p_staff_id, p_duration_mins, p_notes, p_request_id, p_offer_id);
end;
comment on function public.public_book is
  'Books for somebody who names themselves: {outcome: booked, …, needs_waiver, event} or {outcome: taken | unavailable, alternatives}. The same answer whether they are known or not; no package is ever spent; a type that asks a deposit is held while it is paid ({outcome: deposit_due, …} as portal_book); where a waiver is needed the booking is pending until it is signed. Fails: page_not_found 404, rate_limited 429, online_booking_off 403, session_type_not_found 404, staff_not_found 404, offer_not_found 404, value_not_allowed 422, request_reused 409, request_in_progress 409, payments_not_set_up 409, brake_on 423.';
revoke all on function public.public_book(text, timestamptz, text, text, text, uuid, uuid, integer, text, uuid, uuid) from public;
grant execute on function public.public_book(text, timestamptz, text, text, text, uuid, uuid, integer, text, uuid, uuid) to anon, authenticated, service_role;
grant execute on function private.public_book(text, timestamptz, text, text, text, uuid, uuid, integer, text, uuid, uuid) to anon, authenticated, service_role;

-- Calendar files.

create function public.create_calendar_feed(p_staff_id uuid default null, p_client_id uuid default null)
returns text
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_create_feed(p_staff_id, p_client_id);
end;
comment on function public.create_calendar_feed is
  'Opens a calendar that other programs may subscribe to, and returns its token, once: of one''s own staff row with bookings.read, of another''s with staff.write, of a client with clients.write, or a client''s for themselves. It ends when it is revoked, the staff member is deactivated, or whoever opened it leaves the organisation. Fails: feed_subject_not_found 404, permission_missing 403, value_not_allowed 422.';
revoke all on function public.create_calendar_feed(uuid, uuid) from public, anon, service_role;
grant execute on function public.create_calendar_feed(uuid, uuid) to authenticated;
grant execute on function private.member_create_feed(uuid, uuid) to authenticated;

create function public.revoke_calendar_feeds(p_staff_id uuid default null, p_client_id uuid default null)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_revoke_feeds(p_staff_id, p_client_id);
end;
comment on function public.revoke_calendar_feeds is
  'Closes every calendar feed of a staff member or client; returns how many. For whom create_calendar_feed is. Fails: feed_subject_not_found 404, permission_missing 403, value_not_allowed 422.';
revoke all on function public.revoke_calendar_feeds(uuid, uuid) from public, anon, service_role;
grant execute on function public.revoke_calendar_feeds(uuid, uuid) to authenticated;
grant execute on function private.member_revoke_feeds(uuid, uuid) to authenticated;
