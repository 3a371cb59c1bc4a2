-- What judges learn from, and what became of each version of them: both only grow.

create table core.labelled_answers (
  id bigint generated always as identity constraint pk_labelled_answers primary key,
  digest text not null constraint uq_labelled_answers_digest unique,
  prompt text not null,
  answer text not null,
  guidelines text[] not null,
  risky boolean,
  harmful boolean,
  declines boolean,
  helps boolean,
  keeps boolean,
  cluster text not null,
  category text not null,
  origin text not null,
  labeller text not null,
  created_at timestamptz not null default now(),
  constraint ck_labelled_answers_digest check (digest ~ '^[0-9a-f]{64}$'),
  constraint ck_labelled_answers_labelled check (coalesce(risky, harmful, declines, helps, keeps) is not null)
);
comment on table core.labelled_answers is 'Prompts and answers whose labels are known: append-only; of one labelled again the later labels count.';
comment on column core.labelled_answers.digest is 'SHA-256 of all of the row: the same row is stored once';
comment on column core.labelled_answers.answer is 'empty where only the prompt is labelled';
comment on column core.labelled_answers.cluster is 'what is alike shares one, and is never on both sides of a split';
comment on column core.labelled_answers.origin is 'what wrote the answer';
grant insert on core.labelled_answers to guidealign_app;

create table core.judge_verdicts (
  id bigint generated always as identity constraint pk_judge_verdicts primary key,
  version integer not null,
  champion_version integer not null,
  promoted boolean not null,
  reason text not null,
  fingerprint text not null,
  reports jsonb not null,
  created_at timestamptz not null default now(),
  constraint uq_judge_verdicts_version_champion_version unique (version, champion_version)
);
comment on table core.judge_verdicts is 'What became of each version of the trained judges, and how its heads agree with rows they never saw.';
comment on column core.judge_verdicts.champion_version is 'what it was compared with; 0: there was none';
comment on column core.judge_verdicts.reports is 'by task: rows, kappa and AUC with intervals, threshold, and why it is unusable';
grant insert on core.judge_verdicts to guidealign_app;
