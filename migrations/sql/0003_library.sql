-- The SQL that people use: views and functions of schema `library`.
-- Every object carries a comment, so that \d+ and \df+ in psql are the manual.

create schema library;
comment on schema library is 'What analysts read: guidelines, inputs (masked), coverage, lineage, gates.';

create view library.guidelines with (security_barrier) as
select g.id, g.title, g.text, g.category, g.language, g.state, g.state_reason, g.origin, g.source,
       g.author_model, g.prompt_version, g.approved_by, lower(g.served) as added_in,
       case when not upper_inf(g.served) then upper(g.served) end as retired_in, g.served,
       g.merged_into, g.merge_score, g.merge_wording,
       (select count(*) from core.pairs p where p.guideline_id = g.id) as n_inputs,
       (select count(*) from core.retrievals r where r.guideline_id = g.id and r.kept) as n_retrieved,
       g.created_at, g.state_changed_at
  from core.guidelines g;
comment on view library.guidelines is 'Every guideline, whatever its state; state = ''active'' is what is served.';
comment on column library.guidelines.state is 'candidate, active, retired, merged (see merged_into) or quarantined (see state_reason)';
comment on column library.guidelines.state_reason is 'Why it waits, was merged, retired or stopped by the filter.';
comment on column library.guidelines.origin is 'starter (ships with guidealign), model, human or import';
comment on column library.guidelines.source is 'The file or system it was imported from.';
comment on column library.guidelines.language is 'ISO 639-1 code.';
comment on column library.guidelines.approved_by is 'The person who let it in against the review policy.';
comment on column library.guidelines.served is 'All library versions that hold it: more than one span when a merge was undone.';
comment on column library.guidelines.merge_score is 'Cosine with the guideline that says the same.';
comment on column library.guidelines.merge_wording is 'Edit similarity with the guideline that says the same, 0 to 1.';
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

create view library.history with (security_barrier) as
select e.guideline_id, e.created_at, e.from_state, e.to_state, e.reason, e.version, e.witness_id,
       e.score, e.wording, e.actor
  from core.guideline_events e
union all
select g.id, g.created_at, null, 'candidate', null, null, null, null, null,
       coalesce(g.author_model, g.source, g.origin)
  from core.guidelines g;
comment on view library.history is 'Every step of every guideline: from birth to merge or retirement, with who and why.';
comment on column library.history.version is 'The library version that the step went into.';
comment on column library.history.witness_id is 'For a merge and its undoing: the guideline that says the same.';

create view library.conflicts with (security_barrier) as
select c.left_id, l.text as left_text, l.state as left_state,
       c.right_id, r.text as right_text, r.state as right_state,
       c.score, c.status, c.reason, c.decided_by, c.decided_at, c.created_at
  from core.conflicts c
  join core.guidelines l on l.id = c.left_id
  join core.guidelines r on r.id = c.right_id;
comment on view library.conflicts is 'Guidelines that may contradict each other; open ones are never served together.';

create view library.review_queue with (security_barrier) as
select g.id, g.category, g.title, g.text, g.state, g.state_reason, g.author_model, g.created_at
  from core.guidelines g
 where g.state in ('candidate', 'quarantined') and g.approved_by is null;
comment on view library.review_queue is 'What waits for a person: approve, retire or merge it.';

create view library.vector_indexes with (security_barrier) as
select retriever_version, dimensions, ef_search, recall, n_queries, n_vectors, built_at
  from core.vector_indexes;
comment on view library.vector_indexes is 'Retriever versions searched through an index, with its measured recall; others exactly.';
comment on column library.vector_indexes.retriever_version is '-1 is the fixed encoder of curation, 0 the untrained base.';

-- Functions run as their owner: who calls them needs no right on the base tables.

create function library.as_of(version int)
returns table (id bigint, title text, text text, category text, language text, origin text)
language sql stable security definer set search_path = core, public, pg_temp as $$
  select g.id, g.title, g.text, g.category, g.language, g.origin from core.guidelines g
   where g.served @> as_of.version order by g.id
$$;
comment on function library.as_of(int) is 'The library as a version served it.';

