create or replace function core.nearest_name(retriever int) returns text language sql immutable
set search_path = core, pg_temp as $$
  select 'nearest_' || case when retriever < 0 then 'curation' else retriever::text end
$$;
comment on function core.nearest_name(int) is
  'Name of the function that searches through the index of a retriever version.';
