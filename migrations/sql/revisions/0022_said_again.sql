-- What was said before may be said again: a label that is turned back, a version that comes back.

alter table core.labelled_answers drop column digest;
comment on table core.labelled_answers is 'Prompts and answers whose labels are known: append-only; of one labelled again the later labels count, and anybody''s before the package''s.';
alter table core.judge_verdicts drop constraint uq_judge_verdicts_version_champion_version;