create function library.as_of(moment timestamptz)
returns table (id bigint, title text, text text, category text, language text, origin text)
language sql stable security definer set search_path = core, public, pg_temp as $$
  select g.id, g.title, g.text, g.category, g.language, g.origin from core.guidelines g
   where g.served @> (select max(v.version) from core.library_versions v where v.published_at <= moment)
   order by g.id
$$;
comment on function library.as_of(timestamptz) is 'The newest published library at a moment.';

create function library.diff(from_version int, to_version int)
returns table (change text, id bigint, title text, text text, category text, reason text)
language sql stable security definer set search_path = core, public, pg_temp as $$
  -- What took it out is told by its history: what is merged today may have been retired then.
  select case when g.served @> to_version then 'added'
              when e.to_state = 'merged' then 'merged' else 'retired' end,
         g.id, g.title, g.text, g.category,
         case when not g.served @> to_version then e.reason end
    from core.guidelines g
    left join lateral (
      select s.to_state, s.reason from core.guideline_events s
       where s.guideline_id = g.id and s.version <= to_version and s.to_state <> 'active'
       order by s.id desc limit 1) e on not g.served @> to_version
   where g.id in (select e.guideline_id from core.guideline_events e
                   where e.version > least(from_version, to_version)
                     and e.version <= greatest(from_version, to_version))
     and g.served @> from_version <> g.served @> to_version
   order by 1, 2
$$;
comment on function library.diff(int, int) is 'What is in one version and not in the other.';

create function library.digest(version int) returns text
language sql stable security definer set search_path = core, public, pg_temp as $$
  select core.library_digest(version)
$$;
comment on function library.digest(int) is
  'Computed anew from what a version serves: equal to library.versions.digest for ever.';

create function library.search(
  query vector, retriever int, k int default 10, version int default null,
  categories text[] default null, origins text[] default null, languages text[] default null,
  sources text[] default null, states text[] default null, distinct_at float8 default null,
  exact boolean default false)
returns table (id bigint, title text, text text, category text, score float8)
language plpgsql stable security definer set search_path = core, public, pg_temp
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  most_compared constant int := 20000; -- fewer matches of a filter are all compared, past the index
  conds text;
  indexed boolean := false;
  wary boolean := distinct_at is not null;
  want int;
  hits core.hit[];
  kept core.hit[];
  hit core.hit;
  seen int;
