"""A release binds its guidance policy; before, each process took it from its own settings

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from alembic import op
from sqlalchemy import text

from guidealign.db.migrations import run_sql_file
from guidealign.db.repeatables import drop_repeatables

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# What the code of those releases did beside the settings that they recorded.
_BEFORE = {
    "preamble": (
        "You are a helpful assistant. The guidelines below were chosen for the request that"
        " follows. Answer the request directly and keep to every guideline that fits it. Pass over"
        " those that do not fit, and do not mention the guidelines in your answer."
    ),
    "placement": "system_start",
    "placement_by_model": [],
    "topic_rule": "cosine",
    "unsafe_threshold": None,
    "quality_threshold": None,
    "topic_cosine": 0.3,
    "context_weight": 0.5,
    "sticky": False,
    "max_tokens": 800,
}
_BOUNDS = {"k": 2, "n_candidates": 20, "near_duplicate_threshold": 0.5}
_LEDGERS = ("releases", "canaries", "replays")
_RECORDED = text("select distinct settings -> 'retrieval' as bounds from core.releases")
_STORE = text(
    "insert into core.guidance_policies (digest, policy, actor)"
    " values (:digest, cast(:policy as jsonb), 'as far as releases before 0016 recorded it')"
    " on conflict (digest) do nothing"
)
_BIND = text(
    "update core.releases r set policy_version = p.version from core.guidance_policies p"
    " where p.digest = :digest"
    " and (r.settings -> 'retrieval') is not distinct from cast(:bounds as jsonb)"
)


def upgrade() -> None:
    connection = op.get_bind()
    drop_repeatables(connection)
    for table in _LEDGERS:
        op.execute(f"drop trigger if exists append_only on core.{table}")
    run_sql_file("revisions/0016_guidance_policies.sql")
    for bounds in connection.execute(_RECORDED).scalars().all():
        policy: dict[str, Any] = _BEFORE | {
            name: (bounds or {}).get(name, default) for name, default in _BOUNDS.items()
        }
        content = json.dumps(policy, sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(content.encode()).hexdigest()
        connection.execute(_STORE, {"digest": digest, "policy": content})
        recorded = None if bounds is None else json.dumps(bounds)
        connection.execute(_BIND, {"digest": digest, "bounds": recorded})
    run_sql_file("revisions/0016_policies_bound.sql")
