-- Scores, gates, releases, and what is watched after a promotion.

create table core.releases (
  id bigint generated always as identity constraint pk_releases primary key,
  library_version integer not null,
  retriever_version integer not null,
  labrador_version integer not null,
  prompt_version text not null,
  settings jsonb not null,
  actor text not null,
  reason text not null,
  created_at timestamptz not null default now(),
  constraint fk_releases_library_version_library_versions
    foreign key (library_version) references core.library_versions (version)
);
comment on table core.releases is 'What was served, as one id: append-only; the newest row is live.';
grant insert on core.releases to guidealign_app;

create table core.benchmark_results (
  id bigint generated always as identity constraint pk_benchmark_results primary key,
  model_name text not null,
  version integer not null,
  benchmark text not null,
  evaluator text not null,
  metric text not null,
  case_id text not null,
  category text not null,
  kind text not null,
  cluster text not null,
  value double precision,
  reason text,
  created_at timestamptz not null default now(),
  constraint uq_benchmark_results_case
    unique (model_name, version, benchmark, evaluator, metric, case_id),
  constraint ck_benchmark_results_finite check (value <> 'NaN' and abs(value) <> 'Infinity'),
  constraint ck_benchmark_results_unscored check ((value is null) = (reason is not null))
);
comment on table core.benchmark_results is 'One model version''s score on one case.';
comment on column core.benchmark_results.evaluator is 'fingerprint of judge, prompts and cases';
comment on column core.benchmark_results.value is 'null: unscored, see reason';
grant insert on core.benchmark_results to guidealign_app;

