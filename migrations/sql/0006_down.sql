-- Takes revision 0006 back.

create or replace view library.guidelines as
select g.id, g.title, g.text, g.category, g.language, g.state, g.state_reason, g.origin, g.source,
       g.author_model, g.prompt_version, g.approved_by, lower(g.served) as added_in,
       case when not upper_inf(g.served) then upper(g.served) end as retired_in, g.served,
       g.merged_into, g.merge_score, g.merge_wording,
       (select count(*) from core.pairs p where p.guideline_id = g.id) as n_inputs,
       (select count(*) from core.retrievals r where r.guideline_id = g.id and r.kept) as n_retrieved,
       g.created_at, g.state_changed_at
  from core.guidelines g;

create or replace view library.retrieval_counts as
select r.guideline_id, g.title, g.category, g.state, r.n_found, r.n_kept, r.last_kept_at
  from (select guideline_id, count(*) as n_found, count(*) filter (where kept) as n_kept,
               max(created_at) filter (where kept) as last_kept_at
          from core.retrievals group by guideline_id) r
  join core.guidelines g on g.id = r.guideline_id;

create or replace view library.never_retrieved as
select g.id, g.title, g.text, g.category, lower(g.served) as added_in, v.published_at as served_since,
       exists (select from core.retrievals r where r.guideline_id = g.id) as found
  from core.guidelines g
  left join core.library_versions v on v.version = lower(g.served)
 where g.state = 'active'
   and not exists (select from core.retrievals r where r.guideline_id = g.id and r.kept);
comment on view library.retrieval_counts is 'How often each guideline was retrieved, counted in one go; see also library.never_retrieved.';
comment on column library.retrieval_counts.n_found is 'Searches that found it.';
comment on view library.never_retrieved is 'Active guidelines that were never put in front of a model.';

drop trigger count_gateway_retrievals on core.gateway_requests;
drop function core.count_gateway_retrievals();
drop table core.gateway_retrieval_counts;
