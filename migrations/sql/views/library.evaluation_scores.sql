create or replace view library.evaluation_scores as
select model_name, version, benchmark, metric, evaluator, kind, category,
       count(value) as n, count(*) filter (where value is null) as n_unscored, avg(value) as mean,
       max(created_at) as created_at
  from core.benchmark_results
 group by model_name, version, benchmark, metric, evaluator, kind, category;
comment on view library.evaluation_scores is 'Mean scores by model, benchmark, metric and category. Compare rows of one evaluator only.';
comment on column library.evaluation_scores.model_name is 'As in library.evaluation_runs.';
comment on column library.evaluation_scores.version is 'Of a registered model; 0 is the untrained base, or none.';
comment on column library.evaluation_scores.benchmark is 'Its name.';
comment on column library.evaluation_scores.metric is 'Such as refused or harmful: for yes/no metrics the mean is a rate.';
comment on column library.evaluation_scores.evaluator is 'Fingerprint of judge, prompts, way of asking and cases.';
comment on column library.evaluation_scores.kind is 'harm, over_refusal, quality or retrieval';
comment on column library.evaluation_scores.category is 'The benchmark''s own.';
comment on column library.evaluation_scores.n is 'Cases with a score.';
comment on column library.evaluation_scores.n_unscored is 'Cases without one: never averaged away.';
comment on column library.evaluation_scores.mean is 'Over the cases with a score.';
comment on column library.evaluation_scores.created_at is 'When the last of them was scored.';
grant select on library.evaluation_scores to analyst, guidealign_reviewer, guidealign_app;
