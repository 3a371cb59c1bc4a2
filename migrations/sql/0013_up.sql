-- Live inputs are measured against the held-out ones, and topics without a good guideline are authored first.

alter table core.leases add column priority smallint not null default 0;
comment on column core.leases.priority is 'higher is claimed first: how many inputs are on a topic without a good guideline';
drop index core.ix_leases_open;
create index ix_leases_open on core.leases (task, priority desc, item_id) where done_at is null and failed_at is null;

create table core.drift_reports (
  id bigint generated always as identity,
  since date not null,
  until date not null,
  retriever_version integer not null,
  library_version integer not null constraint fk_drift_reports_library_version_library_versions
    references core.library_versions (version),
  n_inputs bigint not null,
  n_measured bigint not null,
  low_score double precision,
  median_score double precision,
  high_score double precision,
  good_score double precision,
  share_poor double precision,
  share_abstained double precision,
  distance double precision,
  p_value double precision,
  measured_at timestamptz not null default now(),
  constraint pk_drift_reports primary key (id),
  constraint uq_drift_reports_until unique (until, retriever_version, library_version),
  constraint ck_drift_reports_dates check (since < until)
);
comment on table core.drift_reports is 'What the retriever finds for the inputs of a week, against the held-out ones.';
comment on column core.drift_reports.until is 'exclusive';
comment on column core.drift_reports.n_measured is 'a sample of the inputs, or all';
comment on column core.drift_reports.low_score is 'tenth percentile of the best guideline''s cosine';
comment on column core.drift_reports.good_score is 'what the best guideline reaches for nine of ten held-out inputs; null: too few of them';
comment on column core.drift_reports.share_poor is 'inputs whose best guideline is below that';
comment on column core.drift_reports.share_abstained is 'inputs below the threshold for unsafe-topic guidelines; null: not calibrated';
comment on column core.drift_reports.distance is 'Kolmogorov-Smirnov, of the best scores of these and of the held-out inputs';

create table core.drift_clusters (
  report_id bigint not null constraint fk_drift_clusters_report_id_drift_reports
    references core.drift_reports (id) on delete cascade,
  example_id bigint not null constraint fk_drift_clusters_example_id_inputs references core.inputs (id),
  input_ids bigint[] not null,
  guideline_id bigint not null constraint fk_drift_clusters_guideline_id_guidelines
    references core.guidelines (id),
  score double precision not null,
  is_new boolean not null,
  constraint pk_drift_clusters primary key (report_id, example_id)
);
comment on table core.drift_clusters is 'Inputs of a week on one topic for which no guideline is near.';
comment on column core.drift_clusters.example_id is 'the input that is nearest to all others';
comment on column core.drift_clusters.guideline_id is 'the nearest to it there is';
comment on column core.drift_clusters.score is 'its cosine';
comment on column core.drift_clusters.is_new is 'no earlier report has one like it';

create view library.drift as
select r.id, r.since, r.until, r.retriever_version, r.library_version, r.n_inputs, r.n_measured,
       r.low_score, r.median_score, r.high_score, r.good_score, r.share_poor, r.share_abstained,
       r.distance, r.p_value, coalesce(c.n, 0) as n_clusters, coalesce(c.n_new, 0) as n_new_clusters,
       r.measured_at
  from core.drift_reports r
  left join lateral (select count(*) as n, count(*) filter (where is_new) as n_new
                       from core.drift_clusters c where c.report_id = r.id) c on true;
comment on view library.drift is 'Week by week: what the live retriever finds for new inputs, against the held-out ones.';
comment on column library.drift.id is 'See library.drift_clusters.';
comment on column library.drift.since is 'First day.';
comment on column library.drift.until is 'The day behind the last.';
comment on column library.drift.retriever_version is '0 is the untrained base.';
comment on column library.drift.library_version is 'See library.versions.';
comment on column library.drift.n_inputs is 'New inputs of these days, without starter and grown ones.';
comment on column library.drift.n_measured is 'Of them: a sample where they are many.';
comment on column library.drift.low_score is 'Tenth percentile of the best guideline''s cosine.';
comment on column library.drift.median_score is 'Median of it.';
comment on column library.drift.high_score is 'Ninetieth percentile of it.';
comment on column library.drift.good_score is 'What the best guideline reaches for nine of ten held-out inputs; null: too few of them.';
comment on column library.drift.share_poor is 'Share of inputs whose best guideline is below good_score: of held-out ones it is 0.1.';
comment on column library.drift.share_abstained is 'Share of inputs below the threshold for unsafe-topic guidelines; null: not calibrated.';
comment on column library.drift.distance is 'Kolmogorov-Smirnov distance of the best scores from those of held-out inputs: 0 is alike.';
comment on column library.drift.p_value is 'Of that distance, were they alike.';
comment on column library.drift.n_clusters is 'Topics without a good guideline.';
comment on column library.drift.n_new_clusters is 'Of them those that no earlier report has.';
comment on column library.drift.measured_at is 'When.';

create view library.drift_clusters as
select c.report_id, r.until, cardinality(c.input_ids) as n_inputs, c.is_new, c.example_id,
       i.redacted_text as example, c.guideline_id, g.title as nearest_guideline, c.score, c.input_ids
  from core.drift_clusters c
  join core.drift_reports r on r.id = c.report_id
  join core.inputs i on i.id = c.example_id
  join core.guidelines g on g.id = c.guideline_id;
comment on view library.drift_clusters is 'Topics of new inputs without a good guideline; authoring takes them first.';
comment on column library.drift_clusters.report_id is 'See library.drift.';
comment on column library.drift_clusters.until is 'The day behind the last of its week.';
comment on column library.drift_clusters.n_inputs is 'How many inputs are on it.';
comment on column library.drift_clusters.is_new is 'No earlier report has one like it.';
comment on column library.drift_clusters.example_id is 'The input in the middle: library.inputs.id.';
comment on column library.drift_clusters.example is 'Its text with personal data masked.';
comment on column library.drift_clusters.guideline_id is 'The nearest there is: library.guidelines.id.';
comment on column library.drift_clusters.nearest_guideline is 'Its title.';
comment on column library.drift_clusters.score is 'Its cosine with the example.';
comment on column library.drift_clusters.input_ids is 'All of them.';

grant select on library.drift, library.drift_clusters to analyst, guidealign_reviewer, guidealign_app;
grant select, insert, delete on core.drift_reports, core.drift_clusters to guidealign_app;
