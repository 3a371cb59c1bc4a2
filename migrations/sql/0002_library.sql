-- The SQL that people use: views and functions of schema `library`.
-- Every object carries a comment, so that \d+ and \df+ in psql are the manual.

create schema library;
comment on schema library is 'What analysts read: guidelines, inputs (masked), coverage, lineage, gates.';

create view library.guidelines with (security_barrier) as
select g.id, g.title, g.text, g.category, g.state, g.state_reason, g.origin, g.author_model,
       g.prompt_version, g.added_in, g.retired_in, g.merged_into, g.merge_score,
       (select count(*) from core.pairs p where p.guideline_id = g.id) as n_inputs,
       (select count(*) from core.retrievals r where r.guideline_id = g.id and r.kept) as n_retrieved,
       g.created_at, g.state_changed_at
  from core.guidelines g;
comment on view library.guidelines is 'Every guideline, whatever its state; state = ''active'' is what is served.';
comment on column library.guidelines.state is 'candidate, active, retired, merged (see merged_into) or quarantined (see state_reason)';
comment on column library.guidelines.state_reason is 'Why it waits, was merged, retired or stopped by the filter.';
comment on column library.guidelines.origin is 'starter (ships with guidealign), model or human';
comment on column library.guidelines.added_in is 'Library version that first served it.';
comment on column library.guidelines.retired_in is 'Library version that first left it out.';
comment on column library.guidelines.n_inputs is 'Inputs that it was written for.';
comment on column library.guidelines.n_retrieved is 'How often it was put in front of a model.';

create view library.inputs with (security_barrier) as
select i.id, i.redacted_text as text, i.source, i.source_id, i.occurred_at, i.received_at,
       i.near_duplicate_of, coalesce(i.known_category, a.categories[1]) as category,
       coalesce(i.known_unsafe, a.unsafe) as unsafe, a.categories as detected_categories,
       a.severity, a.model as assessed_by,
       (select count(*) from core.pairs p where p.input_id = i.id) as n_guidelines
  from core.inputs i
  left join lateral (select * from core.assessments s where s.input_id = i.id
                      order by s.id desc limit 1) a on true;
comment on view library.inputs is 'User inputs with personal data masked, and what the safety model found in them.';
comment on column library.inputs.text is 'The text with e-mail addresses, links, numbers of accounts and phones masked.';
comment on column library.inputs.category is 'Given by the source, else the first one detected.';
comment on column library.inputs.unsafe is 'Unsafe itself, or may trigger an unsafe answer; null: not assessed yet.';
comment on column library.inputs.severity is '0 none to 3 grave, as detected.';
comment on column library.inputs.near_duplicate_of is 'The earlier input that this one is a near copy of.';

create view library.pairs with (security_barrier) as
select p.input_id, i.redacted_text as input, p.guideline_id, g.title, g.text, g.category, g.state,
       p.origin, p.created_at
  from core.pairs p
  join core.inputs i on i.id = p.input_id
  join core.guidelines g on g.id = p.guideline_id;
comment on view library.pairs is 'Which guideline was written for which input: the provenance.';

create view library.coverage with (security_barrier) as
select c.name as category, c.kind, c.description,
       count(distinct i.id) as n_inputs,
       count(distinct i.id) filter (where i.unsafe) as n_unsafe,
       (select count(*) from core.guidelines g where g.category = c.name and g.state = 'active') as n_active,
       (select count(*) from core.guidelines g where g.category = c.name and g.state = 'candidate') as n_candidates,
       (select count(*) from core.guidelines g where g.category = c.name and g.state = 'quarantined') as n_quarantined,
       count(distinct i.id) filter (where not exists (
         select from core.pairs p join core.guidelines g on g.id = p.guideline_id
          where p.input_id = i.id and (g.state = 'active' or g.merged_into is not null))) as n_inputs_without_guideline
  from core.risk_categories c
  left join library.inputs i on i.category = c.name
 group by c.name, c.kind, c.description
 order by c.kind, c.name;
comment on view library.coverage is 'Per risk category and quality topic: inputs, guidelines by state, and inputs left without one.';

create view library.versions with (security_barrier) as
select version, n_active, n_added, n_retired, note, published_by, published_at, digest
  from core.library_versions;
comment on view library.versions is 'Every publication of the library, for ever.';
comment on column library.versions.digest is 'SHA-256 over the active guidelines'' texts.';

create view library.model_lineage with (security_barrier) as
select l.model_name, l.version, l.base_model, l.library_version, l.dataset_id, l.retriever_version,
       l.data_digest, l.library_digest, l.settings, l.metrics, l.mlflow_run_id, l.created_at
  from core.model_lineage l;
comment on view library.model_lineage is 'What each registered model version was made from.';

create view library.gate_history with (security_barrier) as
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
comment on column library.gate_history.champion_version is '0 is the untrained base.';
comment on column library.gate_history.difference is 'Challenger minus champion on the same cases, in the policy''s unit.';

create view library.promotions with (security_barrier) as
select id, created_at, model_name, action, from_version, to_version, actor, reason, gate_decision_id, release_id
  from core.promotions;
comment on view library.promotions is 'Every move of a champion, and every decision not to move it.';

create view library.releases with (security_barrier) as
select id, created_at, library_version, retriever_version, labrador_version, prompt_version, actor, reason,
       lead(created_at) over (order by id) as replaced_at
  from core.releases;
comment on view library.releases is 'What was served when: the row without replaced_at is live.';

create view library.rejects with (security_barrier) as
select id, created_at, stage, reason, detail, source, file, line, input_id from core.rejects;
comment on view library.rejects is 'What did not go on, with place and reason; the rejected text itself stays private.';

