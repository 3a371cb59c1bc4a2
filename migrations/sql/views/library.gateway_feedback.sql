create or replace view library.gateway_feedback as
select id, response_id, key_id, source, measure, value, reason, created_at from core.feedback;
comment on view library.gateway_feedback is 'What users and judges thought of answers of the gateway.';
comment on column library.gateway_feedback.id is 'Grows with time; of one source and measure the newest counts.';
comment on column library.gateway_feedback.response_id is 'See library.gateway_requests.';
comment on column library.gateway_feedback.key_id is 'See library.gateway_keys.';
comment on column library.gateway_feedback.source is 'user, or the name of a judge';
comment on column library.gateway_feedback.measure is 'thumbs, or the name of a score';
comment on column library.gateway_feedback.value is '0 worst to 1 best; thumbs are 0 or 1';
comment on column library.gateway_feedback.reason is 'In words, personal data masked.';
comment on column library.gateway_feedback.created_at is 'When it came in.';
grant select on library.gateway_feedback to analyst, guidealign_reviewer, guidealign_app;
