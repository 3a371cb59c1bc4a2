create or replace view library.history as
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
grant select on library.history to analyst, guidealign_reviewer, guidealign_app;
