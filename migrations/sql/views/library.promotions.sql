create or replace view library.promotions as
select id, created_at, model_name, action, from_version, to_version, actor, reason, gate_decision_id, release_id
  from core.promotions;
comment on view library.promotions is 'Every move of a champion, and every decision not to move it.';
comment on column library.promotions.id is 'Counts up.';
comment on column library.promotions.created_at is 'When it was decided.';
comment on column library.promotions.model_name is 'guidealign-retriever, guidealign-labrador or guidealign-guidance (a policy)';
comment on column library.promotions.action is 'promote, hold, rollback or refuse';
comment on column library.promotions.from_version is 'The champion before; 0 is the untrained base.';
comment on column library.promotions.to_version is 'The champion after.';
comment on column library.promotions.actor is 'The program, or the person who moved it.';
comment on column library.promotions.reason is 'In a sentence.';
comment on column library.promotions.gate_decision_id is 'The decision behind it: library.gate_history.id.';
comment on column library.promotions.release_id is 'The release that it made: library.releases.id.';
grant select on library.promotions to analyst, guidealign_reviewer, guidealign_app;
