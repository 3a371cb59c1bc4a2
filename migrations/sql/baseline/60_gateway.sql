-- The gateway: keys, what it logs, and feedback.

create table core.gateway_keys (
  id bigint generated always as identity constraint pk_gateway_keys primary key,
  name text not null,
  secret_hash bytea not null,
  previous_hash bytea,
  previous_until timestamptz,
  scopes text[] not null,
  mode text not null default 'inject',
  retriever_failure text not null default 'open',
  log text not null default 'off',
  log_share double precision not null default 0,
  withhold_share double precision not null default 0,
  canary_share double precision not null default 0,
  requests_per_minute bigint,
  tokens_per_minute bigint,
  expires_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  constraint ck_gateway_keys_limits
    check (requests_per_minute between 1 and 100000000 and tokens_per_minute between 1 and 100000000),
  constraint ck_gateway_keys_log check (log in ('off', 'sampled', 'all')),
  constraint ck_gateway_keys_mode check (mode in ('inject', 'monitor', 'off')),
  constraint ck_gateway_keys_previous check ((previous_hash is null) = (previous_until is null)),
  constraint ck_gateway_keys_retriever_failure check (retriever_failure in ('open', 'closed')),
  constraint ck_gateway_keys_scopes
    check (cardinality(scopes) > 0 and scopes <@ '{chat,embeddings,retrieve,override,feedback,ops}'::text[]),
  constraint ck_gateway_keys_secret_hash check (octet_length(secret_hash) = 32),
  constraint ck_gateway_keys_shares
    check (log_share between 0 and 1 and withhold_share between 0 and 1 and canary_share between 0 and 1)
);
comment on table core.gateway_keys is 'An API key of the gateway: what it may do, and how its requests are treated.';
comment on column core.gateway_keys.name is 'for people; one live key has it';
comment on column core.gateway_keys.secret_hash is 'SHA-256 of the secret, which nobody keeps';
comment on column core.gateway_keys.previous_hash is 'of the secret before a rotation';
comment on column core.gateway_keys.previous_until is 'until when the secret before works as well';
create unique index uq_gateway_keys_live_name on core.gateway_keys (name) where revoked_at is null;
grant insert on core.gateway_keys to guidealign_app;
grant update (name, secret_hash, previous_hash, previous_until, scopes, mode, retriever_failure, log, log_share, withhold_share,
  canary_share, requests_per_minute, tokens_per_minute, expires_at, revoked_at) on core.gateway_keys to guidealign_app;

create table core.key_events (
  id bigint generated always as identity constraint pk_key_events primary key,
  key_id bigint not null constraint fk_key_events_key_id_gateway_keys references core.gateway_keys (id),
  event text not null,
  changes jsonb not null,
  actor text not null,
  created_at timestamptz not null default now(),
  constraint ck_key_events_event check (event in ('created', 'changed', 'rotated', 'revoked'))
);
comment on table core.key_events is 'Every change of a key, written by the database itself: append-only.';
comment on column core.key_events.changes is 'by field: what it was and what it is; never a secret';
create index ix_key_events_key_id on core.key_events (key_id);

create table core.canaries (
  id bigint generated always as identity constraint pk_canaries primary key,
  library_version integer constraint fk_canaries_library_version_library_versions references core.library_versions (version),
  retriever_version integer,
  release_id bigint constraint fk_canaries_release_id_releases references core.releases (id),
  actor text not null,
  reason text not null,
  created_at timestamptz not null default now(),
  constraint ck_canaries_parts check ((library_version is null) = (retriever_version is null))
);
comment on table core.canaries is 'A candidate release that the gateway tries on some conversations: the newest row counts.';
comment on column core.canaries.library_version is 'null: from here on there is no candidate';
comment on column core.canaries.release_id is 'what was live then';
grant insert on core.canaries to guidealign_app;

create table core.replays (
  id bigint generated always as identity constraint pk_replays primary key,
  release_id bigint not null constraint fk_replays_release_id_releases references core.releases (id),
  library_version integer not null,
  retriever_version integer not null,
  source text not null,
  n_requests bigint not null,
  n_changed bigint not null,
  n_abstained_live bigint not null,
  n_abstained_candidate bigint not null,
  tokens_live bigint not null,
  tokens_candidate bigint not null,
  report jsonb not null,
  actor text not null,
  created_at timestamptz not null default now(),
  constraint ck_replays_counts
    check (n_changed <= n_requests and n_abstained_live <= n_requests and n_abstained_candidate <= n_requests),
  constraint fk_replays_library_version_library_versions
    foreign key (library_version) references core.library_versions (version)
);
comment on table core.replays is 'A candidate release run over recorded requests beside the live one: append-only.';
comment on column core.replays.release_id is 'what the candidate was compared with';
comment on column core.replays.source is 'inbox, or the file of the requests';
comment on column core.replays.n_changed is 'requests that would get other guidelines';
comment on column core.replays.tokens_live is 'of the guidelines of all requests, by estimate';
comment on column core.replays.report is 'all figures; no text of requests';
grant insert on core.replays to guidealign_app;

