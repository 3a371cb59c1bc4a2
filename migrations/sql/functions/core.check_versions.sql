-- At the end of the transaction the version that a guideline names must be there.
create or replace function core.check_versions() returns trigger language plpgsql set search_path = core, pg_temp as $$
declare
  newest int;
begin
  select coalesce(max(version), 0) into newest from core.library_versions;
  if coalesce(lower(range_merge(new.served)), 0) > newest
     or exists (select from unnest(new.served) s
                 where lower(s) > newest or (not upper_inf(s) and upper(s) > newest)) then
    raise exception 'guideline % names a library version that was not published', new.id
      using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
comment on function core.check_versions() is
  'Holds that a guideline names published versions only.';
drop trigger if exists check_versions on core.guidelines;
create constraint trigger check_versions after insert or update of served on core.guidelines
  deferrable initially deferred for each row when (new.served <> '{}')
  execute function core.check_versions();
