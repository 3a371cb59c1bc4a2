create or replace function core.count_gateway_retrievals() returns trigger language plpgsql security definer
set search_path = core, pg_temp as $$
begin
  -- In the order of ids: two batches that meet wait for each other, never in a circle.
  insert into gateway_retrieval_counts as c (guideline_id, n_found, n_kept, last_kept_at)
  select u.guideline_id, count(*), count(*) filter (where u.kept), max(u.occurred_at) filter (where u.kept)
    from (select distinct r.response_id, r.occurred_at, g.id as guideline_id,
                 r.guidance = 'injected' and g.id <> all (r.withheld_ids) as kept
            from added r cross join lateral unnest(r.guideline_ids) i (id) join guidelines g on g.id = i.id) u
   group by u.guideline_id order by u.guideline_id
  on conflict (guideline_id) do update
     set n_found = c.n_found + excluded.n_found, n_kept = c.n_kept + excluded.n_kept,
         last_kept_at = greatest(c.last_kept_at, excluded.last_kept_at);
  return null;
end $$;
comment on function core.count_gateway_retrievals() is 'Counts the guidelines of stored requests into core.gateway_retrieval_counts.';
create or replace trigger count_gateway_retrievals after insert on core.gateway_requests
  referencing new table as added for each statement execute function core.count_gateway_retrievals();
