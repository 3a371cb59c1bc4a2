create or replace view library.evaluation_runs as
select r.id, r.created_at, r.model_name, r.version, r.release_id, r.benchmark, r.source, r.source_sha256,
       r.n_cases, a.n_answered, a.n_refused, r.asked
  from core.evaluation_runs r
  left join lateral (
    select count(x.answers) as n_answered, count(x.reason) as n_refused
      from core.evaluation_answers x where x.run_id = r.id
  ) a on true;
comment on view library.evaluation_runs is 'Models that were asked a benchmark''s cases, and how far they came.';
comment on column library.evaluation_runs.id is 'For guidealign evaluate show and compare.';
comment on column library.evaluation_runs.created_at is 'When it was first asked.';
comment on column library.evaluation_runs.model_name is 'A registered model, or the endpoint''s; with guidelines, the release is named too.';
comment on column library.evaluation_runs.version is 'Of a registered model; 0 is the untrained base, or none.';
comment on column library.evaluation_runs.release_id is 'Whose guidelines stood in front of the prompts; null: none did.';
comment on column library.evaluation_runs.benchmark is 'Its name.';
comment on column library.evaluation_runs.source is 'The copy that the cases were read from.';
comment on column library.evaluation_runs.source_sha256 is 'Of that copy.';
comment on column library.evaluation_runs.n_cases is 'Cases to be asked.';
comment on column library.evaluation_runs.n_answered is 'Cases with an answer; 0 where a likelihood was taken instead.';
comment on column library.evaluation_runs.n_refused is 'Cases that the server refused, such as for their length.';
comment on column library.evaluation_runs.asked is 'Fingerprint of how it was asked.';
grant select on library.evaluation_runs to analyst, guidealign_reviewer, guidealign_app;
