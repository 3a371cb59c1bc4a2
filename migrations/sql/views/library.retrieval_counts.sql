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
comment on column library.retrieval_counts.guideline_id is 'See library.guidelines.';
comment on column library.retrieval_counts.title is 'Of the guideline.';
comment on column library.retrieval_counts.category is 'Of the guideline.';
comment on column library.retrieval_counts.state is 'Of the guideline, as it is now.';
comment on column library.retrieval_counts.n_found is 'Searches that found it; of the gateway, within k and the budget of tokens.';
comment on column library.retrieval_counts.n_kept is 'Searches that put it in front of a model.';
comment on column library.retrieval_counts.last_kept_at is 'When it was last put in front of a model.';
grant select on library.retrieval_counts to analyst, guidealign_reviewer, guidealign_app;
