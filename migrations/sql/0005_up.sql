-- The gateway: keys, what it logs, and feedback

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
  constraint ck_gateway_keys_secret_hash check (octet_length(secret_hash) = 32),
  constraint ck_gateway_keys_previous check ((previous_hash is null) = (previous_until is null)),
  constraint ck_gateway_keys_scopes check (cardinality(scopes) > 0 and scopes <@ '{chat,embeddings,retrieve,override,feedback,ops}'::text[]),
  constraint ck_gateway_keys_mode check (mode in ('inject', 'monitor', 'off')),
  constraint ck_gateway_keys_retriever_failure check (retriever_failure in ('open', 'closed')),
  constraint ck_gateway_keys_log check (log in ('off', 'sampled', 'all')),
  constraint ck_gateway_keys_shares check (log_share between 0 and 1 and withhold_share between 0 and 1 and canary_share between 0 and 1),
  constraint ck_gateway_keys_limits check (requests_per_minute between 1 and 100000000 and tokens_per_minute between 1 and 100000000)
);
comment on table core.gateway_keys is 'An API key of the gateway: what it may do, and how its requests are treated.';
comment on column core.gateway_keys.name is 'for people; one live key has it';
comment on column core.gateway_keys.secret_hash is 'SHA-256 of the secret, which nobody keeps';
comment on column core.gateway_keys.previous_hash is 'of the secret before a rotation';
comment on column core.gateway_keys.previous_until is 'until when the secret before works as well';
create unique index uq_gateway_keys_live_name on core.gateway_keys (name) where revoked_at is null;

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

create table core.replays (
  id bigint generated always as identity constraint pk_replays primary key,
  release_id bigint not null constraint fk_replays_release_id_releases references core.releases (id),
  library_version integer not null constraint fk_replays_library_version_library_versions references core.library_versions (version),
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
  constraint ck_replays_counts check (n_changed <= n_requests and n_abstained_live <= n_requests and n_abstained_candidate <= n_requests)
);
comment on table core.replays is 'A candidate release run over recorded requests beside the live one: append-only.';
comment on column core.replays.release_id is 'what the candidate was compared with';
comment on column core.replays.source is 'inbox, or the file of the requests';
comment on column core.replays.n_changed is 'requests that would get other guidelines';
comment on column core.replays.tokens_live is 'of the guidelines of all requests, by estimate';
comment on column core.replays.report is 'all figures; no text of requests';

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
  constraint ck_gateway_requests_guidance check (guidance in ('injected', 'abstained', 'monitored', 'off', 'unguided')),
  constraint ck_gateway_requests_canary check (canary or canary_id is null),
  constraint ck_gateway_requests_guidelines check (cardinality(guideline_ids) = cardinality(scores) and cardinality(guideline_ids) = cardinality(groups)),
  constraint ck_gateway_requests_withheld check (withheld_groups <@ groups and withheld_ids <@ guideline_ids)
);
comment on table core.gateway_requests is 'A request that the gateway answered or refused: ids and figures, no text.';
comment on column core.gateway_requests.release_id is 'what was live; of a canary: what the candidate answered in place of';
comment on column core.gateway_requests.groups is 'the category of each guideline';
comment on column core.gateway_requests.withhold_share is 'probability with which each group was withheld; null: nothing was drawn';
comment on column core.gateway_requests.conversation_hash is 'SHA-256, cut to 128 bits';
create index ix_gateway_requests_occurred_at on core.gateway_requests (occurred_at);
create index ix_gateway_requests_drawn on core.gateway_requests (key_id) where withhold_share is not null;

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

create table core.feedback (
  id bigint generated always as identity constraint pk_feedback primary key,
  response_id text not null constraint fk_feedback_response_id_gateway_requests references core.gateway_requests (response_id),
  key_id bigint not null constraint fk_feedback_key_id_gateway_keys references core.gateway_keys (id),
  source text not null default 'user',
  measure text not null default 'thumbs',
  value double precision not null,
  reason text,
  created_at timestamptz not null default now(),
  constraint ck_feedback_value check (value between 0 and 1 and (measure <> 'thumbs' or value in (0, 1)))
);
comment on table core.feedback is 'What somebody thought of an answer: append-only, the newest of its kind counts.';
comment on column core.feedback.source is 'user, or the name of a judge';
comment on column core.feedback.measure is 'thumbs, or the name of a score';
comment on column core.feedback.value is '0 worst to 1 best; thumbs are 0 or 1';
comment on column core.feedback.reason is 'in words, personal data masked';
create index ix_feedback_response_id on core.feedback (response_id);

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
  constraint ck_gateway_accounts_kind check (kind in ('request', 'input')),
  constraint ck_gateway_accounts_balance check (n_accepted = n_stored + n_dropped)
);
comment on table core.gateway_accounts is 'What each server process was given to record, and what became of it.';
comment on column core.gateway_accounts.sequence is 'of the last batch that was stored: a batch sent twice is stored once';
comment on column core.gateway_accounts.dropped is 'number by reason';
comment on column core.gateway_accounts.closed is 'the process ended in order, with nothing left in memory';

