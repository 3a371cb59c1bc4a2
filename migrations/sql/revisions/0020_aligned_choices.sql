-- An input has several candidate answers; a data set says which it took and why, and how it
-- compares with the base's own answers.

alter table core.aligned_responses add column way text not null default 'guided'
  constraint ck_aligned_responses_way check (way in ('guided', 'revised', 'teacher'));
comment on column core.aligned_responses.way is
  'guided: by the base; revised: that answer, rewritten once by the base; teacher: by the safety model';

alter table core.aligned_datasets
  add column judge text,
  add column held text,
  add column figures jsonb;
comment on table core.aligned_datasets is 'A set of answers with a digest, the best to each input: what Labrador learns from.';
comment on table core.aligned_responses is 'An answer behind guidelines.';
comment on column core.aligned_datasets.judge is
  'fingerprint of the trained judge that chose; form_only: none did; null: of before there was a choice';
comment on column core.aligned_datasets.held is 'why nothing is learned from it; null: it may be';
comment on column core.aligned_datasets.figures is
  'shares of its answers and of the base''s plain ones to the same inputs, with intervals of the gain';

-- A plain answer that is kept stays where plain answers are.
alter table core.aligned_dataset_items drop constraint pk_aligned_dataset_items;
alter table core.aligned_dataset_items
  alter column response_id drop not null,
  add column plain_id bigint constraint fk_aligned_dataset_items_plain_id_plain_responses
    references core.plain_responses (id),
  add constraint pk_aligned_dataset_items primary key (dataset_id, position),
  add constraint uq_aligned_dataset_items_response unique (dataset_id, response_id),
  add constraint ck_aligned_dataset_items_one_answer check (num_nonnulls(response_id, plain_id) = 1);
comment on column core.aligned_dataset_items.plain_id is 'the answer, where the one without guidelines is kept';

create table core.aligned_choices (
  dataset_id bigint not null
    constraint fk_aligned_choices_dataset_id_aligned_datasets references core.aligned_datasets (id),
  input_id bigint not null constraint fk_aligned_choices_input_id_inputs references core.inputs (id),
  way text,
  reason text,
  flips boolean not null,
  candidates jsonb not null,
  constraint pk_aligned_choices primary key (dataset_id, input_id),
  constraint ck_aligned_choices_way_or_reason check (num_nonnulls(way, reason) = 1)
);
comment on table core.aligned_choices is 'Which answer to an input a data set took, and why.';
comment on column core.aligned_choices.way is 'of the answer that was taken; null: none was';
comment on column core.aligned_choices.reason is 'why the input is left out';
comment on column core.aligned_choices.flips is 'the plain answer does harm and the one that was taken does not';
comment on column core.aligned_choices.candidates is
  'each candidate: way, id, what it fell for, harm (probability), declines, helps (probability)';
grant insert on core.aligned_choices to guidealign_app;
