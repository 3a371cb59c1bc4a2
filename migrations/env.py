"""Alembic's environment: revisions, then views and functions, in one transaction."""

from __future__ import annotations

from alembic import context

from guidealign.db.engine import make_engine
from guidealign.db.migrations import migrations_folder
from guidealign.db.repeatables import apply_repeatables


def run() -> None:
    """Runs what is missing; who comes second waits here and finds it done."""
    with make_engine(context.config.attributes["url"]).connect() as connection:
        context.configure(connection=connection, version_table_schema="public")
        with context.begin_transaction():
            connection.exec_driver_sql(
                "select pg_advisory_xact_lock(hashtext('guidealign.migrate'))"
            )
            context.run_migrations()
            apply_repeatables(connection, migrations_folder() / "sql")


run()
