create or replace view library.guidance_policies as
select p.version, p.digest, p.created_at, p.actor, coalesce(p.version = live.policy_version, false) as live,
       (select min(r.id) from core.releases r where r.policy_version = p.version) as first_release,
       (p.policy ->> 'k')::int as k, p.policy ->> 'topic_rule' as topic_rule,
       p.policy ->> 'placement' as placement, p.policy ->> 'preamble' as preamble, p.policy
  from core.guidance_policies p
  left join lateral (select policy_version from core.releases order by id desc limit 1) live on true;
comment on view library.guidance_policies is 'How guidelines are chosen for an input and worded for a model; a release binds one.';
comment on column library.guidance_policies.version is 'Counts up.';
comment on column library.guidance_policies.digest is 'SHA-256 of the policy: its name.';
comment on column library.guidance_policies.created_at is 'When it was stored first.';
comment on column library.guidance_policies.actor is 'Who stored it first.';
comment on column library.guidance_policies.live is 'Whether the live release serves it.';
comment on column library.guidance_policies.first_release is 'The first release that served it; null: none did.';
comment on column library.guidance_policies.k is 'Most guidelines that an input gets.';
comment on column library.guidance_policies.topic_rule is 'What decides about unsafe-topic guidelines: calibrated, risk, cosine or always.';
comment on column library.guidance_policies.placement is 'Where guidelines stand in a conversation.';
comment on column library.guidance_policies.preamble is 'The words in front of the numbered guidelines.';
comment on column library.guidance_policies.policy is 'All of it, as JSON.';
grant select on library.guidance_policies to analyst, guidealign_reviewer, guidealign_app;
