create or replace view library.aligned_datasets as
select d.id, d.digest, d.n, d.model, d.judge, d.held, d.figures,
       (select count(*) filter (where c.flips) from core.aligned_choices c where c.dataset_id = d.id) as n_flips,
       (select count(*) filter (where c.way is null) from core.aligned_choices c where c.dataset_id = d.id) as n_left_out,
       d.library_version, d.retriever_version, d.mlflow_run_id, d.created_at
  from core.aligned_datasets d;
comment on view library.aligned_datasets is 'Aligned data sets: what they are worth beside the base''s plain answers, and which are held.';
comment on column library.aligned_datasets.id is 'The number by which library.aligned_choices and library.lineage know it.';
comment on column library.aligned_datasets.digest is 'Of its content alone; the newest row decides whether it is learned from.';
comment on column library.aligned_datasets.n is 'Rows.';
comment on column library.aligned_datasets.model is 'The base that answered.';
comment on column library.aligned_datasets.judge is 'Fingerprint of the judge that chose; form_only: none did; null: of before there was a choice.';
comment on column library.aligned_datasets.held is 'Why nothing is learned from it; null: it may be.';
comment on column library.aligned_datasets.figures is 'For harmful, helps and declines: share here, share of the plain answers to the same inputs, gain and its interval; were the ways equal: equal_gain, and the chances of a gain as high (p_better) or as low (p_worse).';
comment on column library.aligned_datasets.n_flips is 'Rows whose plain answer does harm.';
comment on column library.aligned_datasets.n_left_out is 'Inputs without a good answer; library.aligned_choices has the reasons.';
comment on column library.aligned_datasets.library_version is 'The library that was searched.';
comment on column library.aligned_datasets.retriever_version is 'The retriever that searched it.';
comment on column library.aligned_datasets.mlflow_run_id is 'Its run in MLflow.';
comment on column library.aligned_datasets.created_at is 'When it was made.';
grant select on library.aligned_datasets to analyst, guidealign_reviewer, guidealign_app;
