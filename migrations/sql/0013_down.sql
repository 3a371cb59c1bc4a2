drop view library.drift_clusters, library.drift;
drop table core.drift_clusters, core.drift_reports;
drop index core.ix_leases_open;
alter table core.leases drop column priority;
create index ix_leases_open on core.leases (task, item_id) where done_at is null and failed_at is null;
