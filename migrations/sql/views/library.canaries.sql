create or replace view library.canaries as
select c.id, c.library_version, c.retriever_version, c.policy_version, c.release_id, c.actor, c.reason, c.created_at,
       p.id as promoted_as,
       case when c.library_version is null then 'cleared'
            when p.created_at <= coalesce(lead(c.created_at) over (order by c.id), 'infinity') then 'promoted'
            when c.id < max(c.id) over () then 'ended' else 'open' end as state
  from core.canaries c
  left join lateral (select r.id, r.created_at from core.releases r
    where r.id > coalesce(c.release_id, 0) and r.library_version = c.library_version
      and r.retriever_version = c.retriever_version and r.policy_version = c.policy_version order by r.id limit 1) p on true;
comment on view library.canaries is 'The candidate releases that the gateway has tried on a share of conversations.';
comment on column library.canaries.id is 'The newest row counts.';
comment on column library.canaries.library_version is 'Of the candidate; null: the row ends the one before.';
comment on column library.canaries.retriever_version is 'Of the candidate.';
comment on column library.canaries.policy_version is 'Of the candidate: library.guidance_policies.version.';
comment on column library.canaries.release_id is 'What was live when it was declared.';
comment on column library.canaries.actor is 'Who declared it.';
comment on column library.canaries.reason is 'Why.';
comment on column library.canaries.created_at is 'When.';
comment on column library.canaries.promoted_as is 'The release with the same library, retriever and guidance policy that came after it.';
comment on column library.canaries.state is 'open (in use), promoted, ended (another came, or it was cleared), cleared (the row that ends one)';
grant select on library.canaries to analyst, guidealign_reviewer, guidealign_app;
