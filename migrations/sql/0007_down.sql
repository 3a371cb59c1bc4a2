-- Takes revision 0007 back.

drop view library.lineage;
drop function library.take_back(bigint, text);
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

drop view library.review_queue;
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
grant select on library.review_queue to analyst, guidealign_reviewer, guidealign_app;
