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
comment on column library.never_retrieved.id is 'See library.guidelines.';
comment on column library.never_retrieved.title is 'What it demands, in a few words.';
comment on column library.never_retrieved.text is 'What would be put in front of the model.';
comment on column library.never_retrieved.category is 'The risk or quality topic it is about.';
comment on column library.never_retrieved.added_in is 'Library version that first served it.';
comment on column library.never_retrieved.served_since is 'When that version was published: a new one had little time.';
comment on column library.never_retrieved.found is 'Searches found it, and others were put in front of the model.';
grant select on library.never_retrieved to analyst, guidealign_reviewer, guidealign_app;
