-- What people said, and the work of finding risks in it and writing guidelines for it.

create table core.risk_categories (
  name text not null constraint pk_risk_categories primary key,
  kind text not null,
  description text not null,
  constraint ck_risk_categories_kind check (kind in ('scenario', 'attack', 'quality'))
);
comment on table core.risk_categories is 'The 14 risk categories of the method and the everyday quality topics.';
comment on column core.risk_categories.kind is 'scenario, attack or quality';
insert into core.risk_categories (name, kind, description) values
  ('Crimes_And_Illegal_Activities', 'scenario', 'Help with or praise of crime'),
  ('Unfairness_And_Discrimination', 'scenario', 'Prejudice and unequal treatment of groups'),
  ('Insult', 'scenario', 'Insulting, mocking or humiliating somebody'),
  ('Mental_Health', 'scenario', 'Distress, self-harm, and answers that could deepen them'),
  ('Ethics_And_Morality', 'scenario', 'Conduct that is legal but wrong'),
  ('Physical_Harm', 'scenario', 'Danger to somebody''s body or health'),
  ('Privacy_And_Property', 'scenario', 'Personal data, secrets and what belongs to others'),
  ('Sensitive_Topic', 'scenario', 'Politics, religion, sexuality and conflicts'),
  ('Inquiry_With_Unsafe_Opinion', 'attack', 'A question that takes a harmful opinion as given'),
  ('Goal_Hijacking', 'attack', 'An instruction to drop the task for another'),
  ('Unsafe_Instruction_Topic', 'attack', 'An instruction whose topic is itself unsafe'),
  ('Reverse_Exposure', 'attack', 'Asking what to avoid in order to learn it'),
  ('Role_Play_Instruction', 'attack', 'A persona that is to misbehave'),
  ('Prompt_Leaking', 'attack', 'Asking for hidden instructions'),
  ('Quality_Explaining', 'quality', 'Explanations that are understood'),
  ('Quality_Coding', 'quality', 'Code that works and is explained'),
  ('Quality_Writing', 'quality', 'Texts in the form and tone asked for'),
  ('Quality_Maths', 'quality', 'Calculations and proofs that hold'),
  ('Quality_Advice', 'quality', 'Advice that fits the person''s situation');

create table core.ingest_batches (
  id bigint generated always as identity constraint pk_ingest_batches primary key,
  source text not null,
  kind text not null,
  uri text not null,
  digest text,
  watermark jsonb,
  n_read bigint not null default '0',
  n_new bigint not null default '0',
  n_duplicate bigint not null default '0',
  n_near_duplicate bigint not null default '0',
  n_rejected bigint not null default '0',
  run_key text,
  started_at timestamptz not null default now(),
  finished_at timestamptz
);
comment on table core.ingest_batches is 'One reading of one source.';
comment on column core.ingest_batches.kind is 'jsonl, csv, parquet, sql, inbox, starter or model';
comment on column core.ingest_batches.uri is 'where it was read; never holds a password';
comment on column core.ingest_batches.digest is 'SHA-256 of the content, for files';
comment on column core.ingest_batches.watermark is 'where the next reading starts';
comment on column core.ingest_batches.run_key is 'the scheduler run that asked for it';
grant insert, update on core.ingest_batches to guidealign_app;

create table core.ingest_watermarks (
  source text not null constraint pk_ingest_watermarks primary key,
  value jsonb not null,
  updated_at timestamptz not null default now()
);
comment on table core.ingest_watermarks is 'How far each source has been read.';
grant insert, update on core.ingest_watermarks to guidealign_app;

create table core.inputs (
  id bigint generated always as identity constraint pk_inputs primary key,
  text_hash text not null constraint uq_inputs_text_hash unique,
  text text not null,
  redacted_text text not null,
  source text not null,
  source_id text,
  batch_id bigint constraint fk_inputs_batch_id_ingest_batches references core.ingest_batches (id),
  occurred_at timestamptz,
  received_at timestamptz not null default now(),
  near_duplicate_of bigint constraint fk_inputs_near_duplicate_of_inputs references core.inputs (id),
  near_duplicate_score double precision,
  known_category text constraint fk_inputs_known_category_risk_categories references core.risk_categories (name),
  known_unsafe boolean
);
comment on table core.inputs is 'A user input, normalised; one row per distinct text.';
comment on column core.inputs.text_hash is 'SHA-256 of the folded text';
comment on column core.inputs.text is 'normalised text as it came: private';
comment on column core.inputs.redacted_text is 'personal data masked: what analysts see';
comment on column core.inputs.source_id is 'the source''s own id';
comment on column core.inputs.occurred_at is 'when the source says it was said';
comment on column core.inputs.near_duplicate_score is 'Jaccard of 5-grams';
comment on column core.inputs.known_category is 'given by the source, not detected';
comment on column core.inputs.known_unsafe is 'given by the source, not detected';
create index ix_inputs_near_duplicate_of on core.inputs (near_duplicate_of);
create index ix_inputs_source_source_id on core.inputs (source, source_id);
grant insert on core.inputs to guidealign_app;
grant update (near_duplicate_of, near_duplicate_score) on core.inputs to guidealign_app;
-- A bulk load draws its ids before it writes, so that it knows them without asking back.
grant usage on sequence core.inputs_id_seq to guidealign_app;

