create or replace view library.replays as
select y.id, y.created_at, y.actor, y.release_id, y.library_version, y.retriever_version, y.policy_version, y.source,
       y.n_requests, y.n_changed, y.n_changed::float8 / nullif(y.n_requests, 0) as share_changed,
       y.n_abstained_live, y.n_abstained_candidate, y.tokens_live, y.tokens_candidate, y.report, p.id as promoted_as
  from core.replays y
  left join lateral (select min(r.id) as id from core.releases r
    where r.id > y.release_id and r.created_at >= y.created_at and r.library_version = y.library_version
      and r.retriever_version = y.retriever_version and r.policy_version = y.policy_version) p on true;
comment on view library.replays is 'Candidate releases that were run over recorded requests: whose guidelines would change, at what cost, and what became of the candidate.';
comment on column library.replays.id is 'Number of the replay.';
comment on column library.replays.created_at is 'When it ended.';
comment on column library.replays.actor is 'Who ran it.';
comment on column library.replays.release_id is 'What the candidate was compared with; see library.live_at().';
comment on column library.replays.library_version is 'Of the candidate.';
comment on column library.replays.retriever_version is 'Of the candidate.';
comment on column library.replays.policy_version is 'Of the candidate: library.guidance_policies.version.';
comment on column library.replays.source is 'inbox, or the file of the requests.';
comment on column library.replays.n_requests is 'Requests that were run.';
comment on column library.replays.n_changed is 'Of them would get other guidelines.';
comment on column library.replays.share_changed is 'n_changed of n_requests.';
comment on column library.replays.n_abstained_live is 'Requests without guidelines under what was live.';
comment on column library.replays.n_abstained_candidate is 'Requests without guidelines under the candidate.';
comment on column library.replays.tokens_live is 'Of all guidelines under what was live, by estimate.';
comment on column library.replays.tokens_candidate is 'Of all guidelines under the candidate, by estimate.';
comment on column library.replays.report is 'All figures: by category, by key, added and removed guidelines.';
comment on column library.replays.promoted_as is 'The release with the same library, retriever and guidance policy that came after it; null: none did.';
grant select on library.replays to analyst, guidealign_reviewer, guidealign_app;
