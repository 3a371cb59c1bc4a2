-- The rules of guidelines as they stood before revision 0003.

revoke usage on sequence core.guidelines_id_seq, core.inputs_id_seq from guidealign_app;

create function core.guard_guideline() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    raise exception 'a guideline is never deleted: retire it instead'
      using errcode = 'restrict_violation';
  end if;
  if (new.title, new.text, new.text_hash, new.category, new.origin, new.created_at)
     is distinct from (old.title, old.text, old.text_hash, old.category, old.origin, old.created_at)
  then
    raise exception 'a guideline''s words never change: add a new one and retire this one'
      using errcode = 'restrict_violation';
  end if;
  if new.state <> old.state and (old.state, new.state) not in (
       ('candidate', 'active'), ('candidate', 'merged'), ('candidate', 'quarantined'),
       ('candidate', 'retired'), ('quarantined', 'candidate'), ('quarantined', 'retired'),
       ('active', 'retired'), ('active', 'merged'), ('merged', 'candidate')) then
    raise exception 'a guideline cannot go from % to %', old.state, new.state
      using errcode = 'restrict_violation';
  end if;
  if new.state <> old.state then
    new.state_changed_at := now();
  end if;
  return new;
end $$;
create trigger guard_guideline before update or delete on core.guidelines
  for each row execute function core.guard_guideline();
grant insert, update on all tables in schema core to guidealign_app;
alter default privileges in schema core grant insert, update on tables to guidealign_app;
alter function core.refuse_change() reset all;
do $$
begin
  execute format('grant temporary on database %I to public', current_database());
end $$;
