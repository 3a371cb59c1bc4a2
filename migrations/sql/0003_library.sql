-- The functions that people and the application call, and who may do what.
-- Every one carries a comment, so that \df+ in psql is the manual.

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

create function library.uncovered_inputs(below float8 default 0.5, unsafe_only boolean default true)
returns table (id bigint, text text, category text, severity smallint, n_written bigint,
               best_id bigint, best_score float8, gap text)
language sql stable security definer set search_path = core, public, pg_temp set work_mem = '64MB' as $$
  with best as (
    select distinct on (r.input_id) r.input_id, r.guideline_id as id, r.score
      from core.retrievals r join core.guidelines g on g.id = r.guideline_id and g.state = 'active'
     where r.input_id is not null
     order by r.input_id, r.retriever_version desc, r.score desc
  )
  select i.id, i.text, i.category, i.severity, w.n, b.id, b.score,
         case when w.n = 0 then 'none written' else 'written but not found' end
    from library.inputs i
    left join best b on b.input_id = i.id
   cross join lateral (
     select count(*) as n from core.pairs p join core.guidelines g on g.id = p.guideline_id
      where p.input_id = i.id and g.state in ('active', 'merged')) w
   where (i.unsafe or not unsafe_only)
     and (b.score < below or b.score is null and w.n = 0)
   order by b.score nulls first, i.id
$$;
comment on function library.uncovered_inputs(float8, boolean) is
  'Inputs whose nearest active guideline has a cosine below a bound, as the newest retriever found it,'
  ' and inputs that nothing was written for and nothing found for. gap says whose part is missing:'
  ' none written (the library''s), or written but not found (the retriever''s).';

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

-- Who may do what: analysts read; reviewers read and decide; the application adds, and moves
-- what moves, but rewrites no words and no ledger. The owner alone makes and drops objects (search
-- indexes too) and restores a library.
revoke all on all functions in schema library from public;
revoke all on all functions in schema core from public;
revoke create on schema public from public;
do $$
begin
  execute format('revoke temporary on database %I from public', current_database());
  execute format('grant temporary on database %I to guidealign_app', current_database());
end $$;

grant usage on schema library to analyst, guidealign_reviewer, guidealign_app;
grant select on all tables in schema library to analyst, guidealign_reviewer, guidealign_app;
grant execute on function
  library.as_of(int), library.as_of(timestamptz), library.diff, library.digest, library.search,
  library.search_words, library.search_hybrid, library.similar, library.guidelines_for_input,
  library.inputs_of_guideline, library.uncovered_inputs, library.live_at
  to analyst, guidealign_reviewer, guidealign_app;
grant execute on function
  library.approve, library.retire, library.merge, library.unmerge, library.dismiss_conflict
  to guidealign_reviewer, guidealign_app;

-- Tables that a later migration makes start with reading only.
alter default privileges in schema core revoke insert, update on tables from guidealign_app;
revoke all on all tables in schema core from guidealign_app;
grant select on all tables in schema core to guidealign_app;
grant insert on
  core.imports, core.inputs, core.input_bands, core.ingest_batches, core.ingest_watermarks, core.rejects, core.leases,
  core.model_calls, core.assessments, core.guidelines, core.pairs, core.conflicts, core.embeddings,
  core.vector_indexes, core.retrievals, core.aligned_responses, core.aligned_datasets,
  core.aligned_dataset_items, core.benchmark_results, core.gate_decisions, core.promotions,
  core.releases, core.model_lineage
  to guidealign_app;
grant update on core.imports, core.ingest_batches, core.ingest_watermarks, core.leases, core.vector_indexes to guidealign_app;
grant update (near_duplicate_of, near_duplicate_score) on core.inputs to guidealign_app;
grant update (state, state_reason, served, checked, merged_into, merge_score, merge_wording)
  on core.guidelines to guidealign_app;
-- A bulk load draws its ids before it writes, so that it knows them without asking back.
grant usage on sequence core.guidelines_id_seq, core.inputs_id_seq to guidealign_app;
grant delete on core.embeddings, core.vector_indexes, core.leases to guidealign_app;
-- Versions and history are written by the database itself.
grant execute on function
  core.next_version, core.publication_lock, core.add_version, core.library_digest to guidealign_app;
