create or replace view library.gateway_accounts as
select process, kind, n_accepted, n_stored, n_dropped, dropped, closed, started_at, updated_at
  from core.gateway_accounts;
comment on view library.gateway_accounts is 'What each server process recorded and what it had to drop, as of its last batch.';
comment on column library.gateway_accounts.process is 'One run of one server process.';
comment on column library.gateway_accounts.kind is 'request (library.gateway_requests) or input (to the inbox)';
comment on column library.gateway_accounts.n_accepted is 'Records given to it: always stored plus dropped.';
comment on column library.gateway_accounts.n_stored is 'Of them in the database.';
comment on column library.gateway_accounts.n_dropped is 'Of them lost.';
comment on column library.gateway_accounts.dropped is 'Number by reason: full, too_long, duplicate, refused, shutdown.';
comment on column library.gateway_accounts.closed is 'It ended in order; else it runs, or was killed with what it held in memory.';
comment on column library.gateway_accounts.started_at is 'When its first batch was stored.';
comment on column library.gateway_accounts.updated_at is 'When its last batch was stored.';
grant select on library.gateway_accounts to analyst, guidealign_reviewer, guidealign_app;