begin
  if k is null or k < 1 then
    raise exception 'k is at least 1' using errcode = 'invalid_parameter_value';
  end if;
  if coalesce(categories, origins, languages, sources) is not null
     or states is not null and (version is not null or states <> '{active}') then
    conds := core.filter_sql(version, categories, origins, languages, sources, states);
  end if;
  if not exact then
    indexed := exists (select from core.vector_indexes i
                        where i.retriever_version = retriever and i.dimensions = vector_dims(query));
  end if;
  if indexed and conds is not null then
    execute format('select count(*) from (select from core.guidelines g where %s limit %s) m',
                   conds, most_compared + 1)
      into seen using query, version, categories, origins, languages, sources, states;
    indexed := seen > most_compared;
  end if;
  if not wary then
    wary := exists (select from core.conflicts c where c.status = 'open');
  end if;

  want := case when wary then 4 * k + 20 else k end;
  loop
    if indexed then
      begin
        execute format('select array_agg(n) from core.%I($1, $2, $3, $4, $5, $6, $7, $8) n',
                       core.nearest_name(retriever))
          into hits using query, want, version, categories, origins, languages, sources, states;
      exception when undefined_function then
        -- The retriever's index was dropped since this search began.
        indexed := false;
        continue;
      end;
      seen := coalesce(cardinality(hits), 0);
    elsif conds is not null then
      execute format(
        'with chosen as materialized (select g.id from core.guidelines g where %s),'
        ' near as (select e.guideline_id, e.embedding, -(e.embedding <#> $1) as score'
        ' from chosen c join core.embeddings e on e.guideline_id = c.id'
        ' where e.retriever_version = %s order by e.embedding <#> $1, e.guideline_id limit %s)'
        ' select array_agg(row(g.id, g.title, g.text, g.category, n.score, n.embedding)::core.hit'
        ' order by n.score desc, g.id) from near n join core.guidelines g on g.id = n.guideline_id',
        conds, retriever, want)
        into hits using query, version, categories, origins, languages, sources, states;
      seen := coalesce(cardinality(hits), 0);
    else
      -- Some of the nearest may be served no more: a few are taken to spare.
      want := want + 50;
      select array_agg(row(g.id, g.title, g.text, g.category, n.score, n.embedding)::core.hit
                       order by n.score desc, g.id)
               filter (where case when version is null then g.state = 'active'
                             else g.served @> version and g.state <> 'retired' end),
             count(*)
        into hits, seen
        from (select e.guideline_id, e.embedding, -(e.embedding <#> query) as score
                from core.embeddings e where e.retriever_version = retriever
               order by e.embedding <#> query, e.guideline_id limit want) n
        join core.guidelines g on g.id = n.guideline_id;
    end if;

    if wary then
      kept := '{}';
      foreach hit in array coalesce(hits, '{}') loop
        continue when distinct_at is not null and exists (
          select from unnest(kept) o where -(o.embedding <#> hit.embedding) >= distinct_at);
        continue when exists (
          select from core.conflicts c join unnest(kept) o
              on (c.left_id, c.right_id) in ((hit.id, o.id), (o.id, hit.id))
           where c.status = 'open');
        kept := kept || hit;
        exit when cardinality(kept) = k;
      end loop;
      hits := kept;
    end if;
    exit when cardinality(hits) >= k;
    if seen < want then
      -- Nothing is left, or the index ran dry: then nothing but all of them will do.
      exit when not indexed;
      indexed := false;
    end if;
    want := want * 4;
  end loop;
  return query select h.id, h.title, h.text, h.category, h.score from unnest(hits) h limit k;
end $$;
comment on function library.search(vector, int, int, int, text[], text[], text[], text[], text[], float8, boolean) is
  'The k guidelines nearest to a vector of a retriever version: active ones, or those of a library version;'
  ' filtered; with distinct_at no two that are as near as that to each other; never two in open conflict.'
  ' Always k of them whenever k exist.';

create function library.search_words(
  query text, k int default 10, categories text[] default null, languages text[] default null)
returns table (id bigint, title text, text text, category text, score float8)
language sql stable security definer set search_path = core, public, pg_temp as $$
  select g.id, g.title, g.text, g.category, ts_rank_cd(g.words, q)::float8
    from core.guidelines g, websearch_to_tsquery('english', query) q
   where g.words @@ q and g.state = 'active'
     and (categories is null or g.category = any (categories))
     and (languages is null or g.language = any (languages))
   order by 5 desc, 1 limit k
$$;
comment on function library.search_words(text, int, text[], text[]) is
  'Active guidelines by their words: "quoted phrases", or, -without.';

create function library.search_hybrid(
  words text, query vector, retriever int, k int default 10, categories text[] default null,
  languages text[] default null, depth int default 50)
returns table (id bigint, title text, text text, category text, score float8)
language sql stable security definer set search_path = core, public, pg_temp as $$
  -- Reciprocal rank fusion with its usual constant 60 (Cormack, Clarke, Buettcher, SIGIR 2009).
  with found as (
    select s.*, row_number() over (order by s.score desc, s.id) as place
      from library.search_words(words, greatest(depth, k), categories, languages) s
    union all
    select s.*, row_number() over (order by s.score desc, s.id)
      from library.search(query, retriever, greatest(depth, k), categories => categories,
                          languages => languages) s)
  select f.id, f.title, f.text, f.category, sum(1.0 / (60 + f.place))::float8
    from found f group by f.id, f.title, f.text, f.category order by 5 desc, 1 limit k
$$;
comment on function library.search_hybrid(text, vector, int, int, text[], text[], int) is
  'By words and by vector, the two lists joined by reciprocal rank.';

create function library.similar(guideline_id bigint, k int default 10, states text[] default '{active}')
returns table (id bigint, title text, text text, category text, state text, score float8)
language plpgsql stable security definer set search_path = core, public, pg_temp as $$
#variable_conflict use_column
declare
  own vector;
begin
  select e.embedding into own from core.embeddings e
   where e.retriever_version = -1 and e.guideline_id = $1;
  if own is null then
    return; -- a guideline gets its vector when it is first published
  end if;
  return query
    select s.id, s.title, s.text, s.category, g.state, s.score
      from library.search(own, -1, k + 1, states => $3) s
      join core.guidelines g on g.id = s.id
     where s.id <> $1 order by s.score desc, s.id limit k;
end $$;
comment on function library.similar(bigint, int, text[]) is
  'Guidelines nearest in meaning to a given one, by the fixed encoder of curation.';

create function library.guidelines_for_input(input_id bigint)
returns table (id bigint, title text, text text, category text, state text, origin text, how text)
language sql stable security definer set search_path = core, public, pg_temp as $$
  select g.id, g.title, g.text, g.category, g.state, g.origin, 'written for it'
    from core.pairs p join core.guidelines g on g.id = p.guideline_id
   where p.input_id = guidelines_for_input.input_id
  union all
  select g.id, g.title, g.text, g.category, g.state, g.origin,
         'retrieved by version ' || r.retriever_version || ', rank ' || r.rank
    from core.retrievals r join core.guidelines g on g.id = r.guideline_id
   where r.input_id = guidelines_for_input.input_id and r.kept
   order by 7 desc, 1
$$;
comment on function library.guidelines_for_input(bigint) is 'What was written for an input, and what was retrieved for it.';

create function library.inputs_of_guideline(guideline_id bigint)
returns table (id bigint, text text, source text, received_at timestamptz)
language sql stable security definer set search_path = core, public, pg_temp as $$
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
language sql stable security definer set search_path = core, public, pg_temp as $$
  select r.id, r.library_version, r.retriever_version, r.labrador_version, r.created_at from core.releases r
   where r.created_at <= moment order by r.id desc limit 1
$$;
comment on function library.live_at(timestamptz) is 'What was served at a moment.';

-- What a reviewer may do. Each checks, acts and leaves a line in library.history.

create function library.approve(guideline_id bigint, reason text) returns text
language plpgsql security definer set search_path = core, public, pg_temp as $$
declare
  was text;
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'approving a guideline needs a reason' using errcode = 'GA001';
  end if;
  select g.state into was from core.guidelines g where g.id = approve.guideline_id for update;
  if was is null then
    raise exception 'there is no guideline %', approve.guideline_id using errcode = 'GA001';
  elsif was not in ('candidate', 'quarantined') then
    raise exception 'guideline % is %: only what waits can be approved', approve.guideline_id, was
      using errcode = 'GA001';
  end if;
  update core.guidelines g
     set state = 'candidate', approved_by = core.actor(), state_reason = 'approved: ' || approve.reason
   where g.id = approve.guideline_id;
  return 'the next publication takes it in';
end $$;
comment on function library.approve(bigint, text) is
  'Lets a candidate, or what the filter stopped, into the next publication.';

create function library.retire(guideline_id bigint, reason text) returns int
language plpgsql security definer set search_path = core, public, pg_temp as $$
declare
  was text;
  made int;
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'retiring a guideline needs a reason' using errcode = 'GA001';
  end if;
  perform core.publication_lock();
  made := core.next_version();
  select g.state into was from core.guidelines g where g.id = retire.guideline_id for update;
  if was is null then
    raise exception 'there is no guideline %', retire.guideline_id using errcode = 'GA001';
  elsif was in ('candidate', 'quarantined') then
    update core.guidelines g set state = 'retired', state_reason = retire.reason
     where g.id = retire.guideline_id;
    return made - 1;
  elsif was <> 'active' then
    raise exception 'guideline % is not active but %', retire.guideline_id, was using errcode = 'GA001';
  end if;
  update core.guidelines g
     set state = 'retired', state_reason = retire.reason,
         served = g.served - int4multirange(int4range(made, null))
   where g.id = retire.guideline_id;
  return core.add_version('retired ' || retire.guideline_id || ': ' || retire.reason, core.actor());
end $$;
comment on function library.retire(bigint, text) is
  'Takes a guideline out of the library, at once and for good; returns the library version.';

create function library.merge(guideline_id bigint, into_id bigint, reason text) returns int
language plpgsql security definer set search_path = core, public, pg_temp as $$
declare
  was text;
  target text;
  made int;
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'merging a guideline needs a reason' using errcode = 'GA001';
  end if;
  perform core.publication_lock();
  made := core.next_version();
  select g.state into was from core.guidelines g where g.id = merge.guideline_id for update;
  select g.state into target from core.guidelines g where g.id = into_id for update;
  if was is null or target is null then
    raise exception 'there is no guideline %', case when was is null then merge.guideline_id else into_id end
      using errcode = 'GA001';
  elsif merge.guideline_id = into_id or target <> 'active' or was not in ('active', 'candidate') then
    raise exception 'only an active guideline or a candidate can be merged, into another active one'
      using errcode = 'GA001';
  end if;
  update core.guidelines g
     set state = 'merged', merged_into = into_id, state_reason = merge.reason,
         served = g.served - int4multirange(int4range(made, null)),
         merge_score = (select -(a.embedding <#> b.embedding) from core.embeddings a, core.embeddings b
                         where a.retriever_version = -1 and a.guideline_id = merge.guideline_id
                           and b.retriever_version = -1 and b.guideline_id = into_id),
         merge_wording = null
   where g.id = merge.guideline_id;
  if was = 'candidate' then
    return made - 1;
  end if;
  return core.add_version(
    'merged ' || merge.guideline_id || ' into ' || into_id || ': ' || merge.reason, core.actor());
end $$;
comment on function library.merge(bigint, bigint, text) is
  'Lets one guideline stand for another that says the same; its inputs count for the one that stays.';

create function library.unmerge(guideline_id bigint, reason text) returns int
language plpgsql security definer set search_path = core, public, pg_temp as $$
declare
  was text;
  other bigint;
  made int;
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'undoing a merge needs a reason' using errcode = 'GA001';
  end if;
  perform core.publication_lock();
  made := core.next_version();
  select g.state, g.merged_into into was, other
    from core.guidelines g where g.id = unmerge.guideline_id for update;
  if was is distinct from 'merged' then
    raise exception 'guideline % is not merged', unmerge.guideline_id using errcode = 'GA001';
  end if;
  insert into core.kept_apart (left_id, right_id, reason, actor)
  values (least(unmerge.guideline_id, other), greatest(unmerge.guideline_id, other),
          unmerge.reason, core.actor())
  on conflict do nothing;
  update core.guidelines g
     set state = 'active', merged_into = null, merge_score = null, merge_wording = null,
         state_reason = 'merge undone: ' || unmerge.reason,
         served = g.served + int4multirange(int4range(made, null))
   where g.id = unmerge.guideline_id;
  return core.add_version('undid the merge of ' || unmerge.guideline_id || ': ' || unmerge.reason,
                          core.actor());
end $$;
comment on function library.unmerge(bigint, text) is
  'Brings a merged guideline back, in a new version; the two are not merged again.';

create function library.dismiss_conflict(left_id bigint, right_id bigint, reason text) returns void
language plpgsql security definer set search_path = core, public, pg_temp as $$
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'dismissing a conflict needs a reason' using errcode = 'GA001';
  end if;
  update core.conflicts c
     set status = 'dismissed', reason = dismiss_conflict.reason, decided_by = core.actor(), decided_at = now()
   where c.left_id = least(dismiss_conflict.left_id, dismiss_conflict.right_id)
     and c.right_id = greatest(dismiss_conflict.left_id, dismiss_conflict.right_id)
     and c.status = 'open';
  if not found then
    raise exception 'there is no open conflict between % and %', left_id, right_id using errcode = 'GA001';
  end if;
end $$;
comment on function library.dismiss_conflict(bigint, bigint, text) is
  'Says that two guidelines do not contradict each other: they may be served together.';

-- Who may do what: analysts read, reviewers also decide, the application does the rest.
revoke all on all functions in schema library from public;
revoke all on all functions in schema core from public;
grant usage on schema library to analyst, guidealign_reviewer, guidealign_app;
grant select on all tables in schema library to analyst, guidealign_reviewer, guidealign_app;
grant execute on all functions in schema library to guidealign_reviewer, guidealign_app;
grant execute on function
  library.as_of(int), library.as_of(timestamptz), library.diff(int, int), library.digest(int),
  library.search(vector, int, int, int, text[], text[], text[], text[], text[], float8, boolean),
  library.search_words(text, int, text[], text[]),
  library.search_hybrid(text, vector, int, int, text[], text[], int),
  library.similar(bigint, int, text[]), library.guidelines_for_input(bigint),
  library.inputs_of_guideline(bigint), library.live_at(timestamptz)
  to analyst;
grant execute on all functions in schema core to guidealign_app;
