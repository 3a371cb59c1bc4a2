-- What the database itself holds true about the library's life cycle.

create function core.next_version() returns int language sql stable set search_path = core, pg_temp as $$
  select coalesce(max(version), 0) + 1 from core.library_versions
$$;
comment on function core.next_version() is 'The version that the next publication makes.';

-- A person who logs in is who she is; only the application, and whoever owns the database, acts
-- for others and may say for whom.
create function core.actor() returns text language sql stable set search_path = core, pg_temp as $$
  select case when pg_has_role(session_user, 'guidealign_app', 'member')
                or pg_has_role(session_user, c.relowner, 'member')
              then coalesce(nullif(current_setting('guidealign.actor', true), ''), session_user)
              else session_user end
    from pg_class c where c.oid = 'core.guidelines'::regclass
$$;
comment on function core.actor() is
  'Who acts: the database user, or whom the application names in the setting guidealign.actor.';

create function core.publication_lock() returns void language sql set search_path = core, pg_temp as $$
  select pg_advisory_xact_lock(hashtext('guidealign.publish'))
$$;
comment on function core.publication_lock() is
  'One publication at a time; held to the end of the transaction.';

create function core.library_digest(version int) returns text language sql stable
set search_path = core, pg_temp as $$
  select encode(sha256(convert_to(
           coalesce(string_agg(text_hash, E'\n' order by text_hash collate "C"), ''), 'UTF8')), 'hex')
    from core.guidelines where served @> version
$$;
comment on function core.library_digest(int) is
  'SHA-256 over the sorted hashes of the texts that a version serves.';

-- Guidelines are born as candidates or in quarantine; a restored library is the one exception.
-- The trigger comes after the insert: one before it would slow every COPY down.
create function core.guard_insert() returns trigger language plpgsql set search_path = core, pg_temp as $$
begin
  if coalesce(current_setting('guidealign.restoring', true), '') <> 'on'
     or not pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'member')
  then
    raise exception 'a guideline starts as candidate, not as %', new.state
      using errcode = 'restrict_violation';
  end if;
  return null;
end $$;
comment on function core.guard_insert() is
  'Holds that a guideline starts as candidate or in quarantine.';
create trigger guard_insert after insert on core.guidelines for each row
  when (new.state not in ('candidate', 'quarantined') or new.served <> '{}')
  execute function core.guard_insert();

-- What a foreign key would promise, checked once a statement: a key's own check, row by row,
-- takes longer than all the rest of a bulk load. Neither categories nor guidelines ever go.
create function core.guard_categories() returns trigger language plpgsql set search_path = core, pg_temp as $$
declare
  unknown text;
begin
  select a.category into unknown from added a
   where not exists (select from risk_categories c where c.name = a.category) limit 1;
  if found then
    raise exception 'there is no risk category %', unknown using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
comment on function core.guard_categories() is 'Holds that every guideline has a known category.';
create trigger guard_categories after insert on core.guidelines
  referencing new table as added
  for each statement execute function core.guard_categories();
create trigger append_only before delete or update of name on core.risk_categories
  for each row execute function core.refuse_change();

create function core.guard_vectors() returns trigger language plpgsql set search_path = core, pg_temp as $$
declare
  unknown bigint;
begin
  select a.guideline_id into unknown from added a
   where not exists (select from guidelines g where g.id = a.guideline_id) limit 1;
  if found then
    raise exception 'there is no guideline % for a vector', unknown
      using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
comment on function core.guard_vectors() is 'Holds that every vector belongs to a guideline.';
create trigger guard_vectors after insert on core.embeddings
  referencing new table as added
  for each statement execute function core.guard_vectors();
create trigger guard_moved_vectors after update on core.embeddings
  referencing new table as added
  for each statement execute function core.guard_vectors();

