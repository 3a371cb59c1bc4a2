-- Takes revision 0004 back.

-- Augmentation ------------------------------------------------------------------------------------

drop view library.input_examples;
drop view library.augmentations;
drop table core.input_examples;
drop table core.augmentations;
comment on column core.ingest_batches.kind is 'jsonl, csv, parquet, sql or starter';

-- The work queue and the answers kept ----------------------------------------------------------

drop view library.author_runs, library.author_dead_letters, library.author_queue;
drop table core.author_runs, core.model_answers;
alter table core.leases
  drop column heartbeat_at,
  drop column not_before,
  drop column reason,
  drop column failures;
comment on column core.leases.attempts is null;
drop view library.model_calls;
create view library.model_calls as
select date_trunc('day', created_at) as day, stage, model, prompt_version, status, count(*) as n_calls,
       sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens,
       percentile_cont(0.5) within group (order by latency_ms) as median_latency_ms
  from core.model_calls
 group by 1, 2, 3, 4, 5;
comment on view library.model_calls is 'Calls of language models by day, stage and model: number, tokens, latency.';
comment on column library.model_calls.day is 'Its midnight.';
comment on column library.model_calls.stage is 'detect, guidelines, align ...';
comment on column library.model_calls.model is 'As the endpoint was asked for it.';
comment on column library.model_calls.prompt_version is 'The prompt that was used.';
comment on column library.model_calls.status is 'ok, invalid (the answer did not fit) or error';
comment on column library.model_calls.n_calls is 'Every try counts.';
comment on column library.model_calls.prompt_tokens is 'Read by the model, summed.';
comment on column library.model_calls.completion_tokens is 'Written by the model, summed.';
comment on column library.model_calls.median_latency_ms is 'Half of the calls took longer.';
grant select on library.model_calls to analyst, guidealign_reviewer, guidealign_app;
alter table core.model_calls
  drop column cached_tokens,
  drop column cost_usd;
