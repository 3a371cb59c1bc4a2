create or replace function core.record_key_event() returns trigger language plpgsql security definer
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
create or replace trigger record_key_event after insert or update on core.gateway_keys
  for each row execute function core.record_key_event();
