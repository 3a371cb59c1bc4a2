-- Keys are audited by the database itself. Events become visible in the order of their ids, so
-- that a server which has seen one has seen all before it.
create or replace function core.guard_key() returns trigger language plpgsql set search_path = core, pg_temp as $$
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
create or replace trigger guard_key before update or delete on core.gateway_keys
  for each row execute function core.guard_key();
