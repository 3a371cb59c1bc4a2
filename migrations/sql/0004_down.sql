-- Takes revision 0004 back.

-- Augmentation ------------------------------------------------------------------------------------

drop view library.input_examples;
drop view library.augmentations;
drop table core.input_examples;
drop table core.augmentations;
comment on column core.ingest_batches.kind is 'jsonl, csv, parquet, sql or starter';
