create or replace view library.author_dead_letters as
select l.item_id as input_id, l.reason, l.last_error as detail, l.attempts, l.failures, l.failed_at,
       i.redacted_text as text, i.source
  from core.leases l
  join core.inputs i on i.id = l.item_id
 where l.task = 'author' and l.failed_at is not null;
comment on view library.author_dead_letters is
  'Inputs that authoring has given up; `guidealign author retry-failed` puts them back.';
comment on column library.author_dead_letters.input_id is 'See library.inputs.';
comment on column library.author_dead_letters.reason is
  'invalid_answer (no usable answer), refused_request (the endpoint refuses it), no_answer (others were answered) or worker_lost (its workers died).';
comment on column library.author_dead_letters.detail is 'Of the last try, a sentence.';
comment on column library.author_dead_letters.attempts is 'How often it was claimed.';
comment on column library.author_dead_letters.failures is 'How often that failed through the input itself.';
comment on column library.author_dead_letters.failed_at is 'When it was given up.';
comment on column library.author_dead_letters.text is 'The input with personal data masked.';
comment on column library.author_dead_letters.source is 'Where the input came from.';
grant select on library.author_dead_letters to analyst, guidealign_reviewer, guidealign_app;
