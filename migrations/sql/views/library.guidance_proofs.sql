create or replace view library.guidance_proofs as
select id, created_at, policy_version, model, verdict, verdict in ('proven', 'override') and newest as serves, newest,
       decision_id, library_version, retriever_version, figures, judge, actor, reason
  from (select p.*, p.id = max(p.id) over (partition by p.policy_version, p.model) as newest
          from core.guidance_proofs p) p;
comment on view library.guidance_proofs is 'For which models guidance under a policy is served, and why: the newest row of policy and model counts.';
comment on column library.guidance_proofs.id is 'Counts up.';
comment on column library.guidance_proofs.created_at is 'Counts from then on.';
comment on column library.guidance_proofs.policy_version is 'See library.guidance_policies.';
comment on column library.guidance_proofs.model is 'As requests name it; Labrador with its version: guidealign-labrador@2.';
comment on column library.guidance_proofs.verdict is 'proven and not_proven: of a gate; override: served by a person''s word; revoked: no longer served.';
comment on column library.guidance_proofs.serves is 'Whether the gateway puts guidelines in front of this model while the policy is live.';
comment on column library.guidance_proofs.newest is 'Whether this row counts.';
comment on column library.guidance_proofs.decision_id is 'Of the gate: library.gate_history; null: a person''s word.';
comment on column library.guidance_proofs.library_version is 'Whose guidelines were measured; null: nothing was.';
comment on column library.guidance_proofs.retriever_version is 'That found them; null: nothing was measured.';
comment on column library.guidance_proofs.figures is 'What was measured, by name.';
comment on column library.guidance_proofs.judge is 'That judged the answers; null: nothing was measured.';
comment on column library.guidance_proofs.actor is 'The gate, or the person.';
comment on column library.guidance_proofs.reason is 'In a sentence.';
grant select on library.guidance_proofs to analyst, guidealign_reviewer, guidealign_app;
