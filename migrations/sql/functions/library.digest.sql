create or replace function library.digest(version int) returns text
language sql stable security definer set search_path = core, public, pg_temp as $$
  select core.library_digest(version)
$$;
comment on function library.digest(int) is
  'Computed anew from what a version serves: equal to library.versions.digest for ever.';
grant execute on function library.digest(int) to analyst, guidealign_reviewer, guidealign_app;
