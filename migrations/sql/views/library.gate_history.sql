create or replace view library.gate_history as
select d.id, d.created_at, d.model_name, d.challenger_version, d.champion_version, d.verdict, d.reason,
       e.value ->> 'name' as "check", e.value ->> 'outcome' as outcome,
       (e.value ->> 'n')::int as n,
       (e.value ->> 'champion_mean')::float as champion_mean,
       (e.value ->> 'challenger_mean')::float as challenger_mean,
       (e.value ->> 'difference')::float as difference,
       (e.value ->> 'ci_low')::float as ci_low, (e.value ->> 'ci_high')::float as ci_high,
       (e.value ->> 'power')::float as power, d.evaluator
  from core.gate_decisions d
  left join lateral jsonb_array_elements(d.evidence) e on true;
comment on view library.gate_history is 'Every gate decision, one row a check, with its interval and power.';
comment on column library.gate_history.id is 'Of the decision: the same on all its checks.';
comment on column library.gate_history.created_at is 'When it was decided.';
comment on column library.gate_history.model_name is 'guidealign-retriever or guidealign-labrador';
comment on column library.gate_history.challenger_version is 'The version that was to be promoted.';
comment on column library.gate_history.champion_version is '0 is the untrained base.';
comment on column library.gate_history.verdict is
  'promote, hold, inconclusive or reject: of all checks together; before revision 0008 a rejection stands as hold';
comment on column library.gate_history.reason is 'Of the verdict, in a sentence.';
comment on column library.gate_history."check" is 'The check''s name in the policy.';
comment on column library.gate_history.outcome is 'What this check says for itself.';
comment on column library.gate_history.n is 'Cases that both versions were scored on.';
comment on column library.gate_history.champion_mean is 'Mean score of the champion.';
comment on column library.gate_history.challenger_mean is 'Mean score of the challenger.';
comment on column library.gate_history.difference is 'Challenger minus champion on the same cases, in the policy''s unit.';
comment on column library.gate_history.ci_low is 'Lower end of the difference''s interval, at the policy''s level.';
comment on column library.gate_history.ci_high is 'Upper end of the difference''s interval, at the policy''s level.';
comment on column library.gate_history.power is 'Chance of seeing the smallest effect that matters, 0 to 1.';
comment on column library.gate_history.evaluator is 'Fingerprint of judge, prompts and cases.';
grant select on library.gate_history to analyst, guidealign_reviewer, guidealign_app;
