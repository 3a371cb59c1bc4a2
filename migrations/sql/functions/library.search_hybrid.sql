create or replace function library.search_hybrid(
  words text, query vector, retriever int, k int default 10, categories text[] default null,
  languages text[] default null, depth int default 50)
returns table (id bigint, title text, text text, category text, score float8)
language sql stable security definer set search_path = core, public, pg_temp as $$
  -- Reciprocal rank fusion with its usual constant 60 (Cormack, Clarke, Buettcher, SIGIR 2009).
  with found as (
    select s.*, row_number() over (order by s.score desc, s.id) as place
      from library.search_words(words, greatest(depth, k), categories, languages) s
    union all
    select s.*, row_number() over (order by s.score desc, s.id)
      from library.search(query, retriever, greatest(depth, k), categories => categories,
                          languages => languages) s)
  select f.id, f.title, f.text, f.category, sum(1.0 / (60 + f.place))::float8
    from found f group by f.id, f.title, f.text, f.category order by 5 desc, 1 limit k
$$;
comment on function library.search_hybrid(text, vector, int, int, text[], text[], int) is
  'By words and by vector, the two lists joined by reciprocal rank.';
grant execute on function library.search_hybrid(text, vector, int, int, text[], text[], int) to analyst, guidealign_reviewer, guidealign_app;
