create or replace function library.live_at(moment timestamptz default now())
returns table (release_id bigint, library_version int, retriever_version int, labrador_version int, policy_version int, since timestamptz)
language sql stable security definer set search_path = core, public, pg_temp as $$
  select r.id, r.library_version, r.retriever_version, r.labrador_version, r.policy_version, r.created_at from core.releases r
   where r.created_at <= moment order by r.id desc limit 1
$$;
comment on function library.live_at(timestamptz) is 'What was served at a moment.';
grant execute on function library.live_at(timestamptz) to analyst, guidealign_reviewer, guidealign_app;
