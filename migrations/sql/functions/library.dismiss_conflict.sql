create or replace function library.dismiss_conflict(left_id bigint, right_id bigint, reason text) returns void
language plpgsql security definer set search_path = core, public, pg_temp as $$
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'dismissing a conflict needs a reason' using errcode = 'GA001';
  end if;
  update core.conflicts c
     set status = 'dismissed', reason = dismiss_conflict.reason, decided_by = core.actor(), decided_at = now()
   where c.left_id = least(dismiss_conflict.left_id, dismiss_conflict.right_id)
     and c.right_id = greatest(dismiss_conflict.left_id, dismiss_conflict.right_id)
     and c.status = 'open';
  if not found then
    raise exception 'there is no open conflict between % and %', left_id, right_id using errcode = 'GA001';
  end if;
end $$;
comment on function library.dismiss_conflict(bigint, bigint, text) is
  'Says that two guidelines do not contradict each other: they may be served together.';
grant execute on function library.dismiss_conflict(bigint, bigint, text) to guidealign_reviewer, guidealign_app;
