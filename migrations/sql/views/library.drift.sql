create or replace view library.drift as
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
comment on column library.drift.share_abstained is 'Share of inputs that get no guideline; null: nothing was measured.';
comment on column library.drift.distance is 'Kolmogorov-Smirnov distance of the best scores from those of held-out inputs: 0 is alike.';
comment on column library.drift.p_value is 'Of that distance, were they alike.';
comment on column library.drift.n_clusters is 'Topics without a good guideline.';
comment on column library.drift.n_new_clusters is 'Of them those that no earlier report has.';
comment on column library.drift.measured_at is 'When.';
grant select on library.drift to analyst, guidealign_reviewer, guidealign_app;
