create or replace view library.response_guidelines as
select r.id as response_id, r.input_id, s.place::int as rank, s.guideline_id, g.title, g.text, g.category,
       f.score, r.library_version, r.retriever_version, g.state, r.created_at
  from core.aligned_responses r
  cross join lateral unnest(r.guideline_ids) with ordinality s (guideline_id, place)
  join core.guidelines g on g.id = s.guideline_id
  left join lateral (
    select t.score from core.retrievals t
     where t.input_id = r.input_id and t.guideline_id = s.guideline_id and t.kept
       and t.library_version = r.library_version and t.retriever_version = r.retriever_version
     order by t.id desc limit 1) f on true;
comment on view library.response_guidelines is 'Which guidelines steered a guided answer, in the order in which the model read them.';
comment on column library.response_guidelines.response_id is 'See library.aligned_responses.';
comment on column library.response_guidelines.input_id is 'See library.inputs.';
comment on column library.response_guidelines.rank is '1 is the nearest of those that were put in front of the model.';
comment on column library.response_guidelines.guideline_id is 'See library.guidelines.';
comment on column library.response_guidelines.title is 'As the model read it: words never change.';
comment on column library.response_guidelines.text is 'As the model read it: words never change.';
comment on column library.response_guidelines.category is 'Of the guideline.';
comment on column library.response_guidelines.score is 'Cosine with the input when it was retrieved.';
comment on column library.response_guidelines.library_version is 'The library that was searched.';
comment on column library.response_guidelines.retriever_version is 'The retriever that searched it.';
comment on column library.response_guidelines.state is 'Of the guideline, as it is now: it may have been retired since.';
comment on column library.response_guidelines.created_at is 'When the answer was given.';
grant select on library.response_guidelines to analyst, guidealign_reviewer, guidealign_app;
