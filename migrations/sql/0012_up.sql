-- What a model answered to the cases of a benchmark.

create table core.evaluation_runs (
  id bigint generated always as identity,
  model_name text not null,
  version integer not null,
  release_id bigint,
  benchmark text not null,
  source text not null,
  source_sha256 text not null,
  cases_digest text not null,
  n_cases integer not null,
  asked text not null,
  created_at timestamptz not null default now(),
  constraint pk_evaluation_runs primary key (id),
  constraint fk_evaluation_runs_release_id_releases foreign key (release_id) references core.releases (id),
  constraint uq_evaluation_runs_question unique (model_name, version, benchmark, cases_digest, asked),
  constraint ck_evaluation_runs_cases check (n_cases > 0)
);
comment on table core.evaluation_runs is 'A model that was asked the cases of a benchmark in one way.';
comment on column core.evaluation_runs.model_name is 'registered model, or the endpoint''s; with guidelines, the release is named too';
comment on column core.evaluation_runs.version is 'of a registered model; 0: none';
comment on column core.evaluation_runs.release_id is 'whose guidelines stood in front of the prompts; null: none';
comment on column core.evaluation_runs.source is 'file, folder or hub id with commit that the cases were read from';
comment on column core.evaluation_runs.source_sha256 is 'of that copy';
comment on column core.evaluation_runs.cases_digest is 'SHA-256 of the cases that were asked';
comment on column core.evaluation_runs.asked is 'fingerprint of how: temperature, length, precision';

create table core.evaluation_answers (
  run_id bigint not null,
  case_id text not null,
  category text not null,
  kind text not null,
  cluster text not null,
  turns text[] not null,
  answers text[],
  reason text,
  finish_reason text,
  guideline_ids bigint[] not null,
  model text,
  prompt_tokens integer not null,
  completion_tokens integer not null,
  latency_ms double precision not null,
  created_at timestamptz not null default now(),
  constraint pk_evaluation_answers primary key (run_id, case_id),
  constraint fk_evaluation_answers_run_id_evaluation_runs foreign key (run_id) references core.evaluation_runs (id),
  constraint ck_evaluation_answers_unanswered check ((answers is null) = (reason is not null))
);
comment on table core.evaluation_answers is 'What a model answered to one case.';
comment on column core.evaluation_answers.turns is 'what the user said, turn by turn';
comment on column core.evaluation_answers.answers is 'one a turn; null: refused by the server, see reason';
comment on column core.evaluation_answers.finish_reason is 'of the last answer: length where it was cut';
comment on column core.evaluation_answers.guideline_ids is 'that stood in front, in their order';
comment on column core.evaluation_answers.model is 'as the endpoint names it';
comment on column core.evaluation_answers.latency_ms is 'of all turns, one after the other';

create trigger append_only before update or delete on core.evaluation_runs
  for each row execute function core.refuse_change();
create trigger append_only before update or delete on core.evaluation_answers
  for each row execute function core.refuse_change();

create view library.evaluation_runs as
select r.id, r.created_at, r.model_name, r.version, r.release_id, r.benchmark, r.source, r.source_sha256,
       r.n_cases, a.n_answered, a.n_refused, r.asked
  from core.evaluation_runs r
  left join lateral (
    select count(x.answers) as n_answered, count(x.reason) as n_refused
      from core.evaluation_answers x where x.run_id = r.id
  ) a on true;
comment on view library.evaluation_runs is 'Models that were asked a benchmark''s cases, and how far they came.';
comment on column library.evaluation_runs.id is 'For guidealign evaluate show and compare.';
comment on column library.evaluation_runs.created_at is 'When it was first asked.';
comment on column library.evaluation_runs.model_name is 'A registered model, or the endpoint''s; with guidelines, the release is named too.';
comment on column library.evaluation_runs.version is 'Of a registered model; 0 is the untrained base, or none.';
comment on column library.evaluation_runs.release_id is 'Whose guidelines stood in front of the prompts; null: none did.';
comment on column library.evaluation_runs.benchmark is 'Its name.';
comment on column library.evaluation_runs.source is 'The copy that the cases were read from.';
comment on column library.evaluation_runs.source_sha256 is 'Of that copy.';
comment on column library.evaluation_runs.n_cases is 'Cases to be asked.';
comment on column library.evaluation_runs.n_answered is 'Cases with an answer; 0 where a likelihood was taken instead.';
comment on column library.evaluation_runs.n_refused is 'Cases that the server refused, such as for their length.';
comment on column library.evaluation_runs.asked is 'Fingerprint of how it was asked.';

create view library.evaluation_scores as
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

grant select on library.evaluation_runs, library.evaluation_scores to analyst, guidealign_reviewer, guidealign_app;
grant select, insert on core.evaluation_runs, core.evaluation_answers to guidealign_app;
