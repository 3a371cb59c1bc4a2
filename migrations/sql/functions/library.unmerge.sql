create or replace function library.unmerge(guideline_id bigint, reason text) returns int
language plpgsql security definer set search_path = core, public, pg_temp as $$
declare
  was text;
  other bigint;
  made int;
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'undoing a merge needs a reason' using errcode = 'GA001';
  end if;
  perform core.publication_lock();
  made := core.next_version();
  select g.state, g.merged_into into was, other
    from core.guidelines g where g.id = unmerge.guideline_id for update;
  if was is distinct from 'merged' then
    raise exception 'guideline % is not merged', unmerge.guideline_id using errcode = 'GA001';
  end if;
  insert into core.kept_apart (left_id, right_id, reason, actor)
  values (least(unmerge.guideline_id, other), greatest(unmerge.guideline_id, other),
          unmerge.reason, core.actor())
  on conflict do nothing;
  update core.guidelines g
     set state = 'active', merged_into = null, merge_score = null, merge_wording = null,
         state_reason = 'merge undone: ' || unmerge.reason,
         served = g.served + int4multirange(int4range(made, null))
   where g.id = unmerge.guideline_id;
  return core.add_version('undid the merge of ' || unmerge.guideline_id || ': ' || unmerge.reason,
                          core.actor());
end $$;
comment on function library.unmerge(bigint, text) is
  'Brings a merged guideline back, in a new version; the two are not merged again.';
grant execute on function library.unmerge(bigint, text) to guidealign_reviewer, guidealign_app;
