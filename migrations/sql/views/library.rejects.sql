create or replace view library.rejects as
select id, created_at, stage, reason, detail, source, file, line, input_id from core.rejects;
comment on view library.rejects is 'What did not go on, with place and reason; the rejected text itself stays private.';
comment on column library.rejects.id is 'Counts up.';
comment on column library.rejects.created_at is 'When it was put aside.';
comment on column library.rejects.stage is 'ingest, detect, guidelines, filter, align ...';
comment on column library.rejects.reason is 'A stable code, such as broken_json.';
comment on column library.rejects.detail is 'One sentence for a person, without user text.';
comment on column library.rejects.source is 'Of the reading, for ingest.';
comment on column library.rejects.file is 'That it stood in, for ingest.';
comment on column library.rejects.line is '1-based line or row of the file.';
comment on column library.rejects.input_id is 'The input, once it was one.';
grant select on library.rejects to analyst, guidealign_reviewer, guidealign_app;
