create or replace view library.author_runs as
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
grant select on library.author_runs to analyst, guidealign_reviewer, guidealign_app;
