-- The views that people read. Every view and every column carries a comment, so that \d+ in
-- psql is the manual. A view hides columns, never rows, so none needs a security barrier: it
-- would only keep the planner from using an index where one is joined to another.

create schema library;
comment on schema library is 'What analysts read: guidelines, inputs (masked), coverage, lineage, gates.';

create view library.guidelines as
select g.id, g.title, g.text, g.category, g.language, g.state, g.state_reason, g.origin, g.source,
       g.author_model, g.prompt_version, g.approved_by, lower(g.served) as added_in,
       case when not upper_inf(g.served) then upper(g.served) end as retired_in, g.served,
       g.merged_into, g.merge_score, g.merge_wording,
       (select count(*) from core.pairs p where p.guideline_id = g.id) as n_inputs,
       (select count(*) from core.retrievals r where r.guideline_id = g.id and r.kept) as n_retrieved,
       g.created_at, g.state_changed_at
  from core.guidelines g;
comment on view library.guidelines is 'Every guideline, whatever its state; state = ''active'' is what is served.';
comment on column library.guidelines.id is 'The number by which every view and function knows it.';
comment on column library.guidelines.title is 'What it demands, in a few words.';
comment on column library.guidelines.text is 'What is put in front of the model; never changes.';
comment on column library.guidelines.category is 'The risk or quality topic it is about; library.coverage lists them.';
comment on column library.guidelines.language is 'ISO 639-1 code.';
comment on column library.guidelines.state is 'candidate, active, retired, merged (see merged_into) or quarantined (see state_reason)';
comment on column library.guidelines.state_reason is 'Why it waits, was merged, retired or stopped by the filter.';
comment on column library.guidelines.origin is 'starter (ships with guidealign), model, human or import';
comment on column library.guidelines.source is 'The file or system it was imported from.';
comment on column library.guidelines.author_model is 'The language model that wrote it.';
comment on column library.guidelines.prompt_version is 'The prompt it was written with.';
comment on column library.guidelines.approved_by is 'The person who let it in against the review policy.';
comment on column library.guidelines.added_in is 'Library version that first served it.';
comment on column library.guidelines.retired_in is 'Library version that first left it out.';
comment on column library.guidelines.served is 'All library versions that hold it: more than one span when a merge was undone.';
comment on column library.guidelines.merged_into is 'The guideline that stands for it.';
comment on column library.guidelines.merge_score is 'Cosine with the guideline that says the same.';
comment on column library.guidelines.merge_wording is 'Edit similarity with the guideline that says the same, 0 to 1.';
comment on column library.guidelines.n_inputs is 'Inputs that it was written for.';
comment on column library.guidelines.n_retrieved is 'How often it was put in front of a model; for all at once read library.retrieval_counts.';
comment on column library.guidelines.created_at is 'When it was written or imported.';
comment on column library.guidelines.state_changed_at is 'When it came into its state.';

create view library.inputs as
select i.id, i.redacted_text as text, i.source, i.source_id, i.occurred_at, i.received_at,
       i.near_duplicate_of, coalesce(i.known_category, a.categories[1]) as category,
       coalesce(i.known_unsafe, a.unsafe) as unsafe, a.categories as detected_categories,
       a.severity, a.model as assessed_by,
       (select count(*) from core.pairs p where p.input_id = i.id) as n_guidelines
  from core.inputs i
  -- The newest assessment, said so that it can be hashed for all inputs and looked up for one.
  left join core.assessments a on a.input_id = i.id
        and not exists (select from core.assessments later
                         where later.input_id = a.input_id and later.id > a.id);
comment on view library.inputs is 'User inputs with personal data masked, and what the safety model found in them.';
comment on column library.inputs.id is 'The number by which every view and function knows it.';
comment on column library.inputs.text is 'The text with e-mail addresses, links, numbers of accounts and phones masked.';
comment on column library.inputs.source is 'Where it came from: a file, a connection, or starter.';
comment on column library.inputs.source_id is 'Its id in that source.';
comment on column library.inputs.occurred_at is 'When the source says it was said.';
comment on column library.inputs.received_at is 'When it was read.';
comment on column library.inputs.near_duplicate_of is 'The earlier input that this one is a near copy of.';
comment on column library.inputs.category is 'Given by the source, else the first one detected.';
comment on column library.inputs.unsafe is 'Unsafe itself, or may trigger an unsafe answer; null: not assessed yet.';
comment on column library.inputs.detected_categories is 'All that the safety model found.';
comment on column library.inputs.severity is '0 none to 3 grave, as detected.';
comment on column library.inputs.assessed_by is 'The safety model that looked last.';
comment on column library.inputs.n_guidelines is 'Guidelines written for it, whatever became of them.';

