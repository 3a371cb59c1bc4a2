create or replace view library.conflicts as
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
grant select on library.conflicts to analyst, guidealign_reviewer, guidealign_app;
