"""Alembic's environment: schema `core`, URL from the caller or from the settings."""

from __future__ import annotations

from typing import Any

from alembic import context

from guidealign.db.engine import make_engine
from guidealign.db.tables import SCHEMA, Base
from guidealign.settings import load_settings


def _url() -> str:
    given = context.config.attributes.get("url")
    return given or load_settings().require_database_url()


def _include_name(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "schema" or name == SCHEMA


def run() -> None:
    """Runs the migrations in one transaction."""
    with make_engine(_url()).connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_schemas=True,
            include_name=_include_name,
            version_table_schema="public",
            compare_server_default=False,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