create view library.pairs as
select p.input_id, i.redacted_text as input, p.guideline_id, g.title, g.text, g.category, g.state,
       p.origin, p.created_at
  from core.pairs p
  join core.inputs i on i.id = p.input_id
  join core.guidelines g on g.id = p.guideline_id;
comment on view library.pairs is 'Which guideline was written for which input: the provenance.';
comment on column library.pairs.input_id is 'See library.inputs.';
comment on column library.pairs.input is 'The input with personal data masked.';
comment on column library.pairs.guideline_id is 'See library.guidelines.';
comment on column library.pairs.title is 'Of the guideline.';
comment on column library.pairs.text is 'Of the guideline.';
comment on column library.pairs.category is 'Of the guideline.';
comment on column library.pairs.state is 'Of the guideline, as it is now.';
comment on column library.pairs.origin is 'Who brought the two together: starter, model or human.';
comment on column library.pairs.created_at is 'When they were brought together.';

create view library.coverage as
-- Each table is read once and counted, whatever the number of categories.
with covered as (
  select distinct p.input_id from core.pairs p join core.guidelines g on g.id = p.guideline_id
   where g.state in ('active', 'merged')
), inputs as (
  select i.category, count(*) as n, count(*) filter (where i.unsafe) as n_unsafe,
         count(*) filter (where c.input_id is null) as n_without
    from library.inputs i left join covered c on c.input_id = i.id
   group by i.category
), guidelines as (
  select g.category, count(*) filter (where g.state = 'active') as n_active,
         count(*) filter (where g.state = 'candidate') as n_candidates,
         count(*) filter (where g.state = 'quarantined') as n_quarantined
    from core.guidelines g group by g.category
)
select c.name as category, c.kind, c.description,
       coalesce(i.n, 0) as n_inputs, coalesce(i.n_unsafe, 0) as n_unsafe,
       coalesce(g.n_active, 0) as n_active, coalesce(g.n_candidates, 0) as n_candidates,
       coalesce(g.n_quarantined, 0) as n_quarantined,
       coalesce(i.n_without, 0) as n_inputs_without_guideline
  from core.risk_categories c
  left join inputs i on i.category = c.name
  left join guidelines g on g.category = c.name
 order by c.kind, c.name;
comment on view library.coverage is 'Per risk category and quality topic: inputs, guidelines by state, and inputs left without one.';
comment on column library.coverage.category is 'The risk category or quality topic.';
comment on column library.coverage.kind is 'scenario, attack or quality';
comment on column library.coverage.description is 'What the category is about.';
comment on column library.coverage.n_inputs is 'Inputs of the category, near copies too.';
comment on column library.coverage.n_unsafe is 'Those of them that are unsafe or may trigger an unsafe answer.';
comment on column library.coverage.n_active is 'Guidelines that are served.';
comment on column library.coverage.n_candidates is 'Guidelines that wait for publication or for a person.';
comment on column library.coverage.n_quarantined is 'Guidelines that the quality filter stopped.';
comment on column library.coverage.n_inputs_without_guideline is
  'Inputs for which no guideline was written that is active or stands behind another one.';

create view library.trend as
select date_trunc('week', coalesce(i.occurred_at, i.received_at)) as week, i.category,
       count(*) as n_inputs, count(*) filter (where i.unsafe) as n_unsafe,
       count(*) filter (where i.unsafe)::float8 / nullif(count(i.unsafe), 0) as unsafe_share,
       count(*) filter (where i.severity = 3) as n_grave
  from library.inputs i
 where i.source <> 'starter'
 group by 1, 2;
