create or replace view library.versions as
select version, n_active, n_added, n_retired, note, published_by, published_at, digest
  from core.library_versions;
comment on view library.versions is 'Every publication of the library, for ever.';
comment on column library.versions.version is 'Counts up without a gap.';
comment on column library.versions.n_active is 'Guidelines that it serves.';
comment on column library.versions.n_added is 'Guidelines that the version before did not serve.';
comment on column library.versions.n_retired is 'Guidelines that the version before served and this one does not.';
comment on column library.versions.note is 'What the publication was for.';
comment on column library.versions.published_by is 'The program, or the person whose decision made it.';
comment on column library.versions.published_at is 'Served from then until the next version.';
comment on column library.versions.digest is 'SHA-256 over the active guidelines'' texts; library.digest(version) computes it anew.';
grant select on library.versions to analyst, guidealign_reviewer, guidealign_app;
