"""Moves the guidance policy: a release of its own each time, with who did it and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection, Engine, text

from guidealign.db import (
    current_release,
    guard_database,
    latest_release,
    release_by_id,
    store_policy,
)
from guidealign.errors import BadInputError
from guidealign.guidance import PolicyChange, policy_changes, proposed_policy, register_policy
from guidealign.promotion import store
from guidealign.promotion._steps import planned_versions, require_embedded
from guidealign.promotion.proof import require_proven, require_reason, vouch_for_named
from guidealign.promotion.store import Move, Note
from guidealign.records import GUIDANCE_POLICY, GuidancePolicy, Release
from guidealign.registry import Registry
from guidealign.settings import Settings

log = structlog.get_logger()
_LIST = text(
    "select version, digest, created_at, actor, policy, live, first_release,"
    " array(select p.model from library.guidance_proofs p where p.policy_version = g.version"
    " and p.serves order by p.model) as proven_for"
    " from library.guidance_policies g order by version desc"
)


@dataclass(frozen=True, kw_only=True)
class PolicyRow:
    """A stored guidance policy."""

    version: int
    digest: str
    created_at: datetime
    actor: str
    """Who stored it first."""
    policy: GuidancePolicy
    live: bool
    first_release: int | None
    """The first release that served it; None: none did."""
    proven_for: list[str]
    """Models that it is served to while it is live."""


def list_policies(*, engine: Engine) -> list[PolicyRow]:
    """All guidance policies, the newest first.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.connect() as connection:
        rows = connection.execute(_LIST).mappings()
        return [
            PolicyRow(**dict(row) | {"policy": GuidancePolicy(**row["policy"])}) for row in rows
        ]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What the settings propose beside what is live."""

    live: Release | None
    """None: nothing was ever released; the first release takes the proposal."""
    policy: GuidancePolicy
    changes: tuple[PolicyChange, ...]
    """From the live policy to the proposed one; none: they are the same."""

    def in_words(self) -> str | None:
        """The changes in a line, and what makes them live; None: there are none."""
        if not self.changes:
            return None
        said = "; ".join(f"{c.name}: {c.old!r} -> {c.new!r}" for c in self.changes)
        return (
            f"the settings propose another guidance policy than the live one ({said}); it is served"
            " after `guidealign guidance adopt --reason ...`"
        )


def proposal(*, engine: Engine, settings: Settings) -> Proposal:
    """What the settings propose, and how it differs from what is live.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    live, policy = current_release(engine), proposed_policy(settings)
    changes = () if live is None else tuple(policy_changes(live.policy, policy))
    return Proposal(live=live, policy=policy, changes=changes)


def store_proposal(*, engine: Engine, settings: Settings, actor: str) -> int:
    """The version of the policy that the settings propose, stored without being served.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.begin() as connection:
        return store_policy(connection, proposed_policy(settings), actor=actor)


def adopt_policy(
    policy: GuidancePolicy,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    note: Note,
    unproven: bool = False,
) -> Release:
    """Serves a guidance policy with the live library and models.

    Args:
        policy: that is served.
        engine: of the guidealign database.
        settings: of the installation.
        registry: keeps its words.
        note: who, and why.
        unproven: it need not be proven for a model behind the gateway: `note` vouches for each
            that is known by name.

    Raises:
        BadInputError: it is live already, proven for no model behind the gateway, nothing was ever
            released, or no reason was given.
        ServiceUnavailableError: the database or the registry does not answer; nothing has moved.
    """
    require_reason(note)
    register_policy(policy, registry)
    with guard_database(), store.switch_lock(engine), engine.begin() as connection:
        live = _require_live(connection)
        version = store_policy(connection, policy, actor=note.actor)
        if version == live.policy_version:
            raise BadInputError(
                f"guidance policy {version} ({policy.name}) is live already: change [retrieval] or"
                " [guidance] in guidealign.toml first"
            )
        if unproven:
            vouch_for_named(connection, live, version, settings, note)
        else:
            require_proven(connection, live, version, settings)
        return _move(connection, live, version, "promote", note, settings)


def roll_back_policy(*, engine: Engine, settings: Settings, note: Note) -> Move:
    """Serves the guidance policy before the live one again.

    Raises:
        BadInputError: there is no other, or nothing was ever released.
        ServiceUnavailableError: the database does not answer; nothing has moved.
    """
    with guard_database(), store.switch_lock(engine), engine.begin() as connection:
        live = _require_live(connection)
        before = store.policy_before(connection, live.policy_version)
        if before is None:
            raise BadInputError(f"{GUIDANCE_POLICY} has no previous version to go back to")
        made = _move(connection, live, before, "rollback", note, settings)
        return Move("rollback", live.policy_version, before, made.release_id, note.reason)


def _require_live(connection: Connection) -> Release:
    live = latest_release(connection)
    if live is None:
        raise BadInputError("nothing was ever released: the first release takes the settings")
    return live


def _move(
    connection: Connection,
    live: Release,
    version: int,
    action: str,
    note: Note,
    settings: Settings,
) -> Release:
    versions = planned_versions(connection, live, live.library_version, settings)
    versions["policy_version"] = version
    require_embedded(connection, versions)
    release_id = store.add_release(connection, versions, note)
    move = Move(action, live.policy_version, version, release_id, note.reason)
    store.add_move(connection, GUIDANCE_POLICY, move, actor=note.actor, decision_id=None)
    log.info("guidance policy moved", action=action, to_version=version, release=release_id)
    return release_by_id(connection, release_id)
