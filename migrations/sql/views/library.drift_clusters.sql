create or replace view library.drift_clusters as
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
grant select on library.drift_clusters to analyst, guidealign_reviewer, guidealign_app;
