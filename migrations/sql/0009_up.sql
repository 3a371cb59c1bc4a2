-- A switch says what it is about to do before it touches the registry, so that whoever comes next can finish it.

create table core.switches (
  id bigint generated always as identity constraint pk_switches primary key,
  model_name text not null,
  action text not null,
  from_version integer not null,
  to_version integer not null,
  previous_version integer,
  challenger_version integer,
  gate_decision_id bigint constraint fk_switches_gate_decision_id_gate_decisions references core.gate_decisions (id),
  actor text not null,
  reason text not null,
  begun_at timestamptz not null default now(),
  ended_at timestamptz,
  outcome text,
  constraint ck_switches_action check (action in ('promote', 'rollback')),
  constraint ck_switches_outcome check (outcome in ('done', 'undone')),
  constraint ck_switches_ended check ((ended_at is null) = (outcome is null))
);
comment on table core.switches is 'What a switch is about to do, written before it moves the registry''s aliases.';
comment on column core.switches.from_version is 'the champion before; 0: the untrained base';
comment on column core.switches.to_version is 'the champion after';
comment on column core.switches.previous_version is 'where the alias previous stood; null: there was none';
comment on column core.switches.challenger_version is 'where the alias challenger stood; null: there was none';
comment on column core.switches.ended_at is 'null: it runs, or its process died in its middle';
comment on column core.switches.outcome is 'done: promotions has its row; undone: the aliases were put back';
create unique index uq_switches_open on core.switches (model_name) where ended_at is null;

revoke all on core.switches from guidealign_app;
grant select, insert on core.switches to guidealign_app;
grant update (ended_at, outcome) on core.switches to guidealign_app;
