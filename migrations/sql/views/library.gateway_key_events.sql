create or replace view library.gateway_key_events as
select e.created_at, e.key_id, k.name, e.event, e.changes, e.actor
  from core.key_events e join core.gateway_keys k on k.id = e.key_id;
comment on view library.gateway_key_events is 'Who made, changed, rotated or revoked which key of the gateway.';
comment on column library.gateway_key_events.created_at is 'When it happened.';
comment on column library.gateway_key_events.key_id is 'See library.gateway_keys.';
comment on column library.gateway_key_events.name is 'The key''s name, as it is now.';
comment on column library.gateway_key_events.event is 'created, changed, rotated or revoked';
comment on column library.gateway_key_events.changes is 'By field: [what it was, what it is].';
comment on column library.gateway_key_events.actor is 'The program or person who did it.';
grant select on library.gateway_key_events to analyst, guidealign_reviewer, guidealign_app;