comment on column core.ingest_batches.kind is 'jsonl, csv, parquet, sql, inbox, starter or model';

-- Keys are audited by the database itself. Events become visible in the order of their ids, so
-- that a server which has seen one has seen all before it.
create function core.guard_key() returns trigger language plpgsql set search_path = core, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    raise exception 'a key is never deleted: revoke it instead' using errcode = 'restrict_violation';
  end if;
  if old.revoked_at is not null then
    raise exception 'key % is revoked, and stays so', old.id using errcode = 'restrict_violation';
  end if;
  if (new.id, new.created_at) is distinct from (old.id, old.created_at) then
    raise exception 'a key keeps its number and its birth' using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
comment on function core.guard_key() is 'Holds that a revoked key stays revoked and that none goes.';
create trigger guard_key before update or delete on core.gateway_keys
  for each row execute function core.guard_key();

create function core.record_key_event() returns trigger language plpgsql security definer
set search_path = core, pg_temp as $$
declare
  secrets constant text[] := array['secret_hash', 'previous_hash'];
  before constant jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) - secrets else '{}' end;
  after constant jsonb := to_jsonb(new) - secrets;
  changes jsonb;
  event text;
begin
  select coalesce(jsonb_object_agg(a.key, jsonb_build_array(before -> a.key, a.value)), '{}')
    into changes
    from jsonb_each(after) a where a.value is distinct from before -> a.key;
  event := case when tg_op = 'INSERT' then 'created'
                when new.revoked_at is not null then 'revoked'
                when new.secret_hash <> old.secret_hash then 'rotated'
                else 'changed' end;
  if event = 'changed' and changes = '{}' then
    return null;
  end if;
  perform pg_advisory_xact_lock(hashtext('guidealign.key_events'));
  insert into key_events (key_id, event, changes, actor, created_at)
  values (new.id, event, changes, core.actor(), clock_timestamp());
  return null;
end $$;
comment on function core.record_key_event() is 'Writes every change of a key into core.key_events.';
create trigger record_key_event after insert or update on core.gateway_keys
  for each row execute function core.record_key_event();
create trigger append_only before update or delete on core.key_events
  for each row execute function core.refuse_change();
create trigger append_only before update or delete on core.canaries
  for each row execute function core.refuse_change();
create trigger append_only before update or delete on core.replays
  for each row execute function core.refuse_change();
create trigger append_only before update or delete on core.feedback
  for each row execute function core.refuse_change();

-- Views.

create view library.gateway_keys as
select id, name, scopes, mode, retriever_failure, log, log_share, withhold_share, canary_share,
       requests_per_minute, tokens_per_minute, created_at, expires_at, revoked_at,
       case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired'
            else 'live' end as state
  from core.gateway_keys;
comment on view library.gateway_keys is 'The keys of the gateway: what each may do, and how its requests are treated.';
comment on column library.gateway_keys.id is 'The number in the key itself: ga-<id>-<secret>.';
comment on column library.gateway_keys.name is 'For people; one live key has it.';
comment on column library.gateway_keys.scopes is 'chat, embeddings, retrieve, override, feedback, ops';
comment on column library.gateway_keys.mode is 'inject, monitor (find and record, do not use) or off';
comment on column library.gateway_keys.retriever_failure is 'What a broken retriever does: open answers unguided, closed refuses.';
comment on column library.gateway_keys.log is 'Which inputs go, masked, to the inbox: off, sampled or all.';
comment on column library.gateway_keys.log_share is 'Of the inputs, where log is sampled.';
comment on column library.gateway_keys.withhold_share is 'Probability with which each group of guidelines is withheld from a request.';
comment on column library.gateway_keys.canary_share is 'Of the conversations, answered under the candidate release.';
comment on column library.gateway_keys.requests_per_minute is 'Null: no limit.';
comment on column library.gateway_keys.tokens_per_minute is 'Prompt and completion; null: no limit.';
comment on column library.gateway_keys.created_at is 'When it was made.';
comment on column library.gateway_keys.expires_at is 'When it stops by itself; null: never.';
comment on column library.gateway_keys.revoked_at is 'When somebody stopped it.';
comment on column library.gateway_keys.state is 'live, expired or revoked';

