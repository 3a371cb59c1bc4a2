"""A gate's decision names its runs

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SQL = Path(__file__).resolve().parents[1] / "sql"


def _run(file: str) -> None:
    # As it stands: the file's colons and percent signs are SQL, not parameters.
    op.get_bind().exec_driver_sql(
        (_SQL / file).read_text(encoding="utf-8"), execution_options={"no_parameters": True}
    )


def upgrade() -> None:
    _run("0010_up.sql")


def downgrade() -> None:
    _run("0010_down.sql")
