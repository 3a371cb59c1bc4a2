"""Moves the champion: promote, hold, roll back, take over a new library version.

Each takes the switch lock and first finishes what a process before it began and did not end
(`_steps`): the release, which is what readers follow, comes last.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import structlog
from sqlalchemy import Engine

from guidealign.db import current_release, guard_database, latest_release, release_by_id
from guidealign.errors import BadInputError
from guidealign.library import latest_version
from guidealign.promotion import store
from guidealign.promotion._steps import (
    FIELD,
    PREVIOUS,
    Switch,
    finish_open,
    planned_versions,
    require_embedded,
)
from guidealign.promotion.approval import Approval, why_held
from guidealign.promotion.policy import roll_back_policy
from guidealign.promotion.store import Note
from guidealign.records import GUIDANCE_POLICY, RETRIEVER_MODEL, UNTRAINED_VERSION, Release
from guidealign.registry import Registry
from guidealign.retriever import embed_library
from guidealign.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class SwitchResult:
    """What was done, and the release that serves now."""

    model_name: str
    action: str
    from_version: int
    to_version: int
    release_id: int | None
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self)

    def in_words(self) -> str:
        """What serves now, and why."""
        before, after = (
            "the untrained base" if n == UNTRAINED_VERSION else f"version {n}"
            for n in (self.from_version, self.to_version)
        )
        said = {
            "promote": f"{after} serves in place of {before}",
            "rollback": f"{after} serves again in place of {before}",
            "hold": f"{after} is held, {before} serves on",
            "keep": "nothing moved",
        }[self.action]
        moved = self.action in {"promote", "rollback"}
        release = f" (release {self.release_id})" if moved else ""
        return f"{self.model_name}: {said}{release}: {self.reason}"


def adopt_library(*, engine: Engine, settings: Settings, actor: str) -> Release:
    """Serves the newest library version with the live models and guidance policy.

    Raises:
        IntegrityError: the live retriever has not embedded all of it yet.
        BadInputError: there is no library version.
    """
    with guard_database(), store.switch_lock(engine), engine.begin() as connection:
        live = latest_release(connection)
        newest = latest_version(engine)
        if newest == 0:
            raise BadInputError("the library has no version yet: publish one first")
        if live and live.library_version == newest:
            return live
        versions = planned_versions(connection, live, newest, settings)
        require_embedded(connection, versions)
        note = Note(actor, f"library version {newest}")
        release_id = store.add_release(connection, versions, note)
        return release_by_id(connection, release_id)


def decide_and_switch(
    decision_id: int,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    actor: str,
    approval: Approval | None = None,
) -> SwitchResult:
    """Does what a gate decided, once: promotes the challenger or records why it is held.

    Args:
        decision_id: of the gate.
        engine: the guidealign database.
        settings: where `gates.approvers` names people, only their approval promotes.
        registry: holds the aliases.
        actor: for the ledger.
        approval: what people said; None: nobody was asked.

    Raises:
        BadInputError: there is no such decision.
        IntegrityError: the challenger cannot be served yet (its embeddings are not complete).
    """
    with guard_database(), store.switch_lock(engine):
        with engine.connect() as connection:
            decision = store.decision(connection, decision_id)
        if decision is None:
            raise BadInputError(f"there is no gate decision {decision_id}")
        model_name, challenger_version = decision.model_name, decision.challenger_version
        refused = why_held(approval, settings.gates) if decision.verdict == "promote" else None
        reason = (
            f"{decision.reason} ({refused or approval})" if refused or approval else decision.reason
        )
        switch = Switch(engine, settings, registry, Note(actor, reason))
        finish_open(model_name, switch)
        with engine.connect() as connection:
            done = store.move_of_decision(connection, model_name, decision_id)
            live = store.live_version(latest_release(connection), model_name)
        if done is None:
            if decision.verdict != "promote" or refused is not None:
                done = switch.hold(model_name, challenger_version, decision_id)
            elif live != decision.champion_version:
                reason = f"decided against version {decision.champion_version}, {live} is live"
                switch = Switch(engine, settings, registry, Note(actor, reason))
                done = switch.hold(model_name, challenger_version, decision_id)
            else:
                done = switch.move(model_name, challenger_version, "promote", decision_id)
    log.info("switched", model=model_name, **asdict(done))
    return SwitchResult(model_name, **asdict(done))


def follow_judgement(
    judged: dict[str, Any],
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    actor: str,
    approval: Approval | None = None,
) -> SwitchResult:
    """Does what a judgement (as a dictionary) says; without a decision nothing moves.

    As `decide_and_switch`.

    Raises:
        BadInputError: its gate decision does not exist.
        IntegrityError: the challenger cannot be served yet.
    """
    if judged["decision_id"] is not None:
        return decide_and_switch(
            judged["decision_id"],
            engine=engine,
            settings=settings,
            registry=registry,
            actor=actor,
            approval=approval,
        )
    live = current_release(engine)
    return SwitchResult(
        model_name=judged["model_name"],
        action="keep",
        from_version=judged["champion_version"],
        to_version=judged["challenger_version"],
        release_id=live.release_id if live else None,
        reason=judged["reason"],
    )


def rollback(
    model_name: str,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    actor: str,
    reason: str,
) -> SwitchResult:
    """Serves the previous champion, or guidance policy, again; its embeddings are still there.

    A roll back that died in its middle is finished, and nothing beyond it is done.

    Raises:
        BadInputError: there is no previous version, or no reason was given.
    """
    if not reason.strip():
        raise BadInputError("a rollback needs a reason (--reason)")
    if model_name == GUIDANCE_POLICY:
        moved = roll_back_policy(engine=engine, settings=settings, note=Note(actor, reason))
        return SwitchResult(model_name, **asdict(moved))
    if model_name not in FIELD:
        known = ", ".join((*FIELD, GUIDANCE_POLICY))
        raise BadInputError(f"no model {model_name!r}; there are {known}")
    switch = Switch(engine, settings, registry, Note(actor, reason))
    with guard_database(), store.switch_lock(engine):
        finished = finish_open(model_name, switch)
        if finished and finished[1].action == "rollback":
            return SwitchResult(model_name, **asdict(finished[1]))
        previous = registry.alias_version(model_name, PREVIOUS)
        with engine.connect() as connection:
            live = store.live_version(latest_release(connection), model_name)
        target = UNTRAINED_VERSION if previous is None else previous
        if live == target:
            raise BadInputError(f"{model_name} has no previous version to go back to")
        with engine.connect() as connection:
            if not store.was_served(connection, model_name, target):
                raise BadInputError(
                    f"the alias {PREVIOUS!r} names version {target} of {model_name}, which was"
                    " never served: somebody moved it"
                )
        done = switch.move(model_name, target, "rollback", None)
    return SwitchResult(model_name, **asdict(done))


def promote_by_hand(
    model_name: str,
    version: int,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    note: Note,
) -> SwitchResult:
    """Serves a version on a person's word; the ledger has the word, and what the gate had said.

    Raises:
        BadInputError: no such version, it is live, its files were never read back and compared, or
            no reason was given.
        IntegrityError: its files are not the registered ones, or cannot be served.
    """
    if model_name not in FIELD:
        raise BadInputError(f"no model {model_name!r}; there are {', '.join(FIELD)}")
    if not note.reason.strip():
        raise BadInputError("a promotion by hand needs a reason (--reason)")
    checked = registry.version_tags(model_name, version).get("reload_checked", "never")
    if checked != "yes":
        raise BadInputError(
            f"{model_name} version {version} was not compared after its registration"
            f" (reload_checked: {checked}): train it again"
        )
    registry.download(model_name, version)
    if model_name == RETRIEVER_MODEL:
        embed_library(version, engine=engine, settings=settings, registry=registry)
    with guard_database(), store.switch_lock(engine):
        with engine.connect() as connection:
            verdict = store.last_verdict(connection, model_name, version)
        said = f"by hand, the gate said {verdict}" if verdict else "by hand, no gate was asked"
        switch = Switch(engine, settings, registry, Note(note.actor, f"{note.reason} ({said})"))
        finish_open(model_name, switch)
        with engine.connect() as connection:
            live = store.live_version(latest_release(connection), model_name)
        if live == version:
            raise BadInputError(f"{model_name} version {version} is live already")
        done = switch.move(model_name, version, "promote", None)
    log.info("promoted by hand", model=model_name, **asdict(done))
    return SwitchResult(model_name, **asdict(done))
