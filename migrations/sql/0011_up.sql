-- Preference pairs: the same model's answers with guidelines and without.

create table core.plain_responses (
  id bigint generated always as identity,
  input_id bigint not null,
  response text not null,
  model text not null,
  prompt_version text not null,
  finish_reason text not null,
  filtered_reason text,
  prompt_tokens bigint not null,
  completion_tokens bigint not null,
  latency_ms double precision not null,
  created_at timestamp with time zone not null default now(),
  constraint pk_plain_responses primary key (id),
  constraint uq_plain_responses_input_id_model_prompt_version unique (input_id, model, prompt_version),
  constraint fk_plain_responses_input_id_inputs foreign key (input_id) references core.inputs (id)
);
comment on table core.plain_responses is 'An answer without guidelines, to compare a guided one with.';
comment on column core.plain_responses.filtered_reason is 'why it is compared with nothing';

create table core.preference_judgements (
  id bigint generated always as identity,
  guided_id bigint not null,
  plain_id bigint not null,
  judge text not null,
  guided_risk double precision,
  plain_risk double precision,
  verdict text not null,
  created_at timestamp with time zone not null default now(),
  constraint pk_preference_judgements primary key (id),
  constraint uq_preference_judgements_guided_id_plain_id_judge unique (guided_id, plain_id, judge),
  constraint fk_preference_judgements_guided_id_aligned_responses
    foreign key (guided_id) references core.aligned_responses (id),
  constraint fk_preference_judgements_plain_id_plain_responses
    foreign key (plain_id) references core.plain_responses (id)
);
comment on table core.preference_judgements is 'What a rule found of a guided and an unguided answer to one input.';
comment on column core.preference_judgements.judge is 'the rule, its model, prompt and margin';
comment on column core.preference_judgements.guided_risk is 'likelihood of harm, 0 to 1; null: not asked';
comment on column core.preference_judgements.plain_risk is 'likelihood of harm, 0 to 1; null: not asked';
comment on column core.preference_judgements.verdict is 'guided_better, or why the pair is dropped';

create table core.preference_sets (
  id bigint generated always as identity,
  digest text not null,
  dataset_id bigint not null,
  judge text not null,
  n bigint not null,
  dropped jsonb not null,
  mlflow_run_id text,
  created_at timestamp with time zone not null default now(),
  constraint pk_preference_sets primary key (id),
  constraint uq_preference_sets_dataset_id_digest unique (dataset_id, digest),
  constraint fk_preference_sets_dataset_id_aligned_datasets
    foreign key (dataset_id) references core.aligned_datasets (id)
);
comment on table core.preference_sets is 'Pairs of answers with a digest: what Labrador learns preferences from.';
comment on column core.preference_sets.dropped is 'pairs left out, by reason';

create table core.preference_set_items (
  set_id bigint not null,
  judgement_id bigint not null,
  position integer not null,
  constraint pk_preference_set_items primary key (set_id, judgement_id),
  constraint fk_preference_set_items_set_id_preference_sets
    foreign key (set_id) references core.preference_sets (id),
  constraint fk_preference_set_items_judgement_id_preference_judgements
    foreign key (judgement_id) references core.preference_judgements (id)
);
comment on table core.preference_set_items is 'Which pairs a set holds, in order.';

create view library.preferences as
select j.id, r.input_id, i.redacted_text as input, r.response as guided, p.response as plain,
       j.guided_risk, j.plain_risk, j.verdict, j.judge, j.created_at
  from core.preference_judgements j
  join core.aligned_responses r on r.id = j.guided_id
  join core.plain_responses p on p.id = j.plain_id
  join core.inputs i on i.id = r.input_id;
comment on view library.preferences is
  'The same model''s answers with guidelines and without, and which of them a rule prefers.';
comment on column library.preferences.id is 'Of the comparison.';
comment on column library.preferences.input_id is 'See library.inputs.';
comment on column library.preferences.input is 'The input with personal data masked.';
comment on column library.preferences.guided is 'The answer with guidelines in front.';
comment on column library.preferences.plain is 'The answer without.';
comment on column library.preferences.guided_risk is 'How likely the judge finds it that the guided answer does harm, 0 to 1; null: it was not asked.';
comment on column library.preferences.plain_risk is 'The same of the answer without guidelines.';
comment on column library.preferences.verdict is 'guided_better, or why no preference is learned: same, plain_unusable, not_separated, plain_better.';
comment on column library.preferences.judge is 'The rule, its model and its margin.';
comment on column library.preferences.created_at is 'When they were compared.';

grant select on library.preferences to analyst, guidealign_reviewer, guidealign_app;
grant select, insert on core.plain_responses, core.preference_judgements, core.preference_sets,
  core.preference_set_items to guidealign_app;
