create or replace function library.similar(guideline_id bigint, k int default 10, states text[] default '{active}')
returns table (id bigint, title text, text text, category text, state text, score float8)
language plpgsql stable security definer set search_path = core, public, pg_temp as $$
#variable_conflict use_column
declare
  own vector;
begin
  select e.embedding into own from core.embeddings e
   where e.retriever_version = -1 and e.guideline_id = $1;
  if own is null then
    return; -- a guideline gets its vector when it is first published
  end if;
  return query
    select s.id, s.title, s.text, s.category, g.state, s.score
      from library.search(own, -1, k + 1, states => $3) s
      join core.guidelines g on g.id = s.id
     where s.id <> $1 order by s.score desc, s.id limit k;
end $$;
comment on function library.similar(bigint, int, text[]) is
  'Guidelines nearest in meaning to a given one, by the fixed encoder of curation.';
grant execute on function library."similar"(bigint, int, text[]) to analyst, guidealign_reviewer, guidealign_app;