create table core.evaluation_runs (
  id bigint generated always as identity constraint pk_evaluation_runs primary key,
  model_name text not null,
  version integer not null,
  release_id bigint constraint fk_evaluation_runs_release_id_releases references core.releases (id),
  benchmark text not null,
  source text not null,
  source_sha256 text not null,
  cases_digest text not null,
  n_cases integer not null,
  asked text not null,
  created_at timestamptz not null default now(),
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
grant insert on core.evaluation_runs to guidealign_app;

create table core.evaluation_answers (
  run_id bigint not null constraint fk_evaluation_answers_run_id_evaluation_runs references core.evaluation_runs (id),
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
  constraint ck_evaluation_answers_unanswered check ((answers is null) = (reason is not null))
);
comment on table core.evaluation_answers is 'What a model answered to one case.';
comment on column core.evaluation_answers.turns is 'what the user said, turn by turn';
comment on column core.evaluation_answers.answers is 'one a turn; null: refused by the server, see reason';
comment on column core.evaluation_answers.finish_reason is 'of the last answer: length where it was cut';
comment on column core.evaluation_answers.guideline_ids is 'that stood in front, in their order';
comment on column core.evaluation_answers.model is 'as the endpoint names it';
comment on column core.evaluation_answers.latency_ms is 'of all turns, one after the other';
grant insert on core.evaluation_answers to guidealign_app;

create table core.gate_decisions (
  id bigint generated always as identity constraint pk_gate_decisions primary key,
  model_name text not null,
  challenger_version integer not null,
  champion_version integer not null,
  verdict text not null,
  reason text not null,
  policy jsonb not null,
  evidence jsonb not null,
  evaluator text not null,
  input_digest text not null,
  mlflow_run_id text,
  created_at timestamptz not null default now(),
  runs jsonb not null default '[]',
  constraint uq_gate_decisions_model_name_challenger_version_champio_bd73
    unique (model_name, challenger_version, champion_version, input_digest),
  constraint ck_gate_decisions_verdict check (verdict in ('promote', 'hold', 'inconclusive', 'reject'))
);
comment on table core.gate_decisions is 'A gate''s verdict with everything it was made from.';
comment on column core.gate_decisions.evidence is 'per check: n, planned, unscored, both means, difference, interval, power';
comment on column core.gate_decisions.input_digest is 'of policy and all case scores';
comment on column core.gate_decisions.runs is 'the runs compared: side, version, benchmark, metric, evaluator, judge, n, n_unscored; with model_name the key of their benchmark_results; empty before revision 0010';
grant insert on core.gate_decisions to guidealign_app;

-- A switch says what it is about to do before it touches the registry, so that whoever comes next
-- can finish it.
create table core.switches (
  id bigint generated always as identity constraint pk_switches primary key,
  model_name text not null,
  action text not null,
  from_version integer not null,
  to_version integer not null,
  previous_version integer,
  challenger_version integer,
  gate_decision_id bigint constraint fk_switches_gate_decision_id_gate_decisions references core.gate_decisions (id),
  actor text not null,
  reason text not null,
  begun_at timestamptz not null default now(),
  ended_at timestamptz,
  outcome text,
  constraint ck_switches_action check (action in ('promote', 'rollback')),
  constraint ck_switches_ended check ((ended_at is null) = (outcome is null)),
  constraint ck_switches_outcome check (outcome in ('done', 'undone'))
);
comment on table core.switches is 'What a switch is about to do, written before it moves the registry''s aliases.';
comment on column core.switches.from_version is 'the champion before; 0: the untrained base';
comment on column core.switches.to_version is 'the champion after';
comment on column core.switches.previous_version is 'where the alias previous stood; null: there was none';
comment on column core.switches.challenger_version is 'where the alias challenger stood; null: there was none';
comment on column core.switches.ended_at is 'null: it runs, or its process died in its middle';
comment on column core.switches.outcome is 'done: promotions has its row; undone: the aliases were put back';
create unique index uq_switches_open on core.switches (model_name) where ended_at is null;
grant insert on core.switches to guidealign_app;
grant update (ended_at, outcome) on core.switches to guidealign_app;

create table core.promotions (
  id bigint generated always as identity constraint pk_promotions primary key,
  model_name text not null,
  action text not null,
  from_version integer not null,
  to_version integer not null,
  gate_decision_id bigint constraint fk_promotions_gate_decision_id_gate_decisions references core.gate_decisions (id),
  release_id bigint constraint fk_promotions_release_id_releases references core.releases (id),
  actor text not null,
  reason text not null,
  created_at timestamptz not null default now(),
  constraint ck_promotions_action check (action in ('promote', 'hold', 'rollback', 'refuse'))
);
comment on table core.promotions is 'Every move of a champion, and every decision not to move it.';
create index ix_promotions_model_name_created_at on core.promotions (model_name, created_at);
grant insert on core.promotions to guidealign_app;

create table core.watch_looks (
  id bigint generated always as identity constraint pk_watch_looks primary key,
  promotion_id bigint not null constraint fk_watch_looks_promotion_id_promotions references core.promotions (id),
  measure text not null,
  look integer not null,
  n_before bigint not null,
  k_before bigint not null,
  n_since bigint not null,
  k_since bigint not null,
  least_increase double precision not null,
  allowed double precision not null,
  is_breach boolean not null,
  looked_at timestamptz not null default now(),
  constraint uq_watch_looks_look unique (promotion_id, measure, look),
  constraint ck_watch_looks_counts
    check (k_before between 0 and n_before and k_since between 0 and n_since and n_since > 0 and n_before > 0),
  constraint ck_watch_looks_measure check (measure in ('refused', 'disliked', 'harmful'))
);
comment on table core.watch_looks is 'Live answers after a promotion against those before it: append-only.';
comment on column core.watch_looks.look is '1 is the first; each spends a part of the level';
comment on column core.watch_looks.n_before is 'conversations under the version before';
comment on column core.watch_looks.k_before is 'of them those with the mark';
comment on column core.watch_looks.least_increase is 'lower bound of the increase of the share';
comment on column core.watch_looks.allowed is 'by how much the share may rise';
comment on column core.watch_looks.is_breach is 'the lower bound is above that';
grant insert on core.watch_looks to guidealign_app;

create table core.drift_reports (
  id bigint generated always as identity constraint pk_drift_reports primary key,
  since date not null,
  until date not null,
  retriever_version integer not null,
  library_version integer not null,
  n_inputs bigint not null,
  n_measured bigint not null,
  low_score double precision,
  median_score double precision,
  high_score double precision,
  good_score double precision,
  share_poor double precision,
  share_abstained double precision,
  distance double precision,
  p_value double precision,
  measured_at timestamptz not null default now(),
  constraint uq_drift_reports_until unique (until, retriever_version, library_version),
  constraint ck_drift_reports_dates check (since < until),
  constraint fk_drift_reports_library_version_library_versions
    foreign key (library_version) references core.library_versions (version)
);
comment on table core.drift_reports is 'What the retriever finds for the inputs of a week, against the held-out ones.';
comment on column core.drift_reports.until is 'exclusive';
comment on column core.drift_reports.n_measured is 'a sample of the inputs, or all';
comment on column core.drift_reports.low_score is 'tenth percentile of the best guideline''s cosine';
comment on column core.drift_reports.good_score is 'what the best guideline reaches for nine of ten held-out inputs; null: too few of them';
comment on column core.drift_reports.share_poor is 'inputs whose best guideline is below that';
comment on column core.drift_reports.share_abstained is 'inputs below the threshold for unsafe-topic guidelines; null: not calibrated';
comment on column core.drift_reports.distance is 'Kolmogorov-Smirnov, of the best scores of these and of the held-out inputs';
grant insert, delete on core.drift_reports to guidealign_app;

create table core.drift_clusters (
  report_id bigint not null,
  example_id bigint not null constraint fk_drift_clusters_example_id_inputs references core.inputs (id),
  input_ids bigint[] not null,
  guideline_id bigint not null constraint fk_drift_clusters_guideline_id_guidelines references core.guidelines (id),
  score double precision not null,
  is_new boolean not null,
  constraint pk_drift_clusters primary key (report_id, example_id),
  constraint fk_drift_clusters_report_id_drift_reports
    foreign key (report_id) references core.drift_reports (id) on delete cascade
);
comment on table core.drift_clusters is 'Inputs of a week on one topic for which no guideline is near.';
comment on column core.drift_clusters.example_id is 'the input that is nearest to all others';
comment on column core.drift_clusters.guideline_id is 'the nearest to it there is';
comment on column core.drift_clusters.score is 'its cosine';
comment on column core.drift_clusters.is_new is 'no earlier report has one like it';
grant insert, delete on core.drift_clusters to guidealign_app;
