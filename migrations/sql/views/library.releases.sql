create or replace view library.releases as
select id, created_at, library_version, retriever_version, labrador_version, policy_version, actor, reason,
       lead(created_at) over (order by id) as replaced_at
  from core.releases;
comment on view library.releases is 'What was served when: the row without replaced_at is live.';
comment on column library.releases.id is 'Counts up.';
comment on column library.releases.created_at is 'Served from then on.';
comment on column library.releases.library_version is 'See library.versions.';
comment on column library.releases.retriever_version is '0 is the untrained base.';
comment on column library.releases.labrador_version is '0 is the untrained base.';
comment on column library.releases.policy_version is 'How guidelines are chosen and worded: library.guidance_policies.version.';
comment on column library.releases.actor is 'The program, or the person who made it.';
comment on column library.releases.reason is 'In a sentence.';
comment on column library.releases.replaced_at is 'When the next release took over; null: live.';
grant select on library.releases to analyst, guidealign_reviewer, guidealign_app;
