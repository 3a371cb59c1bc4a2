"""Guided against unguided answers, and what a rule found of them

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SQL = Path(__file__).resolve().parents[1] / "sql"


def _run(file: str) -> None:
    # As it stands: the file's colons and percent signs are SQL, not parameters.
    op.get_bind().exec_driver_sql(
        (_SQL / file).read_text(encoding="utf-8"), execution_options={"no_parameters": True}
    )


def upgrade() -> None:
    _run("0011_up.sql")


def downgrade() -> None:
    _run("0011_down.sql")
