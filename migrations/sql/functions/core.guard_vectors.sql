create or replace function core.guard_vectors() returns trigger language plpgsql set search_path = core, pg_temp as $$
declare
  unknown bigint;
begin
  select a.guideline_id into unknown from added a
   where not exists (select from guidelines g where g.id = a.guideline_id) limit 1;
  if found then
    raise exception 'there is no guideline % for a vector', unknown
      using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
comment on function core.guard_vectors() is 'Holds that every vector belongs to a guideline.';
create or replace trigger guard_vectors after insert on core.embeddings
  referencing new table as added
  for each statement execute function core.guard_vectors();
create or replace trigger guard_moved_vectors after update on core.embeddings
  referencing new table as added
  for each statement execute function core.guard_vectors();
