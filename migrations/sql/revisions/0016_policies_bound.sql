-- Behind the policies of old releases: from here on each release has one.

update core.canaries c set policy_version = r.policy_version from core.releases r
 where r.id = coalesce(c.release_id, (select min(id) from core.releases)) and c.library_version is not null;
update core.replays y set policy_version = r.policy_version from core.releases r where r.id = y.release_id;
alter table core.releases alter column policy_version set not null, drop column prompt_version, drop column settings;
alter table core.replays alter column policy_version set not null;
alter table core.canaries drop constraint ck_canaries_parts, add constraint ck_canaries_parts
  check ((library_version is null) = (retriever_version is null) and (library_version is null) = (policy_version is null));
