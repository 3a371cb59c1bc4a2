create or replace view library.removed_duplicates as
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
grant select on library.removed_duplicates to analyst, guidealign_reviewer, guidealign_app;