create view library.gateway_key_events as
select e.created_at, e.key_id, k.name, e.event, e.changes, e.actor
  from core.key_events e join core.gateway_keys k on k.id = e.key_id;
comment on view library.gateway_key_events is 'Who made, changed, rotated or revoked which key of the gateway.';
comment on column library.gateway_key_events.created_at is 'When it happened.';
comment on column library.gateway_key_events.key_id is 'See library.gateway_keys.';
comment on column library.gateway_key_events.name is 'The key''s name, as it is now.';
comment on column library.gateway_key_events.event is 'created, changed, rotated or revoked';
comment on column library.gateway_key_events.changes is 'By field: [what it was, what it is].';
comment on column library.gateway_key_events.actor is 'The program or person who did it.';

create view library.gateway_requests as
select r.response_id, r.occurred_at, r.key_id, k.name as key_name, r.endpoint, r.status, r.model, r.upstream,
       r.upstream_status, r.mode, r.guidance, r.release_id, r.canary, r.canary_id, r.guideline_ids, r.scores, r.groups,
       r.withheld_ids, r.withheld_groups, r.withhold_share, r.conversation_hash, r.prompt_tokens,
       r.completion_tokens, r.retrieval_ms, r.upstream_ms, r.first_token_ms, r.total_ms
  from core.gateway_requests r join core.gateway_keys k on k.id = r.key_id;
comment on view library.gateway_requests is 'What the gateway answered or refused: which guidelines, which release, how long, how much.';
comment on column library.gateway_requests.response_id is 'The id that the answer carried.';
comment on column library.gateway_requests.occurred_at is 'When the request came in.';
comment on column library.gateway_requests.key_id is 'See library.gateway_keys.';
comment on column library.gateway_requests.key_name is 'The key''s name, as it is now.';
comment on column library.gateway_requests.endpoint is 'chat, responses, embeddings or retrieve';
comment on column library.gateway_requests.status is 'HTTP status of the answer.';
comment on column library.gateway_requests.model is 'The model, as the caller named it.';
comment on column library.gateway_requests.upstream is 'The server that answered.';
comment on column library.gateway_requests.upstream_status is 'Its HTTP status; null: none answered.';
comment on column library.gateway_requests.mode is 'Of the key, when the request came in.';
comment on column library.gateway_requests.guidance is 'injected, abstained (none was near enough), monitored, off, or unguided (the retriever failed)';
comment on column library.gateway_requests.release_id is 'What was live; see library.live_at(). Of a canary: what the candidate answered in place of.';
comment on column library.gateway_requests.canary is 'Answered under the candidate release.';
comment on column library.gateway_requests.canary_id is 'Which candidate; see library.canaries.';
comment on column library.gateway_requests.guideline_ids is 'Those that were chosen, nearest first, before anything was withheld.';
comment on column library.gateway_requests.scores is 'Cosine of each guideline.';
comment on column library.gateway_requests.groups is 'Category of each guideline.';
comment on column library.gateway_requests.withheld_ids is 'Those that were kept from the model at random.';
comment on column library.gateway_requests.withheld_groups is 'Their categories.';
comment on column library.gateway_requests.withhold_share is 'Probability with which each group was withheld; null: nothing was drawn.';
comment on column library.gateway_requests.conversation_hash is 'The same for all requests of a conversation.';
comment on column library.gateway_requests.prompt_tokens is 'Read by the model, guidelines included.';
comment on column library.gateway_requests.completion_tokens is 'Written by the model.';
comment on column library.gateway_requests.retrieval_ms is 'Spent on finding guidelines.';
comment on column library.gateway_requests.upstream_ms is 'Spent waiting for the model.';
comment on column library.gateway_requests.first_token_ms is 'Until the first token of a streamed answer went out.';
comment on column library.gateway_requests.total_ms is 'From the request''s arrival to the end of the answer.';

