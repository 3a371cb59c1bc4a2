-- How often the gateway finds and uses each guideline, counted as its requests are stored: an
-- array in each of millions of requests cannot be asked for one guideline, or for all, in time.

create table core.gateway_retrieval_counts (
  guideline_id bigint constraint pk_gateway_retrieval_counts primary key
    constraint fk_gateway_retrieval_counts_guideline_id_guidelines references core.guidelines (id),
  n_found bigint not null,
  n_kept bigint not null,
  last_kept_at timestamptz,
  constraint ck_gateway_retrieval_counts_counts check (n_kept between 0 and n_found)
);
comment on table core.gateway_retrieval_counts is 'How often the gateway found each guideline; the database counts as requests are stored.';
comment on column core.gateway_retrieval_counts.n_found is 'requests that it was found for, within k and the budget';
comment on column core.gateway_retrieval_counts.n_kept is 'of them, those whose model was given it';

create function core.count_gateway_retrievals() returns trigger language plpgsql security definer
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
create trigger count_gateway_retrievals after insert on core.gateway_requests
  referencing new table as added for each statement execute function core.count_gateway_retrievals();

insert into core.gateway_retrieval_counts (guideline_id, n_found, n_kept, last_kept_at)
select u.guideline_id, count(*), count(*) filter (where u.kept), max(u.occurred_at) filter (where u.kept)
  from (select distinct r.response_id, r.occurred_at, g.id as guideline_id,
               r.guidance = 'injected' and g.id <> all (r.withheld_ids) as kept
          from core.gateway_requests r cross join lateral unnest(r.guideline_ids) i (id)
          join core.guidelines g on g.id = i.id) u
 group by u.guideline_id;

create or replace view library.guidelines as
select g.id, g.title, g.text, g.category, g.language, g.state, g.state_reason, g.origin, g.source,
       g.author_model, g.prompt_version, g.approved_by, lower(g.served) as added_in,
       case when not upper_inf(g.served) then upper(g.served) end as retired_in, g.served,
       g.merged_into, g.merge_score, g.merge_wording,
       (select count(*) from core.pairs p where p.guideline_id = g.id) as n_inputs,
       (select count(*) from core.retrievals r where r.guideline_id = g.id and r.kept)
         + coalesce((select c.n_kept from core.gateway_retrieval_counts c where c.guideline_id = g.id), 0) as n_retrieved,
       g.created_at, g.state_changed_at
  from core.guidelines g;

-- From the guidelines on, and not from a union of both counts: of groups over a union the planner
-- knows nothing, takes them for few and looks each guideline up on its own.
create or replace view library.retrieval_counts as
select g.id as guideline_id, g.title, g.category, g.state,
       coalesce(r.n_found, 0) + coalesce(c.n_found, 0) as n_found,
       coalesce(r.n_kept, 0) + coalesce(c.n_kept, 0) as n_kept,
       greatest(r.last_kept_at, c.last_kept_at) as last_kept_at
  from core.guidelines g
  left join (select guideline_id, count(*) as n_found, count(*) filter (where kept) as n_kept,
                    max(created_at) filter (where kept) as last_kept_at
               from core.retrievals group by guideline_id) r on r.guideline_id = g.id
  left join core.gateway_retrieval_counts c on c.guideline_id = g.id
 where r.guideline_id is not null or c.guideline_id is not null;
comment on view library.retrieval_counts is 'How often each guideline was retrieved, by cycles and by the gateway, counted in one go; see also library.never_retrieved.';
comment on column library.retrieval_counts.n_found is 'Searches that found it; of the gateway, within k and the budget of tokens.';

create or replace view library.never_retrieved as
select g.id, g.title, g.text, g.category, lower(g.served) as added_in, v.published_at as served_since,
       exists (select from core.retrievals r where r.guideline_id = g.id)
         or exists (select from core.gateway_retrieval_counts c where c.guideline_id = g.id) as found
  from core.guidelines g
  left join core.library_versions v on v.version = lower(g.served)
 where g.state = 'active'
   and not exists (select from core.retrievals r where r.guideline_id = g.id and r.kept)
   and not exists (select from core.gateway_retrieval_counts c where c.guideline_id = g.id and c.n_kept > 0);
comment on view library.never_retrieved is 'Active guidelines that were never put in front of a model, neither in a cycle nor by the gateway.';

-- Who may do what: the trigger alone writes the counts.
revoke all on function core.count_gateway_retrievals() from public;
grant select on core.gateway_retrieval_counts to guidealign_app;
