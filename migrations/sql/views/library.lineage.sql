-- From a model back to the inputs, a row a step, so that an auditor reads downwards.
create or replace view library.lineage as
select l.model_name, l.version, s.place, s.step, s.id, s.n, s.detail, s.actor, s.happened_at
  from core.model_lineage l
  cross join lateral (
    select 1 as place, 'inputs' as step, i.source as id, count(*) as n,
           count(*) filter (where coalesce(i.known_unsafe, a.unsafe)) || ' unsafe' as detail,
           null::text as actor, max(i.received_at) as happened_at
      from core.inputs i
      left join lateral (select unsafe from core.assessments where input_id = i.id
                          order by id desc limit 1) a on true
     where case when l.dataset_id is null
                then i.id in (select p.input_id from core.pairs p
                                join core.guidelines g on g.id = p.guideline_id
                                left join core.guidelines k on k.id = g.merged_into
                               where g.served @> l.library_version or k.served @> l.library_version)
                else i.id in (select coalesce(r.input_id, q.input_id) from core.aligned_dataset_items d
                                left join core.aligned_responses r on r.id = d.response_id
                                left join core.plain_responses q on q.id = d.plain_id
                               where d.dataset_id = l.dataset_id) end
     group by i.source
    union all
    select 2, 'guidelines', coalesce(g.author_model, g.source, g.origin), count(*),
           'prompt ' || string_agg(distinct g.prompt_version, ', '), null, max(g.created_at)
      from core.guidelines g where g.served @> l.library_version
     group by coalesce(g.author_model, g.source, g.origin)
    union all
    select 3, 'library', v.version::text, v.n_active, v.note || ' (' || left(v.digest, 12) || ')',
           v.published_by, v.published_at
      from core.library_versions v where v.version = l.library_version
    union all
    select 4, 'retriever', l.retriever_version::text, null, 'found the guidelines of the answers', null, null
     where l.retriever_version is not null and l.dataset_id is not null
    union all
    select 5, 'data set', d.id::text, d.n,
           'answers of ' || d.model || ' (' || left(d.digest, 12) || ')', null, d.created_at
      from core.aligned_datasets d where d.id = l.dataset_id
    union all
    select 6, 'training', l.mlflow_run_id, null, 'from ' || l.base_model, null, l.created_at
    union all
    select 7, 'gate', d.id::text, null, d.verdict || ': ' || d.reason, d.evaluator, d.created_at
      from core.gate_decisions d
     where d.model_name = l.model_name and d.challenger_version = l.version
    union all
    select 8, 'switch', m.id::text, null,
           m.action || ' ' || m.from_version || ' to ' || m.to_version || ': ' || m.reason, m.actor, m.created_at
      from core.promotions m
     where m.model_name = l.model_name and l.version in (m.from_version, m.to_version)
  ) s;
comment on view library.lineage is 'Each registered model back to the inputs it came from, and forward to what was decided about it, a row a step.';
comment on column library.lineage.model_name is 'Registered in MLflow under it.';
comment on column library.lineage.version is 'Of the model.';
comment on column library.lineage.place is 'Of the step, from the inputs (1) to the switch (8).';
comment on column library.lineage.step is 'inputs, guidelines, library, retriever, data set, training, gate or switch';
comment on column library.lineage.id is 'What it is found by: a source, an author, a version, a number or an MLflow run.';
comment on column library.lineage.n is 'How many inputs, guidelines or answers.';
comment on column library.lineage.detail is 'What there is to say of it.';
comment on column library.lineage.actor is 'The program or person who did it.';
comment on column library.lineage.happened_at is 'When it was done; of inputs and guidelines the newest.';
grant select on library.lineage to analyst, guidealign_reviewer, guidealign_app;
