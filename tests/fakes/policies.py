"""Guidance policies and releases for tests: the default ones, with fields changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from guidealign.db import store_policy
from guidealign.guidance import proposed_policy
from guidealign.records import GuidancePolicy, Release
from guidealign.settings import Settings

POLICY = proposed_policy(Settings())
_RELEASE = text(
    "insert into core.releases (library_version, retriever_version, labrador_version,"
    " policy_version, actor, reason, created_at) values (:library, :retriever, :labrador, :policy,"
    " 'test', 'test', coalesce(:at, now())) returning id"
)


def policy(**changes: Any) -> GuidancePolicy:
    """The default policy with some fields changed."""
    return replace(POLICY, **changes)


def release(**changes: Any) -> Release:
    """A release under the default policy with some fields changed."""
    made = Release(
        release_id=1,
        library_version=1,
        retriever_version=0,
        labrador_version=0,
        policy_version=1,
        policy=POLICY,
    )
    return replace(made, **changes)


def add_release(
    connection: Connection,
    *,
    library: int = 1,
    retriever: int = 0,
    labrador: int = 0,
    policy: GuidancePolicy = POLICY,
    created_at: datetime | None = None,
) -> int:
    """Makes something live, without what promotion asks for; the release's number."""
    values = {
        "library": library,
        "retriever": retriever,
        "labrador": labrador,
        "policy": store_policy(connection, policy, actor="test"),
        "at": created_at,
    }
    return int(connection.execute(_RELEASE, values).scalar_one())
