create or replace function library.as_of(version int)
returns table (id bigint, title text, text text, category text, language text, origin text)
language sql stable security definer set search_path = core, public, pg_temp as $$
  select g.id, g.title, g.text, g.category, g.language, g.origin from core.guidelines g
   where g.served @> as_of.version order by g.id
$$;

create or replace function library.as_of(moment timestamptz)
returns table (id bigint, title text, text text, category text, language text, origin text)
language sql stable security definer set search_path = core, public, pg_temp as $$
  select g.id, g.title, g.text, g.category, g.language, g.origin from core.guidelines g
   where g.served @> (select max(v.version) from core.library_versions v where v.published_at <= moment)
   order by g.id
$$;
comment on function library.as_of(int) is 'The library as a version served it.';
comment on function library.as_of(timestamptz) is 'The newest published library at a moment.';
grant execute on function library.as_of(int) to analyst, guidealign_reviewer, guidealign_app;
grant execute on function library.as_of(timestamptz) to analyst, guidealign_reviewer, guidealign_app;
