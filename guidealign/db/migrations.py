"""Runs the Alembic migrations from code, wherever the package is installed."""

from __future__ import annotations

from pathlib import Path

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from guidealign.db.engine import guard_database, make_engine, normalize_url
from guidealign.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parents[1]


def migrations_folder() -> Path:
    """The folder of the migrations: of the wheel, or of the checkout.

    Raises:
        ConfigurationError: neither is there.
    """
    for folder in (_PACKAGE / "_migrations", _PACKAGE.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise ConfigurationError("the migrations folder is missing: reinstall guidealign")


def alembic_config(url: str) -> Config:
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


def migrate(url: str, revision: str = "head") -> None:
    """Brings the schema to a revision.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database():
        command.upgrade(alembic_config(url), revision)


def schema_revision(url: str) -> tuple[str | None, str]:
    """The database's revision and the newest one the code knows."""
    head = ScriptDirectory.from_config(alembic_config(url)).get_current_head() or ""
    with guard_database(), make_engine(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table_schema": "public"})
        return context.get_current_revision(), head