create view library.canaries as
select c.id, c.library_version, c.retriever_version, c.release_id, c.actor, c.reason, c.created_at,
       p.id as promoted_as,
       case when c.library_version is null then 'cleared'
            when p.created_at <= coalesce(lead(c.created_at) over (order by c.id), 'infinity') then 'promoted'
            when c.id < max(c.id) over () then 'ended' else 'open' end as state
  from core.canaries c
  left join lateral (select r.id, r.created_at from core.releases r
    where r.id > coalesce(c.release_id, 0) and r.library_version = c.library_version
      and r.retriever_version = c.retriever_version order by r.id limit 1) p on true;
comment on view library.canaries is 'The candidate releases that the gateway has tried on a share of conversations.';
comment on column library.canaries.id is 'The newest row counts.';
comment on column library.canaries.library_version is 'Of the candidate; null: the row ends the one before.';
comment on column library.canaries.retriever_version is 'Of the candidate.';
comment on column library.canaries.release_id is 'What was live when it was declared.';
comment on column library.canaries.actor is 'Who declared it.';
comment on column library.canaries.reason is 'Why.';
comment on column library.canaries.created_at is 'When.';
comment on column library.canaries.promoted_as is 'The release with the same library and retriever that came after it.';
comment on column library.canaries.state is 'open (in use), promoted, ended (another came, or it was cleared), cleared (the row that ends one)';

create view library.replays as
select y.id, y.created_at, y.actor, y.release_id, y.library_version, y.retriever_version, y.source,
       y.n_requests, y.n_changed, y.n_changed::float8 / nullif(y.n_requests, 0) as share_changed,
       y.n_abstained_live, y.n_abstained_candidate, y.tokens_live, y.tokens_candidate, y.report, p.id as promoted_as
  from core.replays y
  left join lateral (select min(r.id) as id from core.releases r
    where r.id > y.release_id and r.created_at >= y.created_at and r.library_version = y.library_version
      and r.retriever_version = y.retriever_version) p on true;
comment on view library.replays is 'Candidate releases that were run over recorded requests: whose guidelines would change, at what cost, and what became of the candidate.';
comment on column library.replays.id is 'Number of the replay.';
comment on column library.replays.created_at is 'When it ended.';
comment on column library.replays.actor is 'Who ran it.';
comment on column library.replays.release_id is 'What the candidate was compared with; see library.live_at().';
comment on column library.replays.library_version is 'Of the candidate.';
comment on column library.replays.retriever_version is 'Of the candidate.';
comment on column library.replays.source is 'inbox, or the file of the requests.';
comment on column library.replays.n_requests is 'Requests that were run.';
comment on column library.replays.n_changed is 'Of them would get other guidelines.';
comment on column library.replays.share_changed is 'n_changed of n_requests.';
comment on column library.replays.n_abstained_live is 'Requests without guidelines under what was live.';
comment on column library.replays.n_abstained_candidate is 'Requests without guidelines under the candidate.';
comment on column library.replays.tokens_live is 'Of all guidelines under what was live, by estimate.';
comment on column library.replays.tokens_candidate is 'Of all guidelines under the candidate, by estimate.';
comment on column library.replays.report is 'All figures: by category, by key, added and removed guidelines.';
comment on column library.replays.promoted_as is 'The release with the same library and retriever that came after it; null: none did.';

create view library.gateway_feedback as
select id, response_id, key_id, source, measure, value, reason, created_at from core.feedback;
comment on view library.gateway_feedback is 'What users and judges thought of answers of the gateway.';
comment on column library.gateway_feedback.id is 'Grows with time; of one source and measure the newest counts.';
comment on column library.gateway_feedback.response_id is 'See library.gateway_requests.';
comment on column library.gateway_feedback.key_id is 'See library.gateway_keys.';
comment on column library.gateway_feedback.source is 'user, or the name of a judge';
comment on column library.gateway_feedback.measure is 'thumbs, or the name of a score';
comment on column library.gateway_feedback.value is '0 worst to 1 best; thumbs are 0 or 1';
comment on column library.gateway_feedback.reason is 'In words, personal data masked.';
comment on column library.gateway_feedback.created_at is 'When it came in.';

create view library.gateway_accounts as
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

-- The effect of guidelines. Whether a group is withheld is drawn for each request and group with
-- a known probability. Within a key and a probability the two sides differ by the draw alone;
-- across them they do not, so effects are taken inside such strata and then combined.