comment on view library.trend is 'Risk by week: inputs of users, without those that ship with guidealign.';
comment on column library.trend.week is 'Its Monday; by when an input was said, else by when it was read.';
comment on column library.trend.category is 'The risk category; null: not assessed yet.';
comment on column library.trend.n_inputs is 'Inputs, near copies too.';
comment on column library.trend.n_unsafe is 'Those of them that are unsafe or may trigger an unsafe answer.';
comment on column library.trend.unsafe_share is 'Of the inputs that were assessed, 0 to 1.';
comment on column library.trend.n_grave is 'Inputs of severity 3.';

create view library.versions as
select version, n_active, n_added, n_retired, note, published_by, published_at, digest
  from core.library_versions;
comment on view library.versions is 'Every publication of the library, for ever.';
comment on column library.versions.version is 'Counts up without a gap.';
comment on column library.versions.n_active is 'Guidelines that it serves.';
comment on column library.versions.n_added is 'Guidelines that the version before did not serve.';
comment on column library.versions.n_retired is 'Guidelines that the version before served and this one does not.';
comment on column library.versions.note is 'What the publication was for.';
comment on column library.versions.published_by is 'The program, or the person whose decision made it.';
comment on column library.versions.published_at is 'Served from then until the next version.';
comment on column library.versions.digest is 'SHA-256 over the active guidelines'' texts; library.digest(version) computes it anew.';

create view library.model_lineage as
select l.model_name, l.version, l.base_model, l.library_version, l.dataset_id, l.retriever_version,
       l.data_digest, l.library_digest, l.settings, l.metrics, l.mlflow_run_id, l.created_at
  from core.model_lineage l;
comment on view library.model_lineage is 'What each registered model version was made from.';
comment on column library.model_lineage.model_name is 'guidealign-retriever or guidealign-labrador';
comment on column library.model_lineage.version is 'Its version in the MLflow registry.';
comment on column library.model_lineage.base_model is 'What was fine-tuned.';
comment on column library.model_lineage.library_version is 'The library it learned from.';
comment on column library.model_lineage.dataset_id is 'The guided answers it learned from; null for a retriever.';
comment on column library.model_lineage.retriever_version is 'The retriever that chose the guidelines; null for a retriever.';
comment on column library.model_lineage.data_digest is 'SHA-256 of the pairs or the guided answers.';
comment on column library.model_lineage.library_digest is 'That library version''s digest at the time.';
comment on column library.model_lineage.settings is 'Of the training.';
comment on column library.model_lineage.metrics is 'Of the training; what a gate found is in library.gate_history.';
comment on column library.model_lineage.mlflow_run_id is 'The training run in MLflow.';
comment on column library.model_lineage.created_at is 'When it was registered.';

create view library.gate_history as
select d.id, d.created_at, d.model_name, d.challenger_version, d.champion_version, d.verdict, d.reason,
       e.value ->> 'name' as "check", e.value ->> 'outcome' as outcome,
       (e.value ->> 'n')::int as n,
       (e.value ->> 'champion_mean')::float as champion_mean,
       (e.value ->> 'challenger_mean')::float as challenger_mean,
       (e.value ->> 'difference')::float as difference,
       (e.value ->> 'ci_low')::float as ci_low, (e.value ->> 'ci_high')::float as ci_high,
       (e.value ->> 'power')::float as power, d.evaluator
  from core.gate_decisions d
  left join lateral jsonb_array_elements(d.evidence) e on true;
