-- Scheduling for apps, first cut.

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
