create or replace view library.vector_indexes as
select retriever_version, dimensions, ef_search, recall, n_queries, n_vectors, built_at
  from core.vector_indexes;
comment on view library.vector_indexes is 'Retriever versions searched through an index, with its measured recall; others exactly.';
comment on column library.vector_indexes.retriever_version is '-1 is the fixed encoder of curation, 0 the untrained base.';
comment on column library.vector_indexes.dimensions is 'Of its vectors.';
comment on column library.vector_indexes.ef_search is 'How widely the index is searched.';
comment on column library.vector_indexes.recall is 'Share of the exact nearest 6 that the index finds.';
comment on column library.vector_indexes.n_queries is 'The recall was measured on.';
comment on column library.vector_indexes.n_vectors is 'It was built or last measured with.';
comment on column library.vector_indexes.built_at is 'When it was measured.';
grant select on library.vector_indexes to analyst, guidealign_reviewer, guidealign_app;
