-- Guidelines, their life, and their vectors.

create table core.library_versions (
  version integer not null constraint pk_library_versions primary key,
  digest text not null,
  n_active bigint not null,
  n_added bigint not null,
  n_retired bigint not null,
  note text not null,
  published_by text not null,
  published_at timestamptz not null default now()
);
comment on table core.library_versions is 'A publication of the library: immutable.';
comment on column core.library_versions.digest is 'SHA-256 over the active guidelines'' hashes';

-- Its category, and the guideline of a vector below, have no foreign key: a key's own check, row by
-- row, takes longer than all the rest of a bulk load. Triggers check them once a statement.
create table core.guidelines (
  id bigint generated always as identity constraint pk_guidelines primary key,
  text_hash text not null constraint uq_guidelines_text_hash unique,
  title text not null,
  text text not null,
  category text not null,
  origin text not null,
  author_model text,
  prompt_version text,
  state text not null default 'candidate',
  state_reason text,
  merged_into bigint constraint fk_guidelines_merged_into_guidelines references core.guidelines (id),
  merge_score double precision,
  created_at timestamptz not null default now(),
  state_changed_at timestamptz not null default now(),
  language text not null default 'en',
  source text,
  checked boolean not null default false,
  approved_by text,
  merge_wording double precision,
  served int4multirange not null default '{}',
  words tsvector,
  constraint ck_guidelines_active_served check ((state = 'active') = upper_inf(served)),
  constraint ck_guidelines_active_words check (state <> 'active' or words is not null),
  constraint ck_guidelines_merged_into check ((state = 'merged') = (merged_into is not null)),
  constraint ck_guidelines_merged_into_itself check (merged_into <> id),
  constraint ck_guidelines_origin check (origin in ('starter', 'model', 'human', 'import')),
  constraint ck_guidelines_state
    check (state in ('candidate', 'active', 'retired', 'merged', 'quarantined'))
);
comment on table core.guidelines is 'A guideline: its words never change, its state moves along legal transitions.';
comment on column core.guidelines.text_hash is 'SHA-256 of folded title and text';
comment on column core.guidelines.origin is 'starter, model, human or import';
comment on column core.guidelines.merge_score is 'cosine with the canonical one';
comment on column core.guidelines.language is 'ISO 639-1 code';
comment on column core.guidelines.source is 'the file or system it was imported from';
comment on column core.guidelines.checked is 'has passed the quality filter';
comment on column core.guidelines.approved_by is 'who let it in against the policy';
comment on column core.guidelines.merge_wording is 'edit similarity with the canonical one, 0 to 1';
comment on column core.guidelines.served is 'the library versions that hold it';
comment on column core.guidelines.words is 'for full-text search; filled when it becomes active';
create index ix_guidelines_merged_into on core.guidelines (merged_into) where merged_into is not null;
create index ix_guidelines_source on core.guidelines (source) where source is not null;
create index ix_guidelines_state_category on core.guidelines (state, category);
create index ix_guidelines_words on core.guidelines using gin (words) where state = 'active';
grant insert on core.guidelines to guidealign_app;
grant update (state, state_reason, merged_into, merge_score, checked, merge_wording, served)
  on core.guidelines to guidealign_app;
-- A bulk load draws its ids before it writes, so that it knows them without asking back.
grant usage on sequence core.guidelines_id_seq to guidealign_app;

create table core.guideline_events (
  id bigint generated always as identity constraint pk_guideline_events primary key,
  guideline_id bigint not null constraint fk_guideline_events_guideline_id_guidelines references core.guidelines (id),
  from_state text not null,
  to_state text not null,
  reason text,
  version integer,
  witness_id bigint constraint fk_guideline_events_witness_id_guidelines references core.guidelines (id),
  score double precision,
  wording double precision,
  actor text not null,
  created_at timestamptz not null default now()
);
comment on table core.guideline_events is 'Every step of a guideline''s life, written by the database itself: append-only.';
comment on column core.guideline_events.version is 'the library version that this step went into';
comment on column core.guideline_events.witness_id is 'for a merge: the guideline that says the same';
comment on column core.guideline_events.score is 'cosine with the witness';
comment on column core.guideline_events.wording is 'edit similarity with the witness';
create index ix_guideline_events_guideline_id on core.guideline_events (guideline_id);
create index ix_guideline_events_version on core.guideline_events (version);

create table core.conflicts (
  left_id bigint not null constraint fk_conflicts_left_id_guidelines references core.guidelines (id),
  right_id bigint not null constraint fk_conflicts_right_id_guidelines references core.guidelines (id),
  score double precision not null,
  status text not null default 'open',
  reason text,
  decided_by text,
  decided_at timestamptz,
  created_at timestamptz not null default now(),
  constraint pk_conflicts primary key (left_id, right_id),
  constraint ck_conflicts_ordered check (left_id < right_id),
  constraint ck_conflicts_status check (status in ('open', 'dismissed'))
);
comment on table core.conflicts is 'Two guidelines of which one may demand what the other forbids.';
comment on column core.conflicts.score is 'cosine between the two';
comment on column core.conflicts.status is 'open: never served together; dismissed: no conflict';
comment on column core.conflicts.reason is 'of the person who decided';
create index ix_conflicts_right_id on core.conflicts (right_id);
grant insert on core.conflicts to guidealign_app;