comment on view library.gate_history is 'Every gate decision, one row a check, with its interval and power.';
comment on column library.gate_history.id is 'Of the decision: the same on all its checks.';
comment on column library.gate_history.created_at is 'When it was decided.';
comment on column library.gate_history.model_name is 'guidealign-retriever or guidealign-labrador';
comment on column library.gate_history.challenger_version is 'The version that was to be promoted.';
comment on column library.gate_history.champion_version is '0 is the untrained base.';
comment on column library.gate_history.verdict is 'promote, hold or inconclusive: of all checks together';
comment on column library.gate_history.reason is 'Of the verdict, in a sentence.';
comment on column library.gate_history."check" is 'The check''s name in the policy.';
comment on column library.gate_history.outcome is 'What this check says for itself.';
comment on column library.gate_history.n is 'Cases that both versions were scored on.';
comment on column library.gate_history.champion_mean is 'Mean score of the champion.';
comment on column library.gate_history.challenger_mean is 'Mean score of the challenger.';
comment on column library.gate_history.difference is 'Challenger minus champion on the same cases, in the policy''s unit.';
comment on column library.gate_history.ci_low is 'Lower end of the difference''s interval, at the policy''s level.';
comment on column library.gate_history.ci_high is 'Upper end of the difference''s interval, at the policy''s level.';
comment on column library.gate_history.power is 'Chance of seeing the smallest effect that matters, 0 to 1.';
comment on column library.gate_history.evaluator is 'Fingerprint of judge, prompts and cases.';

create view library.promotions as
select id, created_at, model_name, action, from_version, to_version, actor, reason, gate_decision_id, release_id
  from core.promotions;
comment on view library.promotions is 'Every move of a champion, and every decision not to move it.';
comment on column library.promotions.id is 'Counts up.';
comment on column library.promotions.created_at is 'When it was decided.';
comment on column library.promotions.model_name is 'guidealign-retriever or guidealign-labrador';
comment on column library.promotions.action is 'promote, hold, rollback or refuse';
comment on column library.promotions.from_version is 'The champion before; 0 is the untrained base.';
comment on column library.promotions.to_version is 'The champion after.';
comment on column library.promotions.actor is 'The program, or the person who moved it.';
comment on column library.promotions.reason is 'In a sentence.';
comment on column library.promotions.gate_decision_id is 'The decision behind it: library.gate_history.id.';
comment on column library.promotions.release_id is 'The release that it made: library.releases.id.';

create view library.releases as
select id, created_at, library_version, retriever_version, labrador_version, prompt_version, actor, reason,
       lead(created_at) over (order by id) as replaced_at
  from core.releases;
comment on view library.releases is 'What was served when: the row without replaced_at is live.';
comment on column library.releases.id is 'Counts up.';
comment on column library.releases.created_at is 'Served from then on.';
comment on column library.releases.library_version is 'See library.versions.';
comment on column library.releases.retriever_version is '0 is the untrained base.';
comment on column library.releases.labrador_version is '0 is the untrained base.';
comment on column library.releases.prompt_version is 'How guidelines are put in front of the model.';
comment on column library.releases.actor is 'The program, or the person who made it.';
comment on column library.releases.reason is 'In a sentence.';
comment on column library.releases.replaced_at is 'When the next release took over; null: live.';

create view library.rejects as
select id, created_at, stage, reason, detail, source, file, line, input_id from core.rejects;
comment on view library.rejects is 'What did not go on, with place and reason; the rejected text itself stays private.';
comment on column library.rejects.id is 'Counts up.';
comment on column library.rejects.created_at is 'When it was put aside.';
comment on column library.rejects.stage is 'ingest, detect, guidelines, filter, align ...';
comment on column library.rejects.reason is 'A stable code, such as broken_json.';
comment on column library.rejects.detail is 'One sentence for a person, without user text.';
comment on column library.rejects.source is 'Of the reading, for ingest.';
comment on column library.rejects.file is 'That it stood in, for ingest.';
comment on column library.rejects.line is '1-based line or row of the file.';
comment on column library.rejects.input_id is 'The input, once it was one.';

create view library.model_calls as
select date_trunc('day', created_at) as day, stage, model, prompt_version, status, count(*) as n_calls,
       sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens,
       percentile_cont(0.5) within group (order by latency_ms) as median_latency_ms
  from core.model_calls
 group by 1, 2, 3, 4, 5;
comment on view library.model_calls is 'Calls of language models by day, stage and model: number, tokens, latency.';
comment on column library.model_calls.day is 'Its midnight.';
comment on column library.model_calls.stage is 'detect, guidelines, align ...';
comment on column library.model_calls.model is 'As the endpoint was asked for it.';
comment on column library.model_calls.prompt_version is 'The prompt that was used.';
comment on column library.model_calls.status is 'ok, invalid (the answer did not fit) or error';
comment on column library.model_calls.n_calls is 'Every try counts.';
comment on column library.model_calls.prompt_tokens is 'Read by the model, summed.';
comment on column library.model_calls.completion_tokens is 'Written by the model, summed.';
comment on column library.model_calls.median_latency_ms is 'Half of the calls took longer.';

