"""What is live: read by every room that answers or trains, written by promotion alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, text

from guidealign.db.engine import guard_database
from guidealign.errors import BadInputError
from guidealign.records import GuidancePolicy, Release

_RELEASE = (
    "select r.id, r.library_version, r.retriever_version, r.labrador_version, r.policy_version,"
    " p.policy from core.releases r join core.guidance_policies p on p.version = r.policy_version"
)
_LATEST = text(f"{_RELEASE} order by r.id desc limit 1")
_BY_ID = text(f"{_RELEASE} where r.id = :id")
_POLICY = text("select policy from core.guidance_policies where version = :version")
_VERSION_OF = text("select version from core.guidance_policies where digest = :digest")
_ADD_POLICY = text(
    "insert into core.guidance_policies (digest, policy, actor) values (:digest, :policy, :actor)"
    " on conflict (digest) do nothing"
)


def latest_release(connection: Connection) -> Release | None:
    """What is live; None: nothing was ever served."""
    row = connection.execute(_LATEST).one_or_none()
    return _release(row) if row else None


def release_by_id(connection: Connection, release_id: int) -> Release:
    """One release of the ledger."""
    return _release(connection.execute(_BY_ID, {"id": release_id}).one())


def current_release(engine: Engine) -> Release | None:
    """What is live, in a connection of its own.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.connect() as connection:
        return latest_release(connection)


def served_release(engine: Engine) -> Release:
    """What is live.

    Raises:
        BadInputError: nothing is, so there are no guidelines.
        ServiceUnavailableError: the database does not answer.
    """
    release = current_release(engine)
    if release is None:
        raise BadInputError("nothing is served yet, so there are no guidelines: publish first")
    return release


def guidance_policy(connection: Connection, version: int) -> GuidancePolicy | None:
    """A stored policy; None: there is no such version."""
    found = connection.execute(_POLICY, {"version": version}).scalar_one_or_none()
    return None if found is None else GuidancePolicy(**found)


def store_policy(connection: Connection, policy: GuidancePolicy, *, actor: str) -> int:
    """The version of a policy; one that is not there yet is stored."""
    values = {"digest": policy.digest, "policy": json.dumps(asdict(policy)), "actor": actor}
    connection.execute(_ADD_POLICY, values)
    return int(connection.execute(_VERSION_OF, {"digest": policy.digest}).scalar_one())


def _release(row: Any) -> Release:
    return Release(
        release_id=row.id,
        library_version=row.library_version,
        retriever_version=row.retriever_version,
        labrador_version=row.labrador_version,
        policy_version=row.policy_version,
        policy=GuidancePolicy(**row.policy),
    )
