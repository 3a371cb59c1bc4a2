"""The whole schema as text, the same on PostgreSQL 16 to 18; `make docs` renews it."""

from __future__ import annotations

from pathlib import Path

import psycopg

from guidealign.db import make_engine, migrate
from guidealign.platform import temporary_postgres

FILE = Path(__file__).resolve().parents[1] / "docs" / "schema.txt"
# A kind that newer servers list and older ones do not know is left out: not null, as a constraint.
_OBJECTS = """
with objects as (
  select c.oid, n.nspname || '.' || c.relname as name, c.relkind,
         case c.relkind when 'r' then 'table ' else 'view ' end || n.nspname || '.' || c.relname
           || coalesce(' -- ' || obj_description(c.oid, 'pg_class'), '') as head
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where n.nspname in ('core', 'library') and c.relkind in ('r', 'v', 'm', 'p', 'f')
), parts as (
  select a.attrelid as oid, 1 as kind, a.attnum::text as place,
         a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || case when a.attnotnull then ' not null' else '' end
           || case when a.attidentity = 'a' then ' generated always as identity' else '' end
           || coalesce(case a.attgenerated when '' then ' default ' else ' generated always as ' end
                       || pg_get_expr(d.adbin, d.adrelid), '')
           || coalesce(' -- ' || col_description(a.attrelid, a.attnum), '') as line
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attnum > 0 and not a.attisdropped
  union all
  select conrelid, 2, conname, 'constraint ' || conname || ' ' || pg_get_constraintdef(oid)
    from pg_constraint where contype in ('p', 'u', 'c', 'f', 'x')
  union all
  select indrelid, 3, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    from pg_index i
   where not exists (select from pg_constraint k
                      where k.conindid = i.indexrelid and k.contype <> 'f')
  union all
  select tgrelid, 4, tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
  union all
  select c.oid, 5, g.grantee,
         g.grantee || ' may ' || string_agg(lower(g.what), ', ' order by g.what)
    from pg_class c cross join lateral (
      select grantee::regrole::text, privilege_type as what
        from aclexplode(c.relacl) where grantee <> c.relowner
      union all
      select x.grantee::regrole::text,
             x.privilege_type || ' (' || string_agg(a.attname, ', ' order by a.attname) || ')'
        from pg_attribute a cross join lateral aclexplode(a.attacl) x
       where a.attrelid = c.oid group by 1, x.privilege_type) g
   group by c.oid, g.grantee
)
select o.name, 0 as kind, 0 as number, '' as place, o.head as line from objects o
union all
select o.name, p.kind, case p.kind when 1 then p.place::int else 0 end, p.place, '  ' || p.line
  from objects o join parts p on p.oid = o.oid
"""
_FUNCTIONS = """
select 'function ' || n.nspname || '.' || p.proname || '('
       || pg_get_function_arguments(p.oid) || ')'
       || ' returns ' || coalesce(pg_get_function_result(p.oid), 'out parameters')
       || case p.provolatile when 'i' then ' immutable' when 's' then ' stable' else '' end
       || case when p.prosecdef then ' security definer' else '' end
       || coalesce(' set ' || array_to_string(p.proconfig, ' set '), '')
       || coalesce(' -- ' || obj_description(p.oid, 'pg_proc'), '')
       || coalesce(E'\\n  ' || (select string_agg(
            case a.grantee when 0 then 'everybody' else a.grantee::regrole::text end
              || ' may execute', E'\\n  ' order by a.grantee::regrole::text)
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
           where a.grantee <> p.proowner), '')
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where n.nspname in ('core', 'library') and p.proname !~ '^nearest_(curation|[0-9]+)$'
"""


def snapshot(url: str) -> str:
    """Tables, views, functions and rights; without the functions of single search indexes."""
    with psycopg.connect(url) as connection:
        # Put in order here: by bytes, whatever the database's collation.
        lines = [row[-1] for row in sorted(connection.execute(_OBJECTS).fetchall())]
        lines += sorted(row[0] for row in connection.execute(_FUNCTIONS))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the snapshot of a database that is migrated for it."""
    with temporary_postgres() as url:
        migrate(url)
        make_engine(url).dispose()
        FILE.write_text(snapshot(url), encoding="utf-8")


if __name__ == "__main__":
    main()
