create or replace view library.model_calls as
select date_trunc('day', created_at) as day, stage, model, prompt_version, status, count(*) as n_calls,
       sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens,
       percentile_cont(0.5) within group (order by latency_ms) as median_latency_ms,
       sum(cached_tokens) as cached_tokens, sum(cost_usd) as cost_usd
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
comment on column library.model_calls.cached_tokens is
  'Of the tokens read, those from the server''s prefix cache.';
comment on column library.model_calls.cost_usd is 'At the prices of the settings; 0 where none are set.';
grant select on library.model_calls to analyst, guidealign_reviewer, guidealign_app;