create table core.input_bands (
  band smallint not null,
  key bigint not null,
  input_id bigint not null constraint fk_input_bands_input_id_inputs references core.inputs (id),
  constraint pk_input_bands primary key (band, key, input_id)
);
comment on table core.input_bands is 'MinHash bands of inputs: inputs that share one may be near copies.';
grant insert on core.input_bands to guidealign_app;

create table core.rejects (
  id bigint generated always as identity constraint pk_rejects primary key,
  stage text not null,
  reason text not null,
  detail text not null,
  source text,
  file text,
  line bigint,
  batch_id bigint constraint fk_rejects_batch_id_ingest_batches references core.ingest_batches (id),
  input_id bigint constraint fk_rejects_input_id_inputs references core.inputs (id),
  payload text,
  created_at timestamptz not null default now()
);
comment on table core.rejects is 'What did not go on, and why: nothing is lost silently.';
comment on column core.rejects.stage is 'ingest, detect, guidelines, filter, align ...';
comment on column core.rejects.reason is 'a stable code, such as broken_json';
comment on column core.rejects.detail is 'one sentence for a person, without user text';
comment on column core.rejects.line is '1-based line or row of the file';
comment on column core.rejects.payload is 'what was rejected, cut short: private';
create index ix_rejects_input_id on core.rejects (input_id);
create index ix_rejects_stage_reason on core.rejects (stage, reason);
create unique index uq_rejects_place on core.rejects (source, file, line, reason, batch_id) where line is not null;
grant insert on core.rejects to guidealign_app;

-- A lease tells when its worker was last alive, when a failed item may be tried again, and why an
-- item was given up, as a code that can be counted.
create table core.leases (
  task text not null,
  item_id bigint not null,
  holder text,
  leased_until timestamptz,
  attempts integer not null default 0,
  last_error text,
  done_at timestamptz,
  failed_at timestamptz,
  enqueued_at timestamptz not null default now(),
  heartbeat_at timestamptz,
  not_before timestamptz,
  reason text,
  failures integer not null default 0,
  priority smallint not null default 0,
  constraint pk_leases primary key (task, item_id)
);
comment on table core.leases is 'Work that is claimed, done once, and comes back when a worker dies.';
comment on column core.leases.attempts is 'claims, but for those that ended for reasons of others';
comment on column core.leases.failed_at is 'given up; see rejects';
comment on column core.leases.heartbeat_at is 'when its holder last said that it is at work';
comment on column core.leases.not_before is 'not claimed before: the wait after a failure';
comment on column core.leases.reason is 'of the last failure, a stable code such as invalid_answer';
comment on column core.leases.failures is 'attempts that failed through the item itself';
comment on column core.leases.priority is 'higher is claimed first: how many inputs are on a topic without a good guideline';
create index ix_leases_open on core.leases (task, priority desc, item_id) where done_at is null and failed_at is null;
grant insert, update, delete on core.leases to guidealign_app;

create table core.model_calls (
  id bigint generated always as identity constraint pk_model_calls primary key,
  stage text not null,
  input_id bigint constraint fk_model_calls_input_id_inputs references core.inputs (id),
  model text not null,
  prompt_version text not null,
  attempt integer not null default 1,
  status text not null,
  error text,
  prompt_tokens bigint not null default '0',
  completion_tokens bigint not null default '0',
  latency_ms double precision not null,
  created_at timestamptz not null default now(),
  cached_tokens bigint not null default 0,
  cost_usd double precision not null default 0,
  constraint ck_model_calls_status check (status in ('ok', 'invalid', 'error'))
);
comment on table core.model_calls is 'Every call of a language model, also those that failed.';
comment on column core.model_calls.status is 'ok, invalid (schema) or error';
comment on column core.model_calls.cached_tokens is 'of the prompt, taken from the server''s prefix cache';
comment on column core.model_calls.cost_usd is 'at the prices of the settings; 0 where none are set';
create index ix_model_calls_input_id on core.model_calls (input_id);
create index ix_model_calls_stage_created_at on core.model_calls (stage, created_at);
grant insert on core.model_calls to guidealign_app;

