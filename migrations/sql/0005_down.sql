-- Takes revision 0005 back.

drop view library.canaries, library.replays, library.guideline_effects, library.guideline_effect_strata, library.gateway_accounts,
  library.gateway_feedback, library.gateway_requests, library.gateway_key_events, library.gateway_keys;
drop function library.wilson(float8, bigint);
drop table core.gateway_accounts, core.feedback, core.inbox, core.gateway_requests, core.canaries,
  core.replays, core.key_events,
  core.gateway_keys;
drop function core.record_key_event(), core.guard_key();
comment on column core.ingest_batches.kind is 'jsonl, csv, parquet, sql, starter or model';
