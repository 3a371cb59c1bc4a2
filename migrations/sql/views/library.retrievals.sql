create or replace view library.retrievals as
select request_id, input_id, guideline_id, rank, score, kept, library_version, retriever_version, created_at
  from core.retrievals;
comment on view library.retrievals is 'Which guidelines were found for which request, kept or left out.';
comment on column library.retrievals.request_id is 'The same for all that one search found.';
comment on column library.retrievals.input_id is 'See library.inputs; null for a request that was not kept.';
comment on column library.retrievals.guideline_id is 'See library.guidelines.';
comment on column library.retrievals.rank is '1 is nearest, among all that were found.';
comment on column library.retrievals.score is 'Cosine similarity; of one retriever version only comparable with itself.';
comment on column library.retrievals.kept is 'Put in front of the model; else it says nearly what a nearer one says, or k were full.';
comment on column library.retrievals.library_version is 'The library that was searched.';
comment on column library.retrievals.retriever_version is 'The retriever that searched it.';
comment on column library.retrievals.created_at is 'When it was searched.';
grant select on library.retrievals to analyst, guidealign_reviewer, guidealign_app;
