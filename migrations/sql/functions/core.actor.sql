-- A person who logs in is who she is; only the application, and whoever owns the database, acts
-- for others and may say for whom.
create or replace function core.actor() returns text language sql stable set search_path = core, pg_temp as $$
  select case when pg_has_role(session_user, 'guidealign_app', 'member')
                or pg_has_role(session_user, c.relowner, 'member')
              then coalesce(nullif(current_setting('guidealign.actor', true), ''), session_user)
              else session_user end
    from pg_class c where c.oid = 'core.guidelines'::regclass
$$;
comment on function core.actor() is
  'Who acts: the database user, or whom the application names in the setting guidealign.actor.';
