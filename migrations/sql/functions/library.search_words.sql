create or replace function library.search_words(
  query text, k int default 10, categories text[] default null, languages text[] default null)
returns table (id bigint, title text, text text, category text, score float8)
language sql stable security definer set search_path = core, public, pg_temp as $$
  select g.id, g.title, g.text, g.category, ts_rank_cd(g.words, q)::float8
    from core.guidelines g, websearch_to_tsquery('english', query) q
   where g.words @@ q and g.state = 'active'
     and (categories is null or g.category = any (categories))
     and (languages is null or g.language = any (languages))
   order by 5 desc, 1 limit k
$$;
comment on function library.search_words(text, int, text[], text[]) is
  'Active guidelines by their words: "quoted phrases", or, -without.';
grant execute on function library.search_words(text, int, text[], text[]) to analyst, guidealign_reviewer, guidealign_app;
