-- A line may hold several turns of a chat: each that is rejected is a row of its own.

drop index core.uq_rejects_place;
create unique index uq_rejects_place on core.rejects (source, file, line, reason, batch_id, md5(detail)) where line is not null;
comment on column core.ingest_batches.kind is 'jsonl, json, csv, parquet, sql, inbox, starter or model';
comment on column core.inputs.text is 'as it was said, without what is unsafe or unseen: private';
comment on column core.inputs.source_id is 'the source''s own id; of a chat with the number of the turn, such as c1#2';
comment on table core.inputs is 'A user input; one row per text that differs in more than case, width, joiners and blanks.';
