-- What a judge decided of rows is a row of its own: the newest one counts.

alter table core.aligned_datasets drop constraint uq_aligned_datasets_digest;
comment on column core.aligned_datasets.digest is
  'of its content alone: the same answers chosen or held by another judge share it';
