create or replace view library.model_lineage as
select l.model_name, l.version, l.base_model, l.library_version, l.dataset_id, l.retriever_version,
       l.data_digest, l.library_digest, l.settings, l.metrics, l.mlflow_run_id, l.created_at
  from core.model_lineage l;
comment on view library.model_lineage is 'What each registered model version was made from.';
comment on column library.model_lineage.model_name is 'guidealign-retriever or guidealign-labrador';
comment on column library.model_lineage.version is 'Its version in the MLflow registry.';
comment on column library.model_lineage.base_model is 'What was fine-tuned.';
comment on column library.model_lineage.library_version is 'The library it learned from.';
comment on column library.model_lineage.dataset_id is 'The guided answers it learned from; null for a retriever.';
comment on column library.model_lineage.retriever_version is 'The retriever that chose the guidelines; null for a retriever.';
comment on column library.model_lineage.data_digest is 'SHA-256 of the pairs or the guided answers.';
comment on column library.model_lineage.library_digest is 'That library version''s digest at the time.';
comment on column library.model_lineage.settings is 'Of the training.';
comment on column library.model_lineage.metrics is 'Of the training; what a gate found is in library.gate_history.';
comment on column library.model_lineage.mlflow_run_id is 'The training run in MLflow.';
comment on column library.model_lineage.created_at is 'When it was registered.';
grant select on library.model_lineage to analyst, guidealign_reviewer, guidealign_app;
