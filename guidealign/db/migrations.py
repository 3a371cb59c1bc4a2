"""Brings a database to the schema of this version: revisions first, then views and functions."""

from __future__ import annotations

from pathlib import Path

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from guidealign.db.engine import guard_database, make_engine, normalize_url
from guidealign.db.repeatables import are_applied
from guidealign.errors import ConfigurationError, PermanentError

_PACKAGE = Path(__file__).resolve().parents[1]
_BASELINE = "0015"
"""What a new database starts with; every later revision stands on it."""


def migrations_folder() -> Path:
    """The folder of the migrations: of the wheel, or of the checkout.

    Raises:
        ConfigurationError: neither is there.
    """
    for folder in (_PACKAGE / "_migrations", _PACKAGE.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise ConfigurationError("the migrations folder is missing: reinstall guidealign")


def _config(url: str) -> Config:
    """Alembic's configuration for one database."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["url"] = normalize_url(url)
    return config


def run_sql_file(name: str) -> None:
    """For revisions: runs a file of `migrations/sql` as it stands in the open migration."""
    # The file's colons and percent signs are SQL, not parameters.
    op.get_bind().exec_driver_sql(
        (migrations_folder() / "sql" / name).read_text(encoding="utf-8"),
        execution_options={"no_parameters": True},
    )


def run_baseline() -> None:
    """For the first revision: runs every file of `migrations/sql/baseline`, by name."""
    for path in sorted((migrations_folder() / "sql" / "baseline").glob("*.sql")):
        run_sql_file(f"baseline/{path.name}")


def migrate(url: str) -> None:
    """Brings the schema to the head, and every view and function to the definition of this version.

    One transaction; who comes second waits and finds it done.

    Raises:
        PermanentError: the database is older than the baseline, or newer than the code; or a view
            of somebody else's stands on one that has to be made anew.
        ServiceUnavailableError: the database does not answer.
    """
    _refuse_unknown_revision(url)
    with guard_database():
        command.upgrade(_config(url), "head")


def schema_revision(url: str) -> tuple[str | None, str]:
    """The database's revision and the newest one the code knows."""
    head = ScriptDirectory.from_config(_config(url)).get_current_head() or ""
    with guard_database(), make_engine(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table_schema": "public"})
        return context.get_current_revision(), head


def views_are_current(url: str) -> bool:
    """Whether views and functions are those of this version, which has the database's revision."""
    with guard_database(), make_engine(url).connect() as connection:
        return are_applied(connection, migrations_folder() / "sql")


def _refuse_unknown_revision(url: str) -> None:
    current, head = schema_revision(url)
    if current is None or _BASELINE <= current <= head:
        return
    if current > head:
        raise PermanentError(
            f"the database is at revision {current}, of a guidealign newer than this one ({head}):"
            " install that version"
        )
    raise PermanentError(
        f"the database is at revision {current}, before the baseline {_BASELINE}: run `guidealign"
        " migrate` of the version before this one first, or `guidealign library export` with it"
        " and `guidealign library import` into a new database"
    )