create table core.gateway_requests (
  response_id text not null constraint pk_gateway_requests primary key,
  key_id bigint not null constraint fk_gateway_requests_key_id_gateway_keys references core.gateway_keys (id),
  occurred_at timestamptz not null,
  endpoint text not null,
  status integer not null,
  mode text not null,
  guidance text not null,
  model text,
  upstream text,
  upstream_status integer,
  release_id bigint constraint fk_gateway_requests_release_id_releases references core.releases (id),
  canary boolean not null,
  canary_id bigint constraint fk_gateway_requests_canary_id_canaries references core.canaries (id),
  guideline_ids bigint[] not null,
  scores double precision[] not null,
  groups text[] not null,
  withheld_ids bigint[] not null,
  withheld_groups text[] not null,
  withhold_share double precision,
  conversation_hash text,
  prompt_tokens bigint,
  completion_tokens bigint,
  retrieval_ms double precision,
  upstream_ms double precision,
  first_token_ms double precision,
  total_ms double precision,
  logged_at timestamptz not null default now(),
  refused boolean,
  constraint ck_gateway_requests_canary check (canary or canary_id is null),
  constraint ck_gateway_requests_guidance
    check (guidance in ('injected', 'abstained', 'monitored', 'off', 'unguided')),
  constraint ck_gateway_requests_guidelines
    check (cardinality(guideline_ids) = cardinality(scores) and cardinality(guideline_ids) = cardinality(groups)),
  constraint ck_gateway_requests_withheld
    check (withheld_groups <@ groups and withheld_ids <@ guideline_ids)
);
comment on table core.gateway_requests is 'A request that the gateway answered or refused: ids and figures, no text.';
comment on column core.gateway_requests.release_id is 'what was live; of a canary: what the candidate answered in place of';
comment on column core.gateway_requests.groups is 'the category of each guideline';
comment on column core.gateway_requests.withhold_share is 'probability with which each group was withheld; null: nothing was drawn';
comment on column core.gateway_requests.conversation_hash is 'SHA-256, cut to 128 bits';
comment on column core.gateway_requests.refused is 'whether the answer declines in its first words; null: there was none, or it was not looked at';
create index ix_gateway_requests_drawn on core.gateway_requests (key_id) where withhold_share is not null;
create index ix_gateway_requests_occurred_at on core.gateway_requests (occurred_at);
grant insert on core.gateway_requests to guidealign_app;

-- Counted as requests are stored: an array in each of millions of requests cannot be asked for one
-- guideline, or for all, in time. The trigger alone writes the counts.
create table core.gateway_retrieval_counts (
  guideline_id bigint not null constraint pk_gateway_retrieval_counts primary key,
  n_found bigint not null,
  n_kept bigint not null,
  last_kept_at timestamptz,
  constraint ck_gateway_retrieval_counts_counts check (n_kept between 0 and n_found),
  constraint fk_gateway_retrieval_counts_guideline_id_guidelines
    foreign key (guideline_id) references core.guidelines (id)
);
comment on table core.gateway_retrieval_counts is 'How often the gateway found each guideline; the database counts as requests are stored.';
comment on column core.gateway_retrieval_counts.n_found is 'requests that it was found for, within k and the budget';
comment on column core.gateway_retrieval_counts.n_kept is 'of them, those whose model was given it';

create table core.inbox (
  id bigint generated always as identity constraint pk_inbox primary key,
  response_id text not null constraint uq_inbox_response_id unique,
  key_id bigint not null constraint fk_inbox_key_id_gateway_keys references core.gateway_keys (id),
  text text not null,
  context text,
  occurred_at timestamptz not null,
  logged_at timestamptz not null default now()
);
comment on table core.inbox is 'What users said to the gateway, masked, until ingest has read it and its time is over.';
comment on column core.inbox.id is 'grows in the order in which rows become visible: ingest goes by it';
comment on column core.inbox.text is 'the last user turn, personal data masked';
comment on column core.inbox.context is 'earlier turns that the retriever was given, masked';
grant insert, delete on core.inbox to guidealign_app;

create table core.feedback (
  id bigint generated always as identity constraint pk_feedback primary key,
  response_id text not null,
  key_id bigint not null constraint fk_feedback_key_id_gateway_keys references core.gateway_keys (id),
  source text not null default 'user',
  measure text not null default 'thumbs',
  value double precision not null,
  reason text,
  created_at timestamptz not null default now(),
  constraint ck_feedback_value check (value between 0 and 1 and (measure <> 'thumbs' or value in (0, 1))),
  constraint fk_feedback_response_id_gateway_requests
    foreign key (response_id) references core.gateway_requests (response_id)
);
comment on table core.feedback is 'What somebody thought of an answer: append-only, the newest of its kind counts.';
comment on column core.feedback.source is 'user, or the name of a judge';
comment on column core.feedback.measure is 'thumbs, or the name of a score';
comment on column core.feedback.value is '0 worst to 1 best; thumbs are 0 or 1';
comment on column core.feedback.reason is 'in words, personal data masked';
create index ix_feedback_response_id on core.feedback (response_id);
grant insert on core.feedback to guidealign_app;

create table core.gateway_accounts (
  process uuid not null,
  kind text not null,
  sequence bigint not null,
  n_accepted bigint not null,
  n_stored bigint not null,
  n_dropped bigint not null,
  dropped jsonb not null,
  closed boolean not null default false,
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_gateway_accounts primary key (process, kind),
  constraint ck_gateway_accounts_balance check (n_accepted = n_stored + n_dropped),
  constraint ck_gateway_accounts_kind check (kind in ('request', 'input'))
);
comment on table core.gateway_accounts is 'What each server process was given to record, and what became of it.';
comment on column core.gateway_accounts.sequence is 'of the last batch that was stored: a batch sent twice is stored once';
comment on column core.gateway_accounts.dropped is 'number by reason';
comment on column core.gateway_accounts.closed is 'the process ended in order, with nothing left in memory';
grant insert, update on core.gateway_accounts to guidealign_app;
