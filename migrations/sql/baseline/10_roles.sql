-- Who may do what: analysts read; reviewers read and decide; the application adds, and moves
-- what moves, but rewrites no words and no ledger. The owner alone makes and drops objects (search
-- indexes too) and restores a library. Roles belong to the whole server: another database may have
-- made them, or make them at this moment.

create extension if not exists vector;
do $$
declare
  role text;
begin
  foreach role in array array['guidealign_app', 'analyst', 'guidealign_reviewer'] loop
    if not exists (select from pg_roles where rolname = role) then
      begin
        execute format('create role %I nologin', role);
      exception when duplicate_object or unique_violation then
        null;
      end;
    end if;
  end loop;
  execute format('revoke temporary on database %I from public', current_database());
  execute format('grant temporary on database %I to guidealign_app', current_database());
end $$;
revoke create on schema public from public;

create schema if not exists core;
revoke all on schema core from public;
grant usage on schema core to guidealign_app;
-- A new table starts with reading only; what else is allowed stands beside it.
alter default privileges in schema core grant select on tables to guidealign_app;

create schema library;
comment on schema library is 'What analysts read: guidelines, inputs (masked), coverage, lineage, gates.';
grant usage on schema library to analyst, guidealign_reviewer, guidealign_app;
