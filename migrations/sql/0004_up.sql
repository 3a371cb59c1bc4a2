-- Authoring: the work queue and the answers kept

-- Augmentation: inputs grown by a model from those that are there ------------------------------

comment on column core.ingest_batches.kind is 'jsonl, csv, parquet, sql, starter or model';

create table core.augmentations (
  batch_id bigint not null,
  category text not null,
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
  constraint fk_augmentations_batch_id_ingest_batches
    foreign key (batch_id) references core.ingest_batches (id),
  constraint fk_augmentations_category_risk_categories
    foreign key (category) references core.risk_categories (name),
  constraint ck_augmentations_stopped
    check (stopped in ('target', 'yield', 'budget', 'no_seeds', 'superseded'))
);
comment on table core.augmentations is
  'How far one run has grown one category: a run that was killed goes on from here.';
comment on column core.augmentations.batch_id is 'the run';
comment on column core.augmentations.model is 'asked for new inputs';
comment on column core.augmentations.n_answers is 'of the model, used or not';
comment on column core.augmentations.n_requests is
  'sent for these answers, repeated ones included';
comment on column core.augmentations.n_tokens is 'read and written';
comment on column core.augmentations.cost_usd is 'by the endpoint''s prices';
comment on column core.augmentations.n_in_a_row is 'rejected since one was kept';
comment on column core.augmentations.rejected is 'number by reason';
comment on column core.augmentations.stopped is
  'why it ended: target, yield, budget, no_seeds or superseded; null: it has not';

create table core.input_examples (
  input_id bigint not null,
  example_id bigint not null,
  constraint pk_input_examples primary key (input_id, example_id),
  constraint fk_input_examples_input_id_inputs
    foreign key (input_id) references core.inputs (id),
  constraint fk_input_examples_example_id_inputs
    foreign key (example_id) references core.inputs (id),
  constraint ck_input_examples_itself check (input_id <> example_id)
);
comment on table core.input_examples is
  'What a model was shown when it made an input: the provenance of grown inputs.';
create index ix_input_examples_example_id on core.input_examples (example_id);

create view library.augmentations as
select a.batch_id as run_id, b.started_at, b.finished_at, b.run_key, a.category, a.n_wanted,
       a.n_kept, a.stopped, a.n_answers, a.rejected, a.n_requests, a.n_tokens, a.cost_usd,
       a.model, a.prompt_version
  from core.augmentations a
  join core.ingest_batches b on b.id = a.batch_id;
comment on view library.augmentations is
  'What each run that grew inputs wanted, kept and rejected, by category.';
comment on column library.augmentations.run_id is 'Counts up with every batch of inputs.';
comment on column library.augmentations.started_at is 'When it was first started.';
comment on column library.augmentations.finished_at is 'Null: it runs, or the next run goes on with it.';
comment on column library.augmentations.run_key is 'The scheduler run that asked for it.';
comment on column library.augmentations.category is 'Of the new inputs.';
comment on column library.augmentations.n_wanted is 'Inputs that were missing when it began.';
comment on column library.augmentations.n_kept is 'Inputs that it added.';
comment on column library.augmentations.stopped is
  'target: reached; yield: the model had nothing new to say; budget: spent; no_seeds: nothing to start from; superseded: another run was asked for.';
comment on column library.augmentations.n_answers is 'Of the model, used or not.';
comment on column library.augmentations.rejected is 'How many texts were left out, by reason; each is in library.rejects.';
comment on column library.augmentations.n_requests is 'Sent for these answers, repeated ones included.';
comment on column library.augmentations.n_tokens is 'Read and written.';
comment on column library.augmentations.cost_usd is 'By the prices set for the endpoint; 0 where none are.';
comment on column library.augmentations.model is 'That was asked.';
comment on column library.augmentations.prompt_version is 'That it was asked with.';

create view library.input_examples as
select e.input_id, i.redacted_text as input, i.known_category as category, i.batch_id as run_id,
       e.example_id, x.redacted_text as example, x.source as example_source
  from core.input_examples e
  join core.inputs i on i.id = e.input_id
  join core.inputs x on x.id = e.example_id;
comment on view library.input_examples is
  'Which inputs a model was shown when it made an input: the provenance of grown inputs.';
comment on column library.input_examples.input_id is 'The grown one; see library.inputs.';
comment on column library.input_examples.input is 'Its text with personal data masked.';
comment on column library.input_examples.category is 'That it was grown for.';
comment on column library.input_examples.run_id is 'See library.augmentations.';
comment on column library.input_examples.example_id is 'What was shown; see library.inputs.';
comment on column library.input_examples.example is 'Its text with personal data masked.';
comment on column library.input_examples.example_source is 'augment: it was grown itself.';

grant insert on core.augmentations, core.input_examples to guidealign_app;
grant update on core.augmentations to guidealign_app;
grant select on library.augmentations, library.input_examples
  to analyst, guidealign_reviewer, guidealign_app;