create function library.wilson(share float8, n bigint, out low float8, out high float8)
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select greatest(0, centre - half), least(1, centre + half)
    from (select z2 / nullif(n, 0) as q from (values (1.959963984540054 ^ 2)) v (z2)) a,
         lateral (select (share + q / 2) / (1 + q) as centre,
                         sqrt(q * greatest(0, share * (1 - share)) + q * q / 4) / (1 + q) as half) b
   where n > 0
$$;
comment on function library.wilson(float8, bigint) is
  'The 95% score interval of a share of n (Wilson 1927); wider than need be for means of values between 0 and 1.';

create view library.guideline_effect_strata as
with drawn as (
  select r.response_id, r.key_id, r.withhold_share, g.name as category,
         g.name = any (r.withheld_groups) as withheld
    from core.gateway_requests r
    cross join lateral (select distinct unnest(r.groups) as name) g
   where r.withhold_share > 0 and r.withhold_share < 1
), requests as (
  select category, key_id, withhold_share,
         count(*) filter (where not withheld) as n_applied, count(*) filter (where withheld) as n_withheld
    from drawn group by 1, 2, 3
), outcomes as (
  select distinct on (f.response_id, f.source, f.measure) f.response_id, f.source, f.measure, f.value
    from core.feedback f order by f.response_id, f.source, f.measure, f.id desc
), arms as (
  select d.category, d.key_id, d.withhold_share, o.source, o.measure,
         count(*) filter (where not d.withheld) as n_applied, avg(o.value) filter (where not d.withheld) as applied,
         count(*) filter (where d.withheld) as n_withheld, avg(o.value) filter (where d.withheld) as withheld
    from drawn d join outcomes o on o.response_id = d.response_id
   group by 1, 2, 3, 4, 5
)
select a.category, a.source, a.measure, a.key_id, a.withhold_share,
       r.n_applied as n_requests_applied, r.n_withheld as n_requests_withheld,
       a.n_applied, a.n_withheld, a.applied, ia.low as applied_low, ia.high as applied_high,
       a.withheld, iw.low as withheld_low, iw.high as withheld_high,
       a.applied - a.withheld as difference,
       a.applied - a.withheld - sqrt((a.applied - ia.low) ^ 2 + (iw.high - a.withheld) ^ 2) as ci_low,
       a.applied - a.withheld + sqrt((ia.high - a.applied) ^ 2 + (a.withheld - iw.low) ^ 2) as ci_high
  from arms a
  join requests r using (category, key_id, withhold_share)
  left join lateral library.wilson(a.applied, a.n_applied) ia on true
  left join lateral library.wilson(a.withheld, a.n_withheld) iw on true;
comment on view library.guideline_effect_strata is 'Outcomes with and without a group of guidelines, by key and probability of withholding; interval by Newcombe (1998).';
comment on column library.guideline_effect_strata.category is 'The group: all guidelines of a risk category or quality topic.';
comment on column library.guideline_effect_strata.source is 'Who gave the outcome: user, or a judge.';
comment on column library.guideline_effect_strata.measure is 'thumbs, or the name of a score between 0 and 1';
comment on column library.guideline_effect_strata.key_id is 'See library.gateway_keys.';
comment on column library.guideline_effect_strata.withhold_share is 'The probability that was drawn with.';
comment on column library.guideline_effect_strata.n_requests_applied is 'Requests in which the group was found and used, with an outcome or without.';
comment on column library.guideline_effect_strata.n_requests_withheld is 'Requests in which the group was found and withheld, with an outcome or without.';
comment on column library.guideline_effect_strata.n_applied is 'Outcomes where it was used.';
comment on column library.guideline_effect_strata.n_withheld is 'Outcomes where it was withheld.';
comment on column library.guideline_effect_strata.applied is 'Mean outcome where it was used.';
comment on column library.guideline_effect_strata.applied_low is 'Lower end of its 95% interval.';
comment on column library.guideline_effect_strata.applied_high is 'Upper end of its 95% interval.';
comment on column library.guideline_effect_strata.withheld is 'Mean outcome where it was withheld.';
comment on column library.guideline_effect_strata.withheld_low is 'Lower end of its 95% interval.';
comment on column library.guideline_effect_strata.withheld_high is 'Upper end of its 95% interval.';
comment on column library.guideline_effect_strata.difference is 'Used less withheld: above 0 the group helps. Null: one side has no outcome yet.';
comment on column library.guideline_effect_strata.ci_low is 'Lower end of the 95% interval of the difference.';
comment on column library.guideline_effect_strata.ci_high is 'Upper end of the 95% interval of the difference.';

