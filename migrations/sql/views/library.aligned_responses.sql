create or replace view library.aligned_responses as
select r.id, r.input_id, i.redacted_text as input, r.response, r.guideline_ids, r.model, r.prompt_version,
       r.library_version, r.retriever_version, r.filtered_reason, r.created_at, r.way
  from core.aligned_responses r join core.inputs i on i.id = r.input_id;
comment on view library.aligned_responses is 'Guided answers; library.response_guidelines has what steered them.';
comment on column library.aligned_responses.id is 'The number by which library.response_guidelines knows it.';
comment on column library.aligned_responses.input_id is 'See library.inputs.';
comment on column library.aligned_responses.input is 'The input with personal data masked.';
comment on column library.aligned_responses.response is 'What the guided model said.';
comment on column library.aligned_responses.guideline_ids is 'The guidelines it was given, nearest first.';
comment on column library.aligned_responses.model is 'The model that was guided.';
comment on column library.aligned_responses.prompt_version is 'How the guidelines were put in front of it.';
comment on column library.aligned_responses.library_version is 'The library that was searched.';
comment on column library.aligned_responses.retriever_version is 'The retriever that searched it.';
comment on column library.aligned_responses.filtered_reason is 'Why its form keeps it out of data sets; null: it may be in one.';
comment on column library.aligned_responses.created_at is 'When it was given.';
comment on column library.aligned_responses.way is 'guided: by the base; revised: that answer after the base held it against its guidelines; teacher: by the safety model.';
grant select on library.aligned_responses to analyst, guidealign_reviewer, guidealign_app;
