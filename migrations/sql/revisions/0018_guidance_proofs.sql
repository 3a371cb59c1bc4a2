-- Whether guidance under a policy helps a model: measured by a gate, or vouched for by a person.

create table core.guidance_proofs (
  id bigint generated always as identity constraint pk_guidance_proofs primary key,
  policy_version integer not null
    constraint fk_guidance_proofs_policy_version_guidance_policies references core.guidance_policies (version),
  model text not null,
  verdict text not null,
  decision_id bigint constraint fk_guidance_proofs_decision_id_gate_decisions references core.gate_decisions (id),
  library_version integer
    constraint fk_guidance_proofs_library_version_library_versions references core.library_versions (version),
  retriever_version integer,
  figures jsonb not null default '{}',
  judge text,
  actor text not null,
  reason text not null,
  created_at timestamptz not null default now(),
  constraint ck_guidance_proofs_verdict check (verdict in ('proven', 'not_proven', 'override', 'revoked')),
  constraint ck_guidance_proofs_measured check (
    (verdict in ('proven', 'not_proven')) = (decision_id is not null)
    and (decision_id is null) = (library_version is null) and (decision_id is null) = (retriever_version is null)),
  constraint ck_guidance_proofs_named check (model ~ '\S' and actor ~ '\S' and reason ~ '\S')
);
comment on table core.guidance_proofs is 'For which models guidance under a policy is served: append-only; the newest row of policy and model counts.';
comment on column core.guidance_proofs.model is 'as requests name it; Labrador with its version: guidealign-labrador@2';
comment on column core.guidance_proofs.verdict is 'proven and not_proven: of a gate; override: served by a person''s word; revoked: no longer served';
comment on column core.guidance_proofs.decision_id is 'of the gate; null: a person''s word';
comment on column core.guidance_proofs.library_version is 'whose guidelines were measured; null: nothing was';
comment on column core.guidance_proofs.retriever_version is 'that found them; null: nothing was measured';
comment on column core.guidance_proofs.figures is 'what was measured, by name';
comment on column core.guidance_proofs.judge is 'that judged the answers, as name/version';
create index ix_guidance_proofs_newest on core.guidance_proofs (policy_version, model, id desc);
grant insert on core.guidance_proofs to guidealign_app;
