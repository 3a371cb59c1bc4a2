create or replace function core.publication_lock() returns void language sql set search_path = core, pg_temp as $$
  select pg_advisory_xact_lock(hashtext('guidealign.publish'))
$$;
comment on function core.publication_lock() is
  'One publication at a time; held to the end of the transaction.';
grant execute on function core.publication_lock() to guidealign_app;