create view library.model_calls with (security_barrier) as
select date_trunc('day', created_at) as day, stage, model, prompt_version, status, count(*) as n_calls,
       sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens,
       percentile_cont(0.5) within group (order by latency_ms) as median_latency_ms
  from core.model_calls
 group by 1, 2, 3, 4, 5;
comment on view library.model_calls is 'Calls of language models by day, stage and model: number, tokens, latency.';

create view library.aligned_responses with (security_barrier) as
select r.id, r.input_id, i.redacted_text as input, r.response, r.guideline_ids, r.model, r.prompt_version,
       r.library_version, r.retriever_version, r.filtered_reason, r.created_at
  from core.aligned_responses r join core.inputs i on i.id = r.input_id;
comment on view library.aligned_responses is 'Guided answers, with the guidelines that steered them.';

create view library.retrievals with (security_barrier) as
select request_id, input_id, guideline_id, rank, score, kept, library_version, retriever_version, created_at
  from core.retrievals;
comment on view library.retrievals is 'Which guidelines were found for which request, kept or left out.';

-- Functions run as their owner: analysts need no right on the base tables.

create function library.as_of(version int)
returns table (id bigint, title text, text text, category text, origin text, added_in int)
language sql stable security definer set search_path = core, public as $$
  select g.id, g.title, g.text, g.category, g.origin, g.added_in from core.guidelines g
   where g.added_in <= as_of.version and (g.retired_in is null or g.retired_in > as_of.version)
   order by g.id
$$;
comment on function library.as_of(int) is 'The library as a version served it.';

create function library.diff(from_version int, to_version int)
returns table (change text, id bigint, title text, text text, category text, reason text)
language sql stable security definer set search_path = core, public as $$
  select 'added', g.id, g.title, g.text, g.category, null from core.guidelines g
   where g.added_in > from_version and g.added_in <= to_version
     and (g.retired_in is null or g.retired_in > to_version)
  union all
  select 'retired', g.id, g.title, g.text, g.category, g.state_reason from core.guidelines g
   where g.added_in <= from_version and g.retired_in > from_version and g.retired_in <= to_version
   order by 1, 2
$$;
comment on function library.diff(int, int) is 'What a later version added to and retired from an earlier one.';

create function library.search_words(query text, n int default 10)
returns table (id bigint, title text, text text, category text, score real)
language sql stable security definer set search_path = core, public as $$
  select g.id, g.title, g.text, g.category, ts_rank(g.words, q) from core.guidelines g,
         websearch_to_tsquery('english', query) q
   where g.words @@ q and g.state = 'active' order by 5 desc, 1 limit n
$$;
comment on function library.search_words(text, int) is 'Active guidelines by their words: "quoted phrases", or, -without.';

create function library.search_vector(query vector, retriever int, n int default 10)
returns table (id bigint, title text, text text, category text, score double precision)
language sql stable security definer set search_path = core, public as $$
  select g.id, g.title, g.text, g.category, 1 - (e.embedding <=> query) from core.embeddings e
    join core.guidelines g on g.id = e.guideline_id
   where e.retriever_version = retriever and g.state = 'active' order by e.embedding <=> query limit n
$$;
comment on function library.search_vector(vector, int, int) is 'Active guidelines nearest to a vector of a retriever version; exact.';

create function library.similar(guideline_id bigint, n int default 10)
returns table (id bigint, title text, text text, category text, state text, score double precision)
language sql stable security definer set search_path = core, public as $$
  select o.id, o.title, o.text, o.category, o.state, 1 - (g.curation_embedding <=> o.curation_embedding)
    from core.guidelines g join core.guidelines o on o.id <> g.id and o.curation_embedding is not null
   where g.id = guideline_id and g.curation_embedding is not null
   order by g.curation_embedding <=> o.curation_embedding limit n
$$;
comment on function library.similar(bigint, int) is 'Guidelines in any state nearest in meaning to a given one.';

create function library.guidelines_for_input(input_id bigint)
returns table (id bigint, title text, text text, category text, state text, origin text)
language sql stable security definer set search_path = core, public as $$
  select g.id, g.title, g.text, g.category, g.state, g.origin from core.pairs p
    join core.guidelines g on g.id = p.guideline_id
   where p.input_id = guidelines_for_input.input_id order by g.id
$$;
comment on function library.guidelines_for_input(bigint) is 'What was written for an input.';

create function library.inputs_of_guideline(guideline_id bigint)
returns table (id bigint, text text, source text, received_at timestamptz)
language sql stable security definer set search_path = core, public as $$
  with recursive merged(id) as (
    select inputs_of_guideline.guideline_id
    union select g.id from core.guidelines g join merged m on g.merged_into = m.id
  )
  select distinct i.id, i.redacted_text, i.source, i.received_at from core.pairs p
    join merged m on m.id = p.guideline_id join core.inputs i on i.id = p.input_id order by i.id
$$;
comment on function library.inputs_of_guideline(bigint) is 'The inputs behind a guideline and behind those merged into it.';

create function library.live_at(moment timestamptz default now())
returns table (release_id bigint, library_version int, retriever_version int, labrador_version int, since timestamptz)
language sql stable security definer set search_path = core, public as $$
  select r.id, r.library_version, r.retriever_version, r.labrador_version, r.created_at from core.releases r
   where r.created_at <= moment order by r.id desc limit 1
$$;
comment on function library.live_at(timestamptz) is 'What was served at a moment.';

revoke all on all functions in schema library from public;
grant usage on schema library to analyst, guidealign_app;
grant select on all tables in schema library to analyst, guidealign_app;
grant execute on all functions in schema library to analyst, guidealign_app;