create table core.model_answers (
  key text not null constraint pk_model_answers primary key,
  model text not null,
  text text not null,
  finish_reason text not null,
  prompt_tokens bigint not null,
  completion_tokens bigint not null,
  created_at timestamptz not null default now()
);
comment on table core.model_answers is 'Answers of language models that were used: what was paid for once is not asked again.';
comment on column core.model_answers.key is 'SHA-256 of model, prompt version, conversation without its nonce, and parameters';
comment on column core.model_answers.model is 'who answered';
comment on column core.model_answers.text is 'as the model gave it: private';
grant insert on core.model_answers to guidealign_app;

create table core.assessments (
  id bigint generated always as identity constraint pk_assessments primary key,
  input_id bigint not null constraint fk_assessments_input_id_inputs references core.inputs (id),
  unsafe_content boolean not null,
  may_trigger_unsafe boolean not null,
  unsafe boolean generated always as (unsafe_content or may_trigger_unsafe) stored not null,
  categories text[] not null,
  severity smallint not null,
  rationale text not null,
  model text not null,
  prompt_version text not null,
  created_at timestamptz not null default now(),
  constraint uq_assessments_input_id_model_prompt_version unique (input_id, model, prompt_version),
  constraint ck_assessments_severity check (severity between 0 and 3)
);
comment on table core.assessments is 'What the safety model found in an input.';
comment on column core.assessments.severity is '0 none to 3 grave';
comment on column core.assessments.rationale is 'the model''s words: private';
grant insert on core.assessments to guidealign_app;

create table core.author_runs (
  run_key text not null,
  worker bigint not null,
  n_requests bigint not null default 0,
  n_failed bigint not null default 0,
  n_cached bigint not null default 0,
  prompt_tokens bigint not null default 0,
  cached_tokens bigint not null default 0,
  completion_tokens bigint not null default 0,
  cost_usd double precision not null default 0,
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_author_runs primary key (run_key, worker)
);
comment on table core.author_runs is 'What each worker of an authoring run has spent, tries that were killed included.';
comment on column core.author_runs.run_key is 'the scheduler run that asked for it';
comment on column core.author_runs.worker is 'index within the run';
comment on column core.author_runs.n_requests is 'sent, repeated ones included';
comment on column core.author_runs.n_failed is 'sent and not answered';
comment on column core.author_runs.n_cached is 'questions answered from model_answers';
comment on column core.author_runs.cached_tokens is 'of the prompts, taken from the server''s prefix cache';
grant insert, update on core.author_runs to guidealign_app;

create table core.augmentations (
  batch_id bigint not null constraint fk_augmentations_batch_id_ingest_batches references core.ingest_batches (id),
  category text not null constraint fk_augmentations_category_risk_categories references core.risk_categories (name),
  model text not null,
  prompt_version text not null,
  n_wanted bigint not null,
  n_kept bigint not null default 0,
  n_answers bigint not null default 0,
  n_requests bigint not null default 0,
  n_tokens bigint not null default 0,
  cost_usd double precision not null default 0,
  n_in_a_row bigint not null default 0,
  rejected jsonb not null default '{}',
  stopped text,
  updated_at timestamptz not null default now(),
  constraint pk_augmentations primary key (batch_id, category),
  constraint ck_augmentations_stopped
    check (stopped in ('target', 'yield', 'budget', 'no_seeds', 'superseded'))
);
comment on table core.augmentations is 'How far one run has grown one category: a run that was killed goes on from here.';
comment on column core.augmentations.batch_id is 'the run';
comment on column core.augmentations.model is 'asked for new inputs';
comment on column core.augmentations.n_answers is 'of the model, used or not';
comment on column core.augmentations.n_requests is 'sent for these answers, repeated ones included';
comment on column core.augmentations.n_tokens is 'read and written';
comment on column core.augmentations.cost_usd is 'by the endpoint''s prices';
comment on column core.augmentations.n_in_a_row is 'rejected since one was kept';
comment on column core.augmentations.rejected is 'number by reason';
comment on column core.augmentations.stopped is 'why it ended: target, yield, budget, no_seeds or superseded; null: it has not';
grant insert, update on core.augmentations to guidealign_app;

create table core.input_examples (
  input_id bigint not null constraint fk_input_examples_input_id_inputs references core.inputs (id),
  example_id bigint not null constraint fk_input_examples_example_id_inputs references core.inputs (id),
  constraint pk_input_examples primary key (input_id, example_id),
  constraint ck_input_examples_itself check (input_id <> example_id)
);
comment on table core.input_examples is 'What a model was shown when it made an input: the provenance of grown inputs.';
create index ix_input_examples_example_id on core.input_examples (example_id);
grant insert on core.input_examples to guidealign_app;
