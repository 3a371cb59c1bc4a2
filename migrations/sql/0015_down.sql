drop view library.watch;
drop table core.watch_looks;
alter table core.gateway_requests drop column refused;
