-- Guidelines are born as candidates or in quarantine; a restored library is the one exception.
-- The trigger comes after the insert: one before it would slow every COPY down.
create or replace function core.guard_insert() returns trigger language plpgsql set search_path = core, pg_temp as $$
begin
  if coalesce(current_setting('guidealign.restoring', true), '') <> 'on'
     or not pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'member')
  then
    raise exception 'a guideline starts as candidate, not as %', new.state
      using errcode = 'restrict_violation';
  end if;
  return null;
end $$;
comment on function core.guard_insert() is
  'Holds that a guideline starts as candidate or in quarantine.';
create or replace trigger guard_insert after insert on core.guidelines for each row
  when (new.state not in ('candidate', 'quarantined') or new.served <> '{}')
  execute function core.guard_insert();