create table core.kept_apart (
  left_id bigint not null constraint fk_kept_apart_left_id_guidelines references core.guidelines (id),
  right_id bigint not null constraint fk_kept_apart_right_id_guidelines references core.guidelines (id),
  reason text not null,
  actor text not null,
  created_at timestamptz not null default now(),
  constraint pk_kept_apart primary key (left_id, right_id),
  constraint ck_kept_apart_ordered check (left_id < right_id)
);
comment on table core.kept_apart is 'Two guidelines that a person has found not to say the same: never merged again.';
create index ix_kept_apart_right_id on core.kept_apart (right_id);

create table core.pairs (
  input_id bigint not null constraint fk_pairs_input_id_inputs references core.inputs (id),
  guideline_id bigint not null constraint fk_pairs_guideline_id_guidelines references core.guidelines (id),
  assessment_id bigint constraint fk_pairs_assessment_id_assessments references core.assessments (id),
  origin text not null,
  created_at timestamptz not null default now(),
  constraint pk_pairs primary key (input_id, guideline_id)
);
comment on table core.pairs is 'An input and a guideline written for it: the provenance, and a training pair.';
comment on column core.pairs.origin is 'starter, model, human or import';
create index ix_pairs_guideline_id on core.pairs (guideline_id);
grant insert on core.pairs to guidealign_app;

create table core.embeddings (
  retriever_version integer not null,
  guideline_id bigint not null,
  embedding vector not null,
  created_at timestamptz not null default now(),
  constraint pk_embeddings primary key (retriever_version, guideline_id)
);
comment on table core.embeddings is 'A guideline''s vector under one retriever version (-1: the fixed encoder of curation).';
comment on column core.embeddings.embedding is 'L2-normalised';
grant insert, delete on core.embeddings to guidealign_app;

create table core.vector_indexes (
  retriever_version integer not null constraint pk_vector_indexes primary key,
  dimensions integer not null,
  ef_search integer not null,
  recall double precision not null,
  n_queries integer not null,
  n_vectors bigint not null,
  built_at timestamptz not null default now()
);
comment on table core.vector_indexes is 'The search index of one retriever version: in use once its recall was measured.';
comment on column core.vector_indexes.ef_search is 'hnsw.ef_search that gave the recall';
comment on column core.vector_indexes.recall is 'of the nearest 6, against exact search';
comment on column core.vector_indexes.n_queries is 'the recall was measured on';
grant insert, update, delete on core.vector_indexes to guidealign_app;

create table core.retrievals (
  id bigint generated always as identity constraint pk_retrievals primary key,
  request_id text not null,
  input_id bigint constraint fk_retrievals_input_id_inputs references core.inputs (id),
  guideline_id bigint not null constraint fk_retrievals_guideline_id_guidelines references core.guidelines (id),
  rank integer not null,
  score double precision not null,
  kept boolean not null,
  library_version integer not null,
  retriever_version integer not null,
  created_at timestamptz not null default now(),
  constraint uq_retrievals_request_id_guideline_id unique (request_id, guideline_id)
);
comment on table core.retrievals is 'A guideline found for an input, kept or left out.';
comment on column core.retrievals.request_id is 'one id per retrieval request';
comment on column core.retrievals.rank is '1 is nearest';
comment on column core.retrievals.score is 'cosine similarity';
comment on column core.retrievals.kept is 'among the k put in front of the model';
create index ix_retrievals_guideline_id on core.retrievals (guideline_id);
create index ix_retrievals_input_id on core.retrievals (input_id);
grant insert on core.retrievals to guidealign_app;

create table core.imports (
  id bigint generated always as identity constraint pk_imports primary key,
  file text not null,
  digest text not null,
  kind text not null,
  mode text not null,
  actor text not null,
  n_done bigint not null default '0',
  counts jsonb not null default '{}',
  own_retrievers bigint[] not null default '{}',
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint ck_imports_mode check (mode in ('add', 'restore'))
);
comment on table core.imports is 'A file that was loaded into the library, and how far.';
comment on column core.imports.file is 'its name, without the folder';
comment on column core.imports.digest is 'SHA-256 of the file';
comment on column core.imports.kind is 'jsonl, parquet or dpr';
comment on column core.imports.mode is 'add or restore';
comment on column core.imports.n_done is 'records of the file that are stored: a run that was killed goes on there';
comment on column core.imports.counts is 'what came of the records';
comment on column core.imports.own_retrievers is 'retriever versions that had vectors here before: the file''s are left out';
create index ix_imports_digest on core.imports (digest);
grant insert, update on core.imports to guidealign_app;

-- What a search returns: library.search, and the function that core.make_nearest makes for each index.
create type core.hit as (id bigint, title text, text text, category text, score float8, embedding vector);
comment on type core.hit is 'A guideline that a search has found.';
