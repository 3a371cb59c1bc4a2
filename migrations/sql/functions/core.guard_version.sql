-- Versions follow one another without a gap.
create or replace function core.guard_version() returns trigger language plpgsql set search_path = core, pg_temp as $$
begin
  if new.version <> core.next_version() then
    raise exception 'library version % does not follow the newest one', new.version
      using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
comment on function core.guard_version() is
  'Holds that versions follow one another without a gap.';
create or replace trigger guard_version before insert on core.library_versions
  for each row execute function core.guard_version();
