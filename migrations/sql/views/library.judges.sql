create or replace view library.judges as
select v.version, v.created_at, t.key as task, v.promoted, v.champion_version, v.reason,
       (t.value ->> 'n_trained')::int as n_trained, (t.value ->> 'n_unseen')::int as n_unseen,
       (t.value #>> '{kappa,value}')::float as kappa,
       (t.value #>> '{kappa,low}')::float as kappa_low, (t.value #>> '{kappa,high}')::float as kappa_high,
       (t.value #>> '{auc,value}')::float as auc,
       (t.value ->> 'recall')::float as recall, (t.value ->> 'precision')::float as "precision",
       (t.value ->> 'threshold')::float as threshold,
       t.value ->> 'reason' = '' as usable, nullif(t.value ->> 'reason', '') as why_unusable, v.fingerprint
  from core.judge_verdicts v cross join lateral jsonb_each(v.reports) t;
comment on view library.judges is 'Every version of the trained judges, one row a task, with how it agrees with labels it never saw.';
comment on column library.judges.version is 'Of the registered model guidealign-judges.';
comment on column library.judges.created_at is 'When it was decided.';
comment on column library.judges.task is 'risky, harmful, declines, helps or keeps.';
comment on column library.judges.promoted is 'Whether the version became champion then.';
comment on column library.judges.champion_version is 'What it was compared with; 0: there was none.';
comment on column library.judges.reason is 'Of the decision, in a sentence.';
comment on column library.judges.n_trained is 'Labelled rows that the head was trained on.';
comment on column library.judges.n_unseen is 'Labelled rows that were held out and have a label of the task.';
comment on column library.judges.kappa is 'Cohen''s kappa on the rows held out; null: there were too few.';
comment on column library.judges.kappa_low is 'Lower end of its 95% interval, over draws of clusters.';
comment on column library.judges.kappa_high is 'Upper end of the same interval.';
comment on column library.judges.auc is 'Area under the ROC curve on the rows held out.';
comment on column library.judges.recall is 'Share of the rows labelled yes that it finds.';
comment on column library.judges."precision" is 'Share of what it finds that is labelled yes.';
comment on column library.judges.threshold is 'Probability from which it says yes, chosen on the training part.';
comment on column library.judges.usable is 'Kappa at least 0.6 with the lower end above 0.45: gates believe it.';
comment on column library.judges.why_unusable is 'The reason; null: it is usable.';
comment on column library.judges.fingerprint is 'Of everything that decides its scores.';
grant select on library.judges to analyst, guidealign_reviewer, guidealign_app;