create view library.aligned_responses as
select r.id, r.input_id, i.redacted_text as input, r.response, r.guideline_ids, r.model, r.prompt_version,
       r.library_version, r.retriever_version, r.filtered_reason, r.created_at
  from core.aligned_responses r join core.inputs i on i.id = r.input_id;
comment on view library.aligned_responses is 'Guided answers; library.response_guidelines has what steered them.';
comment on column library.aligned_responses.id is 'The number by which library.response_guidelines knows it.';
comment on column library.aligned_responses.input_id is 'See library.inputs.';
comment on column library.aligned_responses.input is 'The input with personal data masked.';
comment on column library.aligned_responses.response is 'What the guided model said.';
comment on column library.aligned_responses.guideline_ids is 'The guidelines it was given, nearest first.';
comment on column library.aligned_responses.model is 'The model that was guided.';
comment on column library.aligned_responses.prompt_version is 'How the guidelines were put in front of it.';
comment on column library.aligned_responses.library_version is 'The library that was searched.';
comment on column library.aligned_responses.retriever_version is 'The retriever that searched it.';
comment on column library.aligned_responses.filtered_reason is 'Why it is in no data set; null: it may be.';
comment on column library.aligned_responses.created_at is 'When it was given.';

create view library.response_guidelines as
select r.id as response_id, r.input_id, s.place::int as rank, s.guideline_id, g.title, g.text, g.category,
       f.score, r.library_version, r.retriever_version, g.state, r.created_at
  from core.aligned_responses r
  cross join lateral unnest(r.guideline_ids) with ordinality s (guideline_id, place)
  join core.guidelines g on g.id = s.guideline_id
  left join lateral (
    select t.score from core.retrievals t
     where t.input_id = r.input_id and t.guideline_id = s.guideline_id and t.kept
       and t.library_version = r.library_version and t.retriever_version = r.retriever_version
     order by t.id desc limit 1) f on true;
comment on view library.response_guidelines is 'Which guidelines steered a guided answer, in the order in which the model read them.';
comment on column library.response_guidelines.response_id is 'See library.aligned_responses.';
comment on column library.response_guidelines.input_id is 'See library.inputs.';
comment on column library.response_guidelines.rank is '1 is the nearest of those that were put in front of the model.';
comment on column library.response_guidelines.guideline_id is 'See library.guidelines.';
comment on column library.response_guidelines.title is 'As the model read it: words never change.';
comment on column library.response_guidelines.text is 'As the model read it: words never change.';
comment on column library.response_guidelines.category is 'Of the guideline.';
comment on column library.response_guidelines.score is 'Cosine with the input when it was retrieved.';
comment on column library.response_guidelines.library_version is 'The library that was searched.';
comment on column library.response_guidelines.retriever_version is 'The retriever that searched it.';
comment on column library.response_guidelines.state is 'Of the guideline, as it is now: it may have been retired since.';
comment on column library.response_guidelines.created_at is 'When the answer was given.';

create view library.retrievals as
select request_id, input_id, guideline_id, rank, score, kept, library_version, retriever_version, created_at
  from core.retrievals;
comment on view library.retrievals is 'Which guidelines were found for which request, kept or left out.';
comment on column library.retrievals.request_id is 'The same for all that one search found.';
comment on column library.retrievals.input_id is 'See library.inputs; null for a request that was not kept.';
comment on column library.retrievals.guideline_id is 'See library.guidelines.';
comment on column library.retrievals.rank is '1 is nearest, among all that were found.';
comment on column library.retrievals.score is 'Cosine similarity; of one retriever version only comparable with itself.';
comment on column library.retrievals.kept is 'Put in front of the model; else it says nearly what a nearer one says, or k were full.';
comment on column library.retrievals.library_version is 'The library that was searched.';
comment on column library.retrievals.retriever_version is 'The retriever that searched it.';
comment on column library.retrievals.created_at is 'When it was searched.';

