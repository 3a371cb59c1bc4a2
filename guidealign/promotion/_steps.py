"""The steps of one move, each of which may be the last before a crash.

1. What is to be done is written down (`core.switches`), with where every alias stood.
2. The registry's aliases move: `previous`, `champion`, `challenger`.
3. Release, audit row and the end of the switch are one transaction; readers follow the release.
4. Vectors that nothing needs any more go.

Whoever takes the switch lock next finishes what is written down and not ended: every step can be
done twice. What cannot be finished is undone, with the reason in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Engine

from guidealign.db import latest_release, store_policy
from guidealign.errors import GuidealignError, IntegrityError, TransientError
from guidealign.guidance import count_unembedded, proposed_policy
from guidealign.library import drop_embeddings, latest_version
from guidealign.promotion import store
from guidealign.promotion.store import Intent, Move, Note
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL, UNTRAINED_VERSION, Release
from guidealign.registry import Registry
from guidealign.settings import Settings

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
FIELD = {RETRIEVER_MODEL: "retriever_version", LABRADOR_MODEL: "labrador_version"}

log = structlog.get_logger()


@dataclass(frozen=True)
class Switch:
    """One move under the switch lock."""

    engine: Engine
    settings: Settings
    registry: Registry
    note: Note

    def hold(self, model_name: str, challenger: int, decision_id: int) -> Move:
        """Records that the champion stays."""
        with self.engine.begin() as connection:
            live = latest_release(connection)
            move = Move(
                "hold",
                store.live_version(live, model_name),
                challenger,
                live.release_id if live else None,
                self.note.reason,
            )
            store.add_move(
                connection, model_name, move, actor=self.note.actor, decision_id=decision_id
            )
        return move

    def move(self, model_name: str, version: int, action: str, decision_id: int | None) -> Move:
        """Writes the intent down, and does it.

        Raises:
            IntegrityError: the version was not registered here, or not every active guideline
                has a vector of the retriever.
            BadInputError: the registry has no such version; what was begun is undone.
            TransientError: a service is away; whoever comes next goes on.
        """
        if version != UNTRAINED_VERSION:
            self.registry.require_known(model_name, version)
        previous, challenger = (
            self.registry.alias_version(model_name, alias) for alias in (PREVIOUS, CHALLENGER)
        )
        with self.engine.begin() as connection:
            live = latest_release(connection)
            library = latest_version(self.engine)
            versions = planned_versions(connection, live, library, self.settings)
            require_embedded(connection, versions | {FIELD[model_name]: version})
            intent = store.begin_switch(
                connection,
                Intent(
                    model_name=model_name,
                    action=action,
                    from_version=store.live_version(live, model_name),
                    to_version=version,
                    previous_version=previous,
                    challenger_version=challenger,
                    decision_id=decision_id,
                    note=self.note,
                ),
            )
        try:
            move = _finish(intent, self)
        except TransientError:
            raise
        except GuidealignError as error:
            _undo(intent, self, str(error))
            raise
        _clear(intent, self.engine)
        return move


def finish_open(model_name: str, switch: Switch) -> tuple[Intent, Move] | None:
    """Finishes the switch that was begun and not ended, or undoes it; under the switch lock.

    Returns:
        What had been begun and what became of it; None: nothing was open.

    Raises:
        TransientError: a service is away; it stays open.
    """
    with switch.engine.connect() as connection:
        intent = store.open_switch(connection, model_name)
    if intent is None:
        return None
    try:
        move = _finish(intent, switch)
    except TransientError:
        raise
    except GuidealignError as error:
        move = _undo(intent, switch, str(error))
    else:
        _clear(intent, switch.engine)
    log.info("switch finished", model=model_name, action=move.action, to_version=move.to_version)
    return intent, move


def _finish(intent: Intent, switch: Switch) -> Move:
    """Steps 2 and 3, whichever of them were done before."""
    engine, name = switch.engine, intent.model_name
    _point(switch.registry, name, PREVIOUS, intent.from_version or None)
    _point(switch.registry, name, CHAMPION, intent.to_version or None)
    if intent.challenger_version == intent.to_version:
        _point(switch.registry, name, CHALLENGER, None)
    with engine.begin() as connection:
        library = latest_version(engine)
        versions = planned_versions(
            connection, latest_release(connection), library, switch.settings
        )
        versions[FIELD[name]] = intent.to_version
        require_embedded(connection, versions)
        release_id = store.add_release(connection, versions, intent.note)
        move = Move(
            intent.action, intent.from_version, intent.to_version, release_id, intent.note.reason
        )
        store.add_move(
            connection, name, move, actor=intent.note.actor, decision_id=intent.decision_id
        )
        store.end_switch(connection, intent, outcome="done")
    return move


def _clear(intent: Intent, engine: Engine) -> None:
    """Step 4; after a crash before it, maintenance does the same."""
    if intent.model_name == RETRIEVER_MODEL and intent.action == "promote":
        # The one before stays, for going back; a rollback drops nothing.
        drop_embeddings({intent.from_version, intent.to_version}, engine=engine)


def _undo(intent: Intent, switch: Switch, why: str) -> Move:
    """Puts the aliases back to where they stood, and says why.

    The ledger's row has no gate decision: the decision stands, and may be tried again.
    """
    name = intent.model_name
    _point(switch.registry, name, CHAMPION, intent.from_version or None)
    _point(switch.registry, name, PREVIOUS, intent.previous_version)
    _point(switch.registry, name, CHALLENGER, intent.challenger_version)
    with switch.engine.begin() as connection:
        release = latest_release(connection)
        reason = f"{intent.action} of version {intent.to_version} was undone: {why}"
        move = Move(
            "refuse",
            intent.from_version,
            intent.to_version,
            release.release_id if release else None,
            reason,
        )
        store.add_move(connection, name, move, actor=intent.note.actor, decision_id=None)
        store.end_switch(connection, intent, outcome="undone")
    return move


def _point(registry: Registry, model_name: str, alias: str, version: int | None) -> None:
    """Moves an alias; None takes it away."""
    if version is None:
        registry.delete_alias(model_name, alias)
    else:
        registry.set_alias(model_name, alias, version)


def planned_versions(
    connection: Connection, live: Release | None, library_version: int, settings: Settings
) -> dict[str, int]:
    """What is live, with another library version.

    The guidance policy is that of the live release: what the settings propose is adopted by a
    person or a gate, never on the way. The first release of all takes the proposal.
    """
    if live is None:
        return {
            "library_version": library_version,
            "retriever_version": UNTRAINED_VERSION,
            "labrador_version": UNTRAINED_VERSION,
            "policy_version": store_policy(
                connection, proposed_policy(settings), actor="first release"
            ),
        }
    return {
        "library_version": library_version,
        "retriever_version": live.retriever_version,
        "labrador_version": live.labrador_version,
        "policy_version": live.policy_version,
    }


def require_embedded(connection: Connection, versions: dict[str, int]) -> None:
    """Nothing is served without all its vectors.

    Raises:
        IntegrityError: not every active guideline has one of the retriever.
    """
    missing = count_unembedded(
        connection, library=versions["library_version"], retriever=versions["retriever_version"]
    )
    if missing:
        raise IntegrityError(
            f"{missing} guidelines of library version {versions['library_version']} have no"
            f" vector of retriever {versions['retriever_version']}: embed the library first"
        )
