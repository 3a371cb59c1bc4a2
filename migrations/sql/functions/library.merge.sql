create or replace function library.merge(guideline_id bigint, into_id bigint, reason text) returns int
language plpgsql security definer set search_path = core, public, pg_temp as $$
declare
  was text;
  target text;
  made int;
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'merging a guideline needs a reason' using errcode = 'GA001';
  end if;
  perform core.publication_lock();
  made := core.next_version();
  select g.state into was from core.guidelines g where g.id = merge.guideline_id for update;
  select g.state into target from core.guidelines g where g.id = into_id for update;
  if was is null or target is null then
    raise exception 'there is no guideline %', case when was is null then merge.guideline_id else into_id end
      using errcode = 'GA001';
  elsif merge.guideline_id = into_id or target <> 'active' or was not in ('active', 'candidate') then
    raise exception 'only an active guideline or a candidate can be merged, into another active one'
      using errcode = 'GA001';
  end if;
  update core.guidelines g
     set state = 'merged', merged_into = into_id, state_reason = merge.reason,
         served = g.served - int4multirange(int4range(made, null)),
         merge_score = (select -(a.embedding <#> b.embedding) from core.embeddings a, core.embeddings b
                         where a.retriever_version = -1 and a.guideline_id = merge.guideline_id
                           and b.retriever_version = -1 and b.guideline_id = into_id),
         merge_wording = null
   where g.id = merge.guideline_id;
  if was = 'candidate' then
    return made - 1;
  end if;
  return core.add_version(
    'merged ' || merge.guideline_id || ' into ' || into_id || ': ' || merge.reason, core.actor());
end $$;
comment on function library.merge(bigint, bigint, text) is
  'Lets one guideline stand for another that says the same; its inputs count for the one that stays.';
grant execute on function library.merge(bigint, bigint, text) to guidealign_reviewer, guidealign_app;