create view library.guideline_effects as
with weighed as (
  select s.*, w.weight, w.weight / nullif(sum(w.weight) over (partition by s.category, s.source, s.measure), 0) as part
    from library.guideline_effect_strata s
    cross join lateral (select s.n_applied::float8 * s.n_withheld / (s.n_applied + s.n_withheld) as weight) w
), combined as (
  select category, source, measure, count(*) filter (where weight > 0) as n_strata,
         sum(n_requests_applied)::bigint as n_requests_applied, sum(n_requests_withheld)::bigint as n_requests_withheld,
         coalesce(sum(n_applied) filter (where weight > 0), 0)::bigint as n_applied,
         coalesce(sum(n_withheld) filter (where weight > 0), 0)::bigint as n_withheld,
         sum(part * applied) filter (where weight > 0) as applied,
         sum(part * withheld) filter (where weight > 0) as withheld,
         sqrt(sum((part * (applied - applied_low)) ^ 2 + (part * (withheld_high - withheld)) ^ 2)
           filter (where weight > 0)) as below,
         sqrt(sum((part * (applied_high - applied)) ^ 2 + (part * (withheld - withheld_low)) ^ 2)
           filter (where weight > 0)) as above
    from weighed group by 1, 2, 3
)
select category, source, measure, n_requests_applied, n_requests_withheld, n_strata, n_applied, n_withheld,
       applied, withheld, applied - withheld as difference,
       applied - withheld - below as ci_low, applied - withheld + above as ci_high
  from combined;
comment on view library.guideline_effects is 'The effect of each group of guidelines on what users and judges think of answers: used less withheld at random, with its 95% interval.';
comment on column library.guideline_effects.category is 'The group: all guidelines of a risk category or quality topic.';
comment on column library.guideline_effects.source is 'Who gave the outcome: user, or a judge.';
comment on column library.guideline_effects.measure is 'thumbs, or the name of a score between 0 and 1';
comment on column library.guideline_effects.n_requests_applied is 'Requests in which the group was found and used, with an outcome or without.';
comment on column library.guideline_effects.n_requests_withheld is 'Requests in which the group was found and withheld: compare the shares that have an outcome.';
comment on column library.guideline_effects.n_strata is 'Keys and probabilities with outcomes on both sides.';
comment on column library.guideline_effects.n_applied is 'Outcomes in them where it was used.';
comment on column library.guideline_effects.n_withheld is 'Outcomes in them where it was withheld.';
comment on column library.guideline_effects.applied is 'Mean outcome where it was used, strata weighed as in the difference.';
comment on column library.guideline_effects.withheld is 'Mean outcome where it was withheld, strata weighed as in the difference.';
comment on column library.guideline_effects.difference is 'Used less withheld (Mantel-Haenszel weights): above 0 the group helps. Null: not known yet.';
comment on column library.guideline_effects.ci_low is 'Lower end of its 95% interval (Newcombe 1998, combined over strata after Zou and Donner 2008).';
comment on column library.guideline_effects.ci_high is 'Upper end of its 95% interval.';

-- Who may do what.
revoke all on function core.guard_key(), core.record_key_event(), library.wilson(float8, bigint) from public;
grant execute on function library.wilson(float8, bigint) to analyst, guidealign_reviewer, guidealign_app;
grant select on library.gateway_keys, library.gateway_key_events, library.gateway_requests, library.gateway_feedback,
  library.gateway_accounts, library.guideline_effect_strata, library.guideline_effects, library.canaries, library.replays
  to analyst, guidealign_reviewer, guidealign_app;
grant select on core.gateway_keys, core.key_events, core.gateway_requests, core.inbox, core.feedback,
  core.gateway_accounts, core.canaries, core.replays to guidealign_app;
grant insert on core.canaries, core.replays, core.gateway_keys, core.gateway_requests, core.inbox, core.feedback, core.gateway_accounts
  to guidealign_app;
grant update (name, secret_hash, previous_hash, previous_until, scopes, mode, retriever_failure, log, log_share,
  withhold_share, canary_share, requests_per_minute, tokens_per_minute, expires_at, revoked_at)
  on core.gateway_keys to guidealign_app;
grant update on core.gateway_accounts to guidealign_app;
grant delete on core.inbox to guidealign_app;
