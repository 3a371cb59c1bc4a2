-- A reviewer's decision about what waits can be taken back, as long as nothing was served by it.

create or replace function core.guard_guideline() returns trigger language plpgsql set search_path = core, pg_temp as $$
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
         'merged>active'])
       -- A decision about what was never served can be taken back, and says so.
       and (old.served <> '{}' or coalesce(new.state_reason, '') not like 'taken back: %' or (old.state || '>' || new.state) <> all (array[
         'retired>candidate', 'retired>quarantined', 'merged>candidate'])) then
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

create function library.take_back(guideline_id bigint, reason text) returns text
language plpgsql security definer set search_path = core, public, pg_temp as $$
declare
  now_is core.guidelines;
  decided core.guideline_events;
  before text;
begin
  if coalesce(trim(reason), '') = '' then
    raise exception 'taking a decision back needs a reason' using errcode = 'GA001';
  end if;
  -- A publication that runs may be about to serve it.
  perform core.publication_lock();
  select g.* into now_is from core.guidelines g where g.id = take_back.guideline_id for update;
  if now_is.id is null then
    raise exception 'there is no guideline %', take_back.guideline_id using errcode = 'GA001';
  elsif now_is.served <> '{}' then
    raise exception 'guideline % has been served: retire it, or undo its merge', take_back.guideline_id
      using errcode = 'GA001';
  elsif now_is.state in ('candidate', 'quarantined') and now_is.approved_by is null then
    raise exception 'nothing was decided about guideline %: it waits', take_back.guideline_id
      using errcode = 'GA001';
  end if;
  select e.* into decided from core.guideline_events e
   where e.guideline_id = take_back.guideline_id and e.from_state in ('candidate', 'quarantined')
     and (e.from_state <> e.to_state or e.reason like 'approved: %')
   order by e.id desc limit 1;
  select e.reason into before from core.guideline_events e
   where e.guideline_id = take_back.guideline_id and e.id < decided.id order by e.id desc limit 1;
  if now_is.merged_into is not null then
    -- Or the next publication would merge them again.
    insert into core.kept_apart (left_id, right_id, reason, actor)
    values (least(now_is.id, now_is.merged_into), greatest(now_is.id, now_is.merged_into),
            take_back.reason, core.actor())
    on conflict do nothing;
  end if;
  update core.guidelines g
     set state = decided.from_state, approved_by = null, merged_into = null, merge_score = null,
         merge_wording = null,
         state_reason = 'taken back: ' || take_back.reason || coalesce(' (before: ' || before || ')', '')
   where g.id = take_back.guideline_id;
  return decided.from_state;
end $$;
comment on function library.take_back(bigint, text) is
  'Takes the last decision about a guideline back, as long as no version has served it; returns the state it has again.';
revoke all on function library.take_back(bigint, text) from public;
grant execute on function library.take_back(bigint, text) to guidealign_reviewer, guidealign_app;

create or replace view library.review_queue as
select g.id, g.category, g.title, g.text, g.state, g.state_reason, g.author_model, g.created_at,
       coalesce((select max(e.id) from core.guideline_events e where e.guideline_id = g.id), 0) as revision
  from core.guidelines g
 where g.state in ('candidate', 'quarantined') and g.approved_by is null;
comment on column library.review_queue.revision is
  'Grows with every step of the guideline: who decided on an older one did not see what it is now.';

-- From a model back to the inputs, a row a step, so that an auditor reads downwards.
create view library.lineage as
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
                else i.id in (select r.input_id from core.aligned_dataset_items d
                                join core.aligned_responses r on r.id = d.response_id
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
