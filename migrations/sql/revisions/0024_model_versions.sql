-- What was registered is told by a database that MLflow's users cannot write.

create table core.model_versions (
  model_name text not null,
  version integer not null,
  manifest_sha256 text not null,
  registered_at timestamptz not null default now(),
  constraint pk_model_versions primary key (model_name, version),
  constraint ck_model_versions_manifest_sha256 check (manifest_sha256 ~ '^[0-9a-f]{64}$')
);
comment on table core.model_versions is 'Every model version that was registered here: append-only; no other is loaded or served.';
comment on column core.model_versions.manifest_sha256 is 'of the list of its files and their digests';
grant insert on core.model_versions to guidealign_app;
