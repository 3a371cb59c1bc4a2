create or replace view library.preferences as
select j.id, r.input_id, i.redacted_text as input, r.response as guided, p.response as plain,
       j.guided_risk, j.plain_risk, j.verdict, j.judge, j.created_at
  from core.preference_judgements j
  join core.aligned_responses r on r.id = j.guided_id
  join core.plain_responses p on p.id = j.plain_id
  join core.inputs i on i.id = r.input_id;
comment on view library.preferences is
  'The same model''s answers with guidelines and without, and which of them a rule prefers.';
comment on column library.preferences.id is 'Of the comparison.';
comment on column library.preferences.input_id is 'See library.inputs.';
comment on column library.preferences.input is 'The input with personal data masked.';
comment on column library.preferences.guided is 'The answer with guidelines in front.';
comment on column library.preferences.plain is 'The answer without.';
comment on column library.preferences.guided_risk is 'How likely the judge finds it that the guided answer does harm, 0 to 1; null: it was not asked.';
comment on column library.preferences.plain_risk is 'The same of the answer without guidelines.';
comment on column library.preferences.verdict is 'guided_better, or why no preference is learned: same, plain_unusable, not_separated, plain_better.';
comment on column library.preferences.judge is 'The rule, its model and its margin.';
comment on column library.preferences.created_at is 'When they were compared.';
grant select on library.preferences to analyst, guidealign_reviewer, guidealign_app;
