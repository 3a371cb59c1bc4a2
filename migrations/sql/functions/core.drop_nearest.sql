create or replace function core.drop_nearest(retriever int) returns void language plpgsql
set search_path = core, pg_temp as $$
begin
  execute format('drop function if exists core.%I', core.nearest_name(retriever));
end $$;
comment on function core.drop_nearest(int) is 'Drops what core.make_nearest has made.';
