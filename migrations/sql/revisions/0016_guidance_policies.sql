-- A guidance policy is data: a release, a canary and a replay name the one they are under.

create table core.guidance_policies (
  version integer generated always as identity constraint pk_guidance_policies primary key,
  digest text not null constraint uq_guidance_policies_digest unique,
  policy jsonb not null,
  actor text not null,
  created_at timestamptz not null default now(),
  constraint ck_guidance_policies_digest check (digest ~ '^[0-9a-f]{64}$')
);
comment on table core.guidance_policies is 'How guidelines are chosen for an input and worded for a model: append-only.';
comment on column core.guidance_policies.digest is 'SHA-256 of the policy as JSON with sorted names';
comment on column core.guidance_policies.actor is 'who stored it first';
grant insert on core.guidance_policies to guidealign_app;

alter table core.releases add column policy_version integer
  constraint fk_releases_policy_version_guidance_policies references core.guidance_policies (version);
alter table core.canaries add column policy_version integer
  constraint fk_canaries_policy_version_guidance_policies references core.guidance_policies (version);
comment on column core.canaries.policy_version is 'null: from here on there is no candidate';
alter table core.replays add column policy_version integer
  constraint fk_replays_policy_version_guidance_policies references core.guidance_policies (version);
alter table core.gateway_requests add column cached_tokens bigint;
comment on column core.gateway_requests.cached_tokens is 'of the prompt, that the upstream had computed before; null: it did not say';
