-- Guided answers, preferences, and what each model version was made from.

create table core.aligned_responses (
  id bigint generated always as identity constraint pk_aligned_responses primary key,
  input_id bigint not null constraint fk_aligned_responses_input_id_inputs references core.inputs (id),
  response text not null,
  guideline_ids bigint[] not null,
  model text not null,
  prompt_version text not null,
  library_version integer not null,
  retriever_version integer not null,
  finish_reason text not null,
  filtered_reason text,
  prompt_tokens bigint not null,
  completion_tokens bigint not null,
  latency_ms double precision not null,
  created_at timestamptz not null default now(),
  constraint uq_aligned_responses_key
    unique (input_id, model, prompt_version, library_version, retriever_version)
);
comment on table core.aligned_responses is 'A guided answer.';
comment on column core.aligned_responses.filtered_reason is 'why it is in no data set';
grant insert on core.aligned_responses to guidealign_app;

create table core.aligned_datasets (
  id bigint generated always as identity constraint pk_aligned_datasets primary key,
  digest text not null constraint uq_aligned_datasets_digest unique,
  n bigint not null,
  model text not null,
  prompt_version text not null,
  library_version integer not null,
  retriever_version integer not null,
  mlflow_run_id text,
  created_at timestamptz not null default now(),
  constraint fk_aligned_datasets_library_version_library_versions
    foreign key (library_version) references core.library_versions (version)
);
comment on table core.aligned_datasets is 'A set of guided answers with a digest: what Labrador learns from.';
grant insert on core.aligned_datasets to guidealign_app;

create table core.aligned_dataset_items (
  dataset_id bigint not null,
  response_id bigint not null,
  position integer not null,
  constraint pk_aligned_dataset_items primary key (dataset_id, response_id),
  constraint fk_aligned_dataset_items_dataset_id_aligned_datasets
    foreign key (dataset_id) references core.aligned_datasets (id),
  constraint fk_aligned_dataset_items_response_id_aligned_responses
    foreign key (response_id) references core.aligned_responses (id)
);
comment on table core.aligned_dataset_items is 'Which answers a data set holds, in order.';
grant insert on core.aligned_dataset_items to guidealign_app;

create table core.plain_responses (
  id bigint generated always as identity constraint pk_plain_responses primary key,
  input_id bigint not null constraint fk_plain_responses_input_id_inputs references core.inputs (id),
  response text not null,
  model text not null,
  prompt_version text not null,
  finish_reason text not null,
  filtered_reason text,
  prompt_tokens bigint not null,
  completion_tokens bigint not null,
  latency_ms double precision not null,
  created_at timestamptz not null default now(),
  constraint uq_plain_responses_input_id_model_prompt_version unique (input_id, model, prompt_version)
);
comment on table core.plain_responses is 'An answer without guidelines, to compare a guided one with.';
comment on column core.plain_responses.filtered_reason is 'why it is compared with nothing';
grant insert on core.plain_responses to guidealign_app;

create table core.preference_judgements (
  id bigint generated always as identity constraint pk_preference_judgements primary key,
  guided_id bigint not null,
  plain_id bigint not null constraint fk_preference_judgements_plain_id_plain_responses references core.plain_responses (id),
  judge text not null,
  guided_risk double precision,
  plain_risk double precision,
  verdict text not null,
  created_at timestamptz not null default now(),
  constraint uq_preference_judgements_guided_id_plain_id_judge unique (guided_id, plain_id, judge),
  constraint fk_preference_judgements_guided_id_aligned_responses
    foreign key (guided_id) references core.aligned_responses (id)
);
comment on table core.preference_judgements is 'What a rule found of a guided and an unguided answer to one input.';
comment on column core.preference_judgements.judge is 'the rule, its model, prompt and margin';
comment on column core.preference_judgements.guided_risk is 'likelihood of harm, 0 to 1; null: not asked';
comment on column core.preference_judgements.plain_risk is 'likelihood of harm, 0 to 1; null: not asked';
comment on column core.preference_judgements.verdict is 'guided_better, or why the pair is dropped';
grant insert on core.preference_judgements to guidealign_app;

create table core.preference_sets (
  id bigint generated always as identity constraint pk_preference_sets primary key,
  digest text not null,
  dataset_id bigint not null constraint fk_preference_sets_dataset_id_aligned_datasets references core.aligned_datasets (id),
  judge text not null,
  n bigint not null,
  dropped jsonb not null,
  mlflow_run_id text,
  created_at timestamptz not null default now(),
  constraint uq_preference_sets_dataset_id_digest unique (dataset_id, digest)
);
comment on table core.preference_sets is 'Pairs of answers with a digest: what Labrador learns preferences from.';
comment on column core.preference_sets.dropped is 'pairs left out, by reason';
grant insert on core.preference_sets to guidealign_app;

create table core.preference_set_items (
  set_id bigint not null constraint fk_preference_set_items_set_id_preference_sets references core.preference_sets (id),
  judgement_id bigint not null,
  position integer not null,
  constraint pk_preference_set_items primary key (set_id, judgement_id),
  constraint fk_preference_set_items_judgement_id_preference_judgements
    foreign key (judgement_id) references core.preference_judgements (id)
);
comment on table core.preference_set_items is 'Which pairs a set holds, in order.';
grant insert on core.preference_set_items to guidealign_app;

create table core.model_lineage (
  model_name text not null,
  version integer not null,
  base_model text not null,
  library_version integer not null,
  library_digest text not null,
  dataset_id bigint constraint fk_model_lineage_dataset_id_aligned_datasets references core.aligned_datasets (id),
  data_digest text not null,
  retriever_version integer,
  settings jsonb not null,
  metrics jsonb not null,
  mlflow_run_id text,
  created_at timestamptz not null default now(),
  constraint pk_model_lineage primary key (model_name, version),
  constraint fk_model_lineage_library_version_library_versions
    foreign key (library_version) references core.library_versions (version)
);
comment on table core.model_lineage is 'What each registered model version was made from.';
comment on column core.model_lineage.data_digest is 'of the pairs or the aligned data set';
grant insert on core.model_lineage to guidealign_app;
