"""Finishes what a switch began and did not end, and notices when somebody moved `champion`."""

from __future__ import annotations

from dataclasses import asdict

import structlog
from sqlalchemy import Engine

from guidealign.db import guard_database, latest_release
from guidealign.errors import GuidealignError, TransientError
from guidealign.promotion import store
from guidealign.promotion._steps import CHAMPION, Switch, finish_open
from guidealign.promotion.approval import why_held
from guidealign.promotion.store import Move, Note
from guidealign.promotion.switch import SwitchResult
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL, UNTRAINED_VERSION
from guidealign.registry import Registry
from guidealign.retriever import embed_library
from guidealign.settings import Settings

_ACTOR = "reconcile"

log = structlog.get_logger()


def reconcile(*, engine: Engine, settings: Settings, registry: Registry) -> list[SwitchResult]:
    """Brings what is served and the `champion` aliases together again.

    A switch whose process died is finished in its own name, or undone where that cannot be. An
    alias that somebody moved is followed where the ledger lets that version be promoted (the
    gate's newest decision passed it against the live one, nothing was done about it, no person
    has to approve) and it can be prepared: downloaded, checked, its embeddings made. Otherwise
    the old one goes on serving, the alias is put back, and the reason is in the ledger.

    Raises:
        TransientError: a service is away; what is open stays so until the next time.
    """
    results = []
    for model_name in (RETRIEVER_MODEL, LABRADOR_MODEL):
        switch = Switch(engine, settings, registry, Note(_ACTOR, ""))
        # Under the lock: an alias that runs ahead of its release in the middle of a switch
        # looks like one that somebody moved.
        with guard_database(), store.switch_lock(engine):
            finished = finish_open(model_name, switch)
            wanted, live = _wanted_and_live(model_name, switch)
        if finished:
            results.append(SwitchResult(model_name, **asdict(finished[1])))
        if wanted != live:
            followed = _follow(model_name, wanted, switch)
            results += [followed] if followed else []
    return results


def _wanted_and_live(model_name: str, switch: Switch) -> tuple[int, int]:
    """What the alias says and what the release says; equal while nothing is served."""
    wanted = switch.registry.alias_version(model_name, CHAMPION) or UNTRAINED_VERSION
    with switch.engine.connect() as connection:
        release = latest_release(connection)
    live = store.live_version(release, model_name)
    return (wanted, live) if release is not None else (live, live)


def _follow(model_name: str, wanted: int, switch: Switch) -> SwitchResult | None:
    """None: while it was prepared somebody moved something again; the next time sees to it."""
    reason = f"champion was moved to {wanted} in the registry by hand"
    switch = Switch(switch.engine, switch.settings, switch.registry, Note(_ACTOR, reason))
    decision_id, why = _allowed(model_name, wanted, switch)
    if why is None:
        why = _prepare(model_name, wanted, switch)
    with guard_database(), store.switch_lock(switch.engine):
        finish_open(model_name, switch)
        now_wanted, live = _wanted_and_live(model_name, switch)
        if now_wanted != wanted or wanted == live:
            return None
        if why is None:
            # Preparing takes minutes, in which a gate may have decided anew.
            decision_id, why = _allowed(model_name, wanted, switch)
        if why is None:
            try:
                move = switch.move(model_name, wanted, "promote", decision_id)
            except TransientError:
                raise
            except GuidealignError as error:
                why = str(error)
        if why is not None:
            move = _refuse(model_name, wanted, live, switch, why)
    log.info("reconciled", model=model_name, **asdict(move))
    return SwitchResult(model_name, **asdict(move))


def _allowed(model_name: str, wanted: int, switch: Switch) -> tuple[int | None, str | None]:
    """The gate's decision that lets a version be served, or why none does.

    Whoever can move an alias is not thereby somebody who may promote.
    """
    if wanted == UNTRAINED_VERSION:
        return None, "the alias was taken away: `guidealign rollback` goes back to the base"
    if held := why_held(None, switch.settings.gates):
        return None, held
    with guard_database(), switch.engine.connect() as connection:
        live = store.live_version(latest_release(connection), model_name)
        found = store.passed_decision(connection, model_name, wanted, live)
    if found is None:
        return None, "no gate has just passed it: `guidealign promote` takes a person's word"
    return found, None


def _prepare(model_name: str, wanted: int, switch: Switch) -> str | None:
    """Makes a version fit to serve; returns why it is not, or None."""
    try:
        switch.registry.download(model_name, wanted)
        if model_name == RETRIEVER_MODEL:
            embed_library(
                wanted,
                engine=switch.engine,
                settings=switch.settings,
                registry=switch.registry,
            )
    except TransientError:
        raise
    except GuidealignError as error:
        return str(error)
    return None


def _refuse(model_name: str, wanted: int, live: int, switch: Switch, why: str) -> Move:
    """Puts the alias back. The ledger first: after a crash in between it is refused again."""
    with switch.engine.begin() as connection:
        release = latest_release(connection)
        reason = f"version {wanted} cannot be served: {why}"
        move = Move("refuse", live, wanted, release.release_id if release else None, reason)
        store.add_move(connection, model_name, move, actor=_ACTOR, decision_id=None)
    if live == UNTRAINED_VERSION:
        switch.registry.delete_alias(model_name, CHAMPION)
    else:
        switch.registry.set_alias(model_name, CHAMPION, live)
    return move