-- Words and provenance never change; the state moves along legal transitions only. What was
-- merged may come back (a merge can be undone); what was retired stays retired.
create function core.guard_guideline() returns trigger language plpgsql set search_path = core, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    raise exception 'a guideline is never deleted: retire it instead'
      using errcode = 'restrict_violation';
  end if;
  if (new.id, new.title, new.text, new.text_hash, new.category, new.language, new.origin,
      new.source, new.author_model, new.prompt_version, new.created_at)
     is distinct from
     (old.id, old.title, old.text, old.text_hash, old.category, old.language, old.origin,
      old.source, old.author_model, old.prompt_version, old.created_at)
  then
    raise exception 'a guideline''s words never change: add a new one and retire this one'
      using errcode = 'restrict_violation';
  end if;
  if new.state <> old.state then
    if (old.state || '>' || new.state) <> all (array[
         'candidate>active', 'candidate>merged', 'candidate>quarantined', 'candidate>retired',
         'quarantined>candidate', 'quarantined>retired', 'active>retired', 'active>merged',
         'merged>active']) then
      raise exception 'a guideline cannot go from % to %', old.state, new.state
        using errcode = 'restrict_violation';
    end if;
    new.state_changed_at := clock_timestamp();
    if new.state = 'active' and new.words is null then
      new.words := to_tsvector('english', new.title || ' ' || new.text);
    end if;
  elsif new.merged_into is distinct from old.merged_into then
    raise exception 'a merge is undone, not turned elsewhere'
      using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
comment on function core.guard_guideline() is
  'Holds that words never change and that states follow one another as they may.';
create trigger guard_guideline before update or delete on core.guidelines
  for each row execute function core.guard_guideline();

-- The history writes itself, and what a published version holds cannot be changed any more.
-- A merge goes into an active guideline; that one may be merged or retired later, but it never
-- waits again, so a chain of merges has an end and the end is active or retired.
create function core.record_events() returns trigger language plpgsql security definer
set search_path = core, pg_temp as $$
declare
  next int;
  who constant text := core.actor();
begin
  if exists (select from before b join after a using (id) where b.served <> a.served) then
    -- Without it another publication could make the version that these rows have in mind.
    perform core.publication_lock();
  end if;
  next := core.next_version();
  if exists (select from before b join after a using (id)
              where b.served <> a.served
                and b.served * int4multirange(int4range(null, next))
                 <> a.served * int4multirange(int4range(null, next))) then
    raise exception 'what a published version holds never changes'
      using errcode = 'restrict_violation';
  end if;
  if exists (select from before b join after a using (id)
               join core.guidelines target on target.id = a.merged_into
              where a.merged_into is distinct from b.merged_into and target.state <> 'active') then
    raise exception 'a guideline is merged into an active one only'
      using errcode = 'restrict_violation';
  end if;
  insert into core.guideline_events
         (guideline_id, from_state, to_state, reason, version, witness_id, score, wording, actor,
          created_at)
  select a.id, b.state, a.state, a.state_reason,
         case when a.served <> b.served then next end,
         coalesce(a.merged_into, b.merged_into),
         case when a.merged_into is not null then a.merge_score else b.merge_score end,
         case when a.merged_into is not null then a.merge_wording else b.merge_wording end,
         who,
         -- Not when the transaction began: it may have waited while others acted.
         clock_timestamp()
    from before b join after a using (id)
   where (b.state, b.served) is distinct from (a.state, a.served)
      or b.state_reason is distinct from a.state_reason
   order by a.id;
  return null;
end $$;
comment on function core.record_events() is
  'Writes every step into core.guideline_events; a published version stays as it is.';
create trigger record_events after update on core.guidelines
  referencing old table as before new table as after
  for each statement execute function core.record_events();

-- At the end of the transaction the version that a guideline names must be there.
create function core.check_versions() returns trigger language plpgsql set search_path = core, pg_temp as $$
declare
  newest int;
begin
  select coalesce(max(version), 0) into newest from core.library_versions;
  if coalesce(lower(range_merge(new.served)), 0) > newest
     or exists (select from unnest(new.served) s
                 where lower(s) > newest or (not upper_inf(s) and upper(s) > newest)) then
    raise exception 'guideline % names a library version that was not published', new.id
      using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
comment on function core.check_versions() is
  'Holds that a guideline names published versions only.';
create constraint trigger check_versions after insert or update of served on core.guidelines
  deferrable initially deferred for each row when (new.served <> '{}')
  execute function core.check_versions();

-- Versions follow one another without a gap.
create function core.guard_version() returns trigger language plpgsql set search_path = core, pg_temp as $$
begin
  if new.version <> core.next_version() then
    raise exception 'library version % does not follow the newest one', new.version
      using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
comment on function core.guard_version() is
  'Holds that versions follow one another without a gap.';
create trigger guard_version before insert on core.library_versions
  for each row execute function core.guard_version();

-- Counts and digest come from the rows themselves, so that they cannot disagree with them.
create function core.add_version(note text, published_by text) returns int
language plpgsql security definer set search_path = core, pg_temp as $$
declare
  made int;
  added bigint;
  gone bigint;
