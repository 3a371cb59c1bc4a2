create or replace function library.uncovered_inputs(below float8 default 0.5, unsafe_only boolean default true)
returns table (id bigint, text text, category text, severity smallint, n_written bigint,
               best_id bigint, best_score float8, gap text)
language sql stable security definer set search_path = core, public, pg_temp set work_mem = '64MB' as $$
  with best as (
    select distinct on (r.input_id) r.input_id, r.guideline_id as id, r.score
      from core.retrievals r join core.guidelines g on g.id = r.guideline_id and g.state = 'active'
     where r.input_id is not null
     order by r.input_id, r.retriever_version desc, r.score desc
  )
  select i.id, i.text, i.category, i.severity, w.n, b.id, b.score,
         case when w.n = 0 then 'none written' else 'written but not found' end
    from library.inputs i
    left join best b on b.input_id = i.id
   cross join lateral (
     select count(*) as n from core.pairs p join core.guidelines g on g.id = p.guideline_id
      where p.input_id = i.id and g.state in ('active', 'merged')) w
   where (i.unsafe or not unsafe_only)
     and (b.score < below or b.score is null and w.n = 0)
   order by b.score nulls first, i.id
$$;
comment on function library.uncovered_inputs(float8, boolean) is
  'Inputs whose nearest active guideline has a cosine below a bound, as the newest retriever found it,'
  ' and inputs that nothing was written for and nothing found for. gap says whose part is missing:'
  ' none written (the library''s), or written but not found (the retriever''s).';
grant execute on function library.uncovered_inputs(float8, boolean) to analyst, guidealign_reviewer, guidealign_app;
