"""Notices when somebody moved `champion` by hand in the registry, and follows or refuses."""

from __future__ import annotations

from dataclasses import asdict

import structlog
from sqlalchemy import Engine

from guidealign.db import guard_database, latest_release
from guidealign.errors import GuidealignError, TransientError
from guidealign.promotion import store
from guidealign.promotion.store import Move, Note
from guidealign.promotion.switch import CHAMPION, Switch, SwitchResult
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL, UNTRAINED_VERSION
from guidealign.registry import Registry
from guidealign.retriever import embed_library
from guidealign.settings import Settings

_ACTOR = "reconcile"

log = structlog.get_logger()


def reconcile(*, engine: Engine, settings: Settings, registry: Registry) -> list[SwitchResult]:
    """Brings what is served and the `champion` aliases together again.

    An alias that somebody moved is followed when the version can be prepared (downloaded,
    checked, its embeddings made); otherwise the old one goes on serving, the alias is put
    back, and the reason is in the ledger.

    Raises:
        TransientError: a service is away; nothing was changed.
    """
    results = []
    for model_name in (RETRIEVER_MODEL, LABRADOR_MODEL):
        wanted = registry.alias_version(model_name, CHAMPION) or UNTRAINED_VERSION
        with guard_database(), engine.connect() as connection:
            release = latest_release(connection)
        live = store.live_version(release, model_name)
        if release is not None and wanted != live:
            results.append(_follow(model_name, wanted, live, engine, settings, registry))
    return results


def _follow(
    model_name: str, wanted: int, live: int, engine: Engine, settings: Settings, registry: Registry
) -> SwitchResult:
    note = Note(_ACTOR, f"champion was moved to {wanted} in the registry by hand")
    switch = Switch(engine, settings, registry, note)
    try:
        if wanted != UNTRAINED_VERSION:
            registry.download(model_name, wanted)
        if model_name == RETRIEVER_MODEL:
            embed_library(wanted, engine=engine, settings=settings, registry=registry)
        with guard_database(), store.switch_lock(engine):
            move = switch.move(model_name, wanted, "promote", None)
    except TransientError:
        raise
    except GuidealignError as error:
        move = _refuse(model_name, wanted, live, switch, str(error))
    log.info("reconciled", model=model_name, **asdict(move))
    return SwitchResult(model_name, **asdict(move))


def _refuse(model_name: str, wanted: int, live: int, switch: Switch, why: str) -> Move:
    if live == UNTRAINED_VERSION:
        switch.registry.delete_alias(model_name, CHAMPION)
    else:
        switch.registry.set_alias(model_name, CHAMPION, live)
    with switch.engine.begin() as connection:
        release = latest_release(connection)
        reason = f"version {wanted} cannot be served: {why}"
        move = Move("refuse", live, wanted, release.release_id if release else None, reason)
        store.add_move(connection, model_name, move, actor=_ACTOR, decision_id=None)
    return move