begin
  perform core.publication_lock();
  made := core.next_version();
  select count(*) filter (where g.served @> made and not g.served @> (made - 1)),
         count(*) filter (where g.served @> (made - 1) and not g.served @> made)
    into added, gone
    from core.guidelines g
   where g.id in (select guideline_id from core.guideline_events where guideline_events.version = made);
  insert into core.library_versions
         (version, digest, n_active, n_added, n_retired, note, published_by, published_at)
  values (made, core.library_digest(made),
          coalesce((select n_active from core.library_versions where version = made - 1), 0)
            + added - gone,
          added, gone, note, published_by, clock_timestamp());
  return made;
end $$;
comment on function core.add_version(text, text) is
  'Makes a version of what this transaction has changed.';

alter function core.refuse_change() set search_path = core, pg_temp;
comment on function core.refuse_change() is 'Holds that the rows of a ledger stay as they are.';
create trigger append_only before update or delete on core.guideline_events
  for each row execute function core.refuse_change();

-- Search. What a retriever version's index finds comes from a function of its own: the index
-- belongs to one version and one number of dimensions, and a statement that names them both
-- is planned once a connection instead of once a search.

create type core.hit as (id bigint, title text, text text, category text, score float8, embedding vector);
comment on type core.hit is 'A guideline that a search has found.';

create function core.filter_sql(version int, categories text[], origins text[], languages text[],
                                sources text[], states text[]) returns text
language sql immutable set search_path = core, pg_temp as $$
  -- A retired guideline is served no more, whatever version is asked for.
  select concat_ws(' and ',
    case when states is not null then 'g.state = any ($7)'
         when version is null then 'g.state = ''active'''
         else 'g.served @> $2 and g.state <> ''retired''' end,
    case when categories is not null then 'g.category = any ($3)' end,
    case when origins is not null then 'g.origin = any ($4)' end,
    case when languages is not null then 'g.language = any ($5)' end,
    case when sources is not null then 'g.source = any ($6)' end)
$$;
comment on function core.filter_sql(int, text[], text[], text[], text[], text[]) is
  'The condition of a search on core.guidelines g, for parameters 2 to 7.';

create function core.make_nearest(retriever int, dimensions int, ef_search int) returns void
language plpgsql set search_path = core, public, pg_temp as $make$
begin
  execute format($sql$
    create or replace function core.%1$I(
      query vector, n int, version int, categories text[], origins text[], languages text[],
      sources text[], states text[]) returns setof core.hit
    language plpgsql stable set search_path = core, public, pg_temp
      set plan_cache_mode = force_generic_plan
      set hnsw.ef_search = %4$s set hnsw.iterative_scan = 'strict_order'
      set hnsw.max_scan_tuples = 2147483647 set enable_sort = off set enable_seqscan = off as $fn$
    begin
      -- The index holds half-precision vectors: what is nearest is put in order by whole ones.
      return query
        select * from (
          select g.id, g.title, g.text, g.category, -(e.embedding <#> query), e.embedding
            from core.embeddings e join core.guidelines g on g.id = e.guideline_id
           where e.retriever_version = %2$s
             and case when states is not null then g.state = any (states)
                      when version is null then g.state = 'active'
                      else g.served @> version and g.state <> 'retired' end
             and (categories is null or g.category = any (categories))
             and (origins is null or g.origin = any (origins))
             and (languages is null or g.language = any (languages))
             and (sources is null or g.source = any (sources))
           order by e.embedding::halfvec(%3$s) <#> query::halfvec(%3$s) limit n + 10) h
         order by 5 desc, 1 limit n;
    end $fn$
  $sql$, core.nearest_name(retriever), retriever, dimensions, ef_search);
  execute format('comment on function core.%1$I is ''Search through the index of a retriever version.''',
                 core.nearest_name(retriever));
  execute format('revoke all on function core.%1$I from public', core.nearest_name(retriever));
end $make$;
comment on function core.make_nearest(int, int, int) is
  'Makes the function that searches through the index of a retriever version.';

create function core.nearest_name(retriever int) returns text language sql immutable
set search_path = core, pg_temp as $$
  select 'nearest_' || case when retriever < 0 then 'curation' else retriever::text end
$$;
comment on function core.nearest_name(int) is
  'Name of the function that searches through the index of a retriever version.';

create function core.drop_nearest(retriever int) returns void language plpgsql
set search_path = core, pg_temp as $$
begin
  execute format('drop function if exists core.%I', core.nearest_name(retriever));
end $$;
comment on function core.drop_nearest(int) is 'Drops what core.make_nearest has made.';
