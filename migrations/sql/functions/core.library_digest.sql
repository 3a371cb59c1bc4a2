create or replace function core.library_digest(version int) returns text language sql stable
set search_path = core, pg_temp as $$
  select encode(sha256(convert_to(
           coalesce(string_agg(text_hash, E'\n' order by text_hash collate "C"), ''), 'UTF8')), 'hex')
    from core.guidelines where served @> version
$$;
comment on function core.library_digest(int) is
  'SHA-256 over the sorted hashes of the texts that a version serves.';
grant execute on function core.library_digest(int) to guidealign_app;
