-- Authoring: the work queue and the answers kept

-- A lease tells when its worker was last alive, when a failed item may be tried again, and why an
-- item was given up, as a code that can be counted.
alter table core.leases
  add column heartbeat_at timestamptz,
  add column not_before timestamptz,
  add column reason text,
  add column failures integer not null default 0;
comment on column core.leases.attempts is 'claims, but for those that ended for reasons of others';
comment on column core.leases.failures is 'attempts that failed through the item itself';
comment on column core.leases.heartbeat_at is 'when its holder last said that it is at work';
comment on column core.leases.not_before is 'not claimed before: the wait after a failure';
comment on column core.leases.reason is 'of the last failure, a stable code such as invalid_answer';
update core.leases set reason = 'unknown' where failed_at is not null;

alter table core.model_calls
  add column cached_tokens bigint not null default 0,
  add column cost_usd double precision not null default 0;
comment on column core.model_calls.cached_tokens is
  'of the prompt, taken from the server''s prefix cache';
comment on column core.model_calls.cost_usd is 'at the prices of the settings; 0 where none are set';

create or replace view library.model_calls as
select date_trunc('day', created_at) as day, stage, model, prompt_version, status, count(*) as n_calls,
       sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens,
       percentile_cont(0.5) within group (order by latency_ms) as median_latency_ms,
       sum(cached_tokens) as cached_tokens, sum(cost_usd) as cost_usd
  from core.model_calls
 group by 1, 2, 3, 4, 5;
comment on column library.model_calls.cached_tokens is
  'Of the tokens read, those from the server''s prefix cache.';
comment on column library.model_calls.cost_usd is 'At the prices of the settings; 0 where none are set.';

create table core.model_answers (
  key text not null,
  model text not null,
  text text not null,
  finish_reason text not null,
  prompt_tokens bigint not null,
  completion_tokens bigint not null,
  created_at timestamptz not null default now(),
  constraint pk_model_answers primary key (key)
);
comment on table core.model_answers is
  'Answers of language models that were used: what was paid for once is not asked again.';
comment on column core.model_answers.key is
  'SHA-256 of model, prompt version, conversation without its nonce, and parameters';
comment on column core.model_answers.model is 'who answered';
comment on column core.model_answers.text is 'as the model gave it: private';

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
comment on table core.author_runs is
  'What each worker of an authoring run has spent, tries that were killed included.';
comment on column core.author_runs.run_key is 'the scheduler run that asked for it';
comment on column core.author_runs.worker is 'index within the run';
comment on column core.author_runs.n_requests is 'sent, repeated ones included';
comment on column core.author_runs.n_failed is 'sent and not answered';
comment on column core.author_runs.n_cached is 'questions answered from model_answers';
comment on column core.author_runs.cached_tokens is
  'of the prompts, taken from the server''s prefix cache';

create view library.author_queue as
select l.item_id as input_id,
       case when l.done_at is not null then 'done'
            when l.failed_at is not null then 'dead'
            when l.leased_until >= now() then 'leased'
            when l.not_before > now() then 'waiting'
            else 'open' end as state,
       l.attempts, l.failures, l.reason, l.last_error, l.holder, l.leased_until, l.heartbeat_at, l.not_before,
       l.enqueued_at, l.done_at, l.failed_at
  from core.leases l
 where l.task = 'author';
comment on view library.author_queue is
  'Inputs that are to be authored, are being authored, or were: one row each.';
comment on column library.author_queue.input_id is 'See library.inputs.';
comment on column library.author_queue.state is
  'open, leased (a worker has it), waiting (for not_before, after a failure), done, or dead (given up).';
comment on column library.author_queue.attempts is
  'Times it was claimed, but for those that ended for reasons of others, such as an outage.';
comment on column library.author_queue.failures is
  'Attempts that failed through the input itself; the others'' workers were killed.';
comment on column library.author_queue.reason is
  'Of the last failure: see library.author_dead_letters.';
comment on column library.author_queue.last_error is 'Of the last failure, a sentence.';
comment on column library.author_queue.holder is 'The worker that has it: host:process.start:index.';
comment on column library.author_queue.leased_until is 'Then it is taken back, unless the worker renews it.';
comment on column library.author_queue.heartbeat_at is 'When the worker last renewed it.';
comment on column library.author_queue.not_before is 'When it may be tried again.';
comment on column library.author_queue.enqueued_at is 'When it was planned.';
comment on column library.author_queue.done_at is 'When its results were stored.';
comment on column library.author_queue.failed_at is 'When it was given up.';

create view library.author_dead_letters as
select l.item_id as input_id, l.reason, l.last_error as detail, l.attempts, l.failures, l.failed_at,
       i.redacted_text as text, i.source
  from core.leases l
  join core.inputs i on i.id = l.item_id
 where l.task = 'author' and l.failed_at is not null;
comment on view library.author_dead_letters is
  'Inputs that authoring has given up; `guidealign author retry-failed` puts them back.';
comment on column library.author_dead_letters.input_id is 'See library.inputs.';
comment on column library.author_dead_letters.reason is
  'invalid_answer (no usable answer), refused_request (the endpoint refuses it), no_answer (others were answered) or worker_lost (its workers died).';
comment on column library.author_dead_letters.detail is 'Of the last try, a sentence.';
comment on column library.author_dead_letters.attempts is 'How often it was claimed.';
comment on column library.author_dead_letters.failures is 'How often that failed through the input itself.';
comment on column library.author_dead_letters.failed_at is 'When it was given up.';
comment on column library.author_dead_letters.text is 'The input with personal data masked.';
comment on column library.author_dead_letters.source is 'Where the input came from.';

create view library.author_runs as
select r.run_key, count(*) as n_workers, sum(r.n_requests)::bigint as n_requests,
       sum(r.n_failed)::bigint as n_failed, sum(r.n_cached)::bigint as n_cached,
       sum(r.prompt_tokens)::bigint as prompt_tokens, sum(r.cached_tokens)::bigint as cached_tokens,
       sum(r.completion_tokens)::bigint as completion_tokens, sum(r.cost_usd) as cost_usd,
       min(r.started_at) as started_at, max(r.updated_at) as updated_at
  from core.author_runs r
 group by r.run_key;
comment on view library.author_runs is 'What each authoring run has spent on the model.';
comment on column library.author_runs.run_key is 'The DAG and its run.';
comment on column library.author_runs.n_workers is 'Workers that took part.';
comment on column library.author_runs.n_requests is 'Requests sent, repeated ones included.';
comment on column library.author_runs.n_failed is 'Requests that were not answered.';
comment on column library.author_runs.n_cached is 'Questions answered without a request, from answers kept.';
comment on column library.author_runs.prompt_tokens is 'Tokens read by the model.';
comment on column library.author_runs.cached_tokens is 'Of these, taken from the server''s prefix cache.';
comment on column library.author_runs.completion_tokens is 'Tokens written by the model.';
comment on column library.author_runs.cost_usd is 'At the prices of the settings; 0 where none are set.';
comment on column library.author_runs.started_at is 'When its first worker began.';
comment on column library.author_runs.updated_at is 'When a worker last stored results.';

grant select on library.author_queue, library.author_dead_letters, library.author_runs
  to analyst, guidealign_reviewer, guidealign_app;
grant select, insert on core.model_answers to guidealign_app;
grant select, insert, update on core.author_runs to guidealign_app;

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