create view library.retrieval_counts as
select r.guideline_id, g.title, g.category, g.state, r.n_found, r.n_kept, r.last_kept_at
  from (select guideline_id, count(*) as n_found, count(*) filter (where kept) as n_kept,
               max(created_at) filter (where kept) as last_kept_at
          from core.retrievals group by guideline_id) r
  join core.guidelines g on g.id = r.guideline_id;
comment on view library.retrieval_counts is 'How often each guideline was retrieved, counted in one go; see also library.never_retrieved.';
comment on column library.retrieval_counts.guideline_id is 'See library.guidelines.';
comment on column library.retrieval_counts.title is 'Of the guideline.';
comment on column library.retrieval_counts.category is 'Of the guideline.';
comment on column library.retrieval_counts.state is 'Of the guideline, as it is now.';
comment on column library.retrieval_counts.n_found is 'Searches that found it.';
comment on column library.retrieval_counts.n_kept is 'Searches that put it in front of a model.';
comment on column library.retrieval_counts.last_kept_at is 'When it was last put in front of a model.';

create view library.never_retrieved as
select g.id, g.title, g.text, g.category, lower(g.served) as added_in, v.published_at as served_since,
       exists (select from core.retrievals r where r.guideline_id = g.id) as found
  from core.guidelines g
  left join core.library_versions v on v.version = lower(g.served)
 where g.state = 'active'
   and not exists (select from core.retrievals r where r.guideline_id = g.id and r.kept);
comment on view library.never_retrieved is 'Active guidelines that were never put in front of a model.';
comment on column library.never_retrieved.id is 'See library.guidelines.';
comment on column library.never_retrieved.title is 'What it demands, in a few words.';
comment on column library.never_retrieved.text is 'What would be put in front of the model.';
comment on column library.never_retrieved.category is 'The risk or quality topic it is about.';
comment on column library.never_retrieved.added_in is 'Library version that first served it.';
comment on column library.never_retrieved.served_since is 'When that version was published: a new one had little time.';
comment on column library.never_retrieved.found is 'Searches found it, and others were put in front of the model.';

create view library.removed_duplicates as
select g.id, g.title, g.text, g.category, g.origin, g.merged_into as kept_id, k.title as kept_title,
       k.text as kept_text, k.state as kept_state, g.merge_score as score, g.merge_wording as wording,
       g.state_reason as reason, e.actor, e.created_at as merged_at
  from core.guidelines g
  join core.guidelines k on k.id = g.merged_into
  left join lateral (
    select h.actor, h.created_at from core.guideline_events h
     where h.guideline_id = g.id and h.to_state = 'merged' and h.from_state <> 'merged'
     order by h.id desc limit 1) e on true
 where g.merged_into is not null;
comment on view library.removed_duplicates is 'Guidelines that another one stands for: how alike the two are, who said so, and why.';
comment on column library.removed_duplicates.id is 'The guideline that was taken out; library.unmerge(id, reason) brings it back.';
comment on column library.removed_duplicates.title is 'Of the one taken out.';
comment on column library.removed_duplicates.text is 'Of the one taken out.';
comment on column library.removed_duplicates.category is 'Of the one taken out.';
comment on column library.removed_duplicates.origin is 'Of the one taken out: starter, model, human or import.';
comment on column library.removed_duplicates.kept_id is 'The guideline that stands for it.';
comment on column library.removed_duplicates.kept_title is 'Of the one that stands for it.';
comment on column library.removed_duplicates.kept_text is 'Of the one that stands for it.';
comment on column library.removed_duplicates.kept_state is 'As it is now: it may have been merged or retired itself.';
comment on column library.removed_duplicates.score is 'Cosine between the two, by the fixed encoder of curation.';
comment on column library.removed_duplicates.wording is 'Edit similarity between the two, 0 to 1; null when a person decided.';
comment on column library.removed_duplicates.reason is 'Which rule or which person''s reason.';
comment on column library.removed_duplicates.actor is 'The program, or the person who merged them.';
comment on column library.removed_duplicates.merged_at is 'When they were merged.';

