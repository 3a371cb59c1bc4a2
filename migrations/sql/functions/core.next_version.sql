create or replace function core.next_version() returns int language sql stable set search_path = core, pg_temp as $$
  select coalesce(max(version), 0) + 1 from core.library_versions
$$;
comment on function core.next_version() is 'The version that the next publication makes.';
grant execute on function core.next_version() to guidealign_app;
