-- Counts and digest come from the rows themselves, so that they cannot disagree with them.
create or replace function core.add_version(note text, published_by text) returns int
language plpgsql security definer set search_path = core, pg_temp as $$
declare
  made int;
  added bigint;
  gone bigint;
begin
  perform core.publication_lock();
  made := core.next_version();
  select count(*) filter (where g.served @> made and not g.served @> (made - 1)),
         count(*) filter (where g.served @> (made - 1) and not g.served @> made)
    into added, gone
    from core.guidelines g
   where g.id in (select guideline_id from core.guideline_events where guideline_events.version = made);
  insert into core.library_versions
         (version, digest, n_active, n_added, n_retired, note, published_by, published_at)
  values (made, core.library_digest(made),
          coalesce((select n_active from core.library_versions where version = made - 1), 0)
            + added - gone,
          added, gone, note, published_by, clock_timestamp());
  return made;
end $$;
comment on function core.add_version(text, text) is
  'Makes a version of what this transaction has changed.';
grant execute on function core.add_version(text, text) to guidealign_app;
