-- The history writes itself, and what a published version holds cannot be changed any more.
-- A merge goes into an active guideline; that one may be merged or retired later, but it never
-- waits again, so a chain of merges has an end and the end is active or retired.
create or replace function core.record_events() returns trigger language plpgsql security definer
set search_path = core, pg_temp as $$
declare
  next int;
  who constant text := core.actor();
begin
  if exists (select from before b join after a using (id) where b.served <> a.served) then
    -- Without it another publication could make the version that these rows have in mind.
    perform core.publication_lock();
  end if;
  next := core.next_version();
  if exists (select from before b join after a using (id)
              where b.served <> a.served
                and b.served * int4multirange(int4range(null, next))
                 <> a.served * int4multirange(int4range(null, next))) then
    raise exception 'what a published version holds never changes'
      using errcode = 'restrict_violation';
  end if;
  if exists (select from before b join after a using (id)
               join core.guidelines target on target.id = a.merged_into
              where a.merged_into is distinct from b.merged_into and target.state <> 'active') then
    raise exception 'a guideline is merged into an active one only'
      using errcode = 'restrict_violation';
  end if;
  insert into core.guideline_events
         (guideline_id, from_state, to_state, reason, version, witness_id, score, wording, actor,
          created_at)
  select a.id, b.state, a.state, a.state_reason,
         case when a.served <> b.served then next end,
         coalesce(a.merged_into, b.merged_into),
         case when a.merged_into is not null then a.merge_score else b.merge_score end,
         case when a.merged_into is not null then a.merge_wording else b.merge_wording end,
         who,
         -- Not when the transaction began: it may have waited while others acted.
         clock_timestamp()
    from before b join after a using (id)
   where (b.state, b.served) is distinct from (a.state, a.served)
      or b.state_reason is distinct from a.state_reason
   order by a.id;
  return null;
end $$;
comment on function core.record_events() is
  'Writes every step into core.guideline_events; a published version stays as it is.';
create or replace trigger record_events after update on core.guidelines
  referencing old table as before new table as after
  for each statement execute function core.record_events();