create view library.history as
select e.guideline_id, e.created_at, e.from_state, e.to_state, e.reason, e.version, e.witness_id,
       e.score, e.wording, e.actor
  from core.guideline_events e
union all
select g.id, g.created_at, null, 'candidate', null, null, null, null, null,
       coalesce(g.author_model, g.source, g.origin)
  from core.guidelines g;
comment on view library.history is 'Every step of every guideline: from birth to merge or retirement, with who and why.';
comment on column library.history.guideline_id is 'See library.guidelines.';
comment on column library.history.created_at is 'When it happened.';
comment on column library.history.from_state is 'Null at its birth.';
comment on column library.history.to_state is 'The same as from_state when only the reason changed.';
comment on column library.history.reason is 'Which rule, or which person''s reason.';
comment on column library.history.version is 'The library version that the step went into.';
comment on column library.history.witness_id is 'For a merge and its undoing: the guideline that says the same.';
comment on column library.history.score is 'Cosine with the witness.';
comment on column library.history.wording is 'Edit similarity with the witness, 0 to 1.';
comment on column library.history.actor is 'The program, or the person who acted; at birth the author.';

create view library.conflicts as
select c.left_id, l.text as left_text, l.state as left_state,
       c.right_id, r.text as right_text, r.state as right_state,
       c.score, c.status, c.reason, c.decided_by, c.decided_at, c.created_at
  from core.conflicts c
  join core.guidelines l on l.id = c.left_id
  join core.guidelines r on r.id = c.right_id;
comment on view library.conflicts is 'Guidelines that may contradict each other; open ones are never served together.';
comment on column library.conflicts.left_id is 'The one with the lower number.';
comment on column library.conflicts.left_text is 'What the left one says.';
comment on column library.conflicts.left_state is 'Of the left one, as it is now.';
comment on column library.conflicts.right_id is 'The one with the higher number.';
comment on column library.conflicts.right_text is 'What the right one says.';
comment on column library.conflicts.right_state is 'Of the right one, as it is now.';
comment on column library.conflicts.score is 'Cosine between the two: near in meaning, opposite in demand.';
comment on column library.conflicts.status is 'open, or dismissed: a person found no conflict';
comment on column library.conflicts.reason is 'Of the person who decided.';
comment on column library.conflicts.decided_by is 'The person who decided.';
comment on column library.conflicts.decided_at is 'When it was decided.';
comment on column library.conflicts.created_at is 'When it was found.';

create view library.review_queue as
select g.id, g.category, g.title, g.text, g.state, g.state_reason, g.author_model, g.created_at
  from core.guidelines g
 where g.state in ('candidate', 'quarantined') and g.approved_by is null;
comment on view library.review_queue is 'What waits for a person: approve, retire or merge it.';
comment on column library.review_queue.id is 'What library.approve, retire and merge are called with.';
comment on column library.review_queue.category is 'The risk or quality topic it is about.';
comment on column library.review_queue.title is 'What it demands, in a few words.';
comment on column library.review_queue.text is 'What would be put in front of the model.';
comment on column library.review_queue.state is 'candidate, or quarantined: stopped by the quality filter';
comment on column library.review_queue.state_reason is 'Why it waits or was stopped.';
comment on column library.review_queue.author_model is 'The language model that wrote it.';
comment on column library.review_queue.created_at is 'Waiting since.';

create view library.vector_indexes as
select retriever_version, dimensions, ef_search, recall, n_queries, n_vectors, built_at
  from core.vector_indexes;
comment on view library.vector_indexes is 'Retriever versions searched through an index, with its measured recall; others exactly.';
comment on column library.vector_indexes.retriever_version is '-1 is the fixed encoder of curation, 0 the untrained base.';
comment on column library.vector_indexes.dimensions is 'Of its vectors.';
comment on column library.vector_indexes.ef_search is 'How widely the index is searched.';
comment on column library.vector_indexes.recall is 'Share of the exact nearest 6 that the index finds.';
comment on column library.vector_indexes.n_queries is 'The recall was measured on.';
comment on column library.vector_indexes.n_vectors is 'It was built or last measured with.';
comment on column library.vector_indexes.built_at is 'When it was measured.';
