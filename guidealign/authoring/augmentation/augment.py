"""The verbs that grow the inputs of thinly covered categories (Guide-Align, stage 1).

A model continues lists of four inputs of a category: two that people said, two that it made
before. What it proposes is kept when it is unlike everything that is there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine

from guidealign.authoring.augmentation import _store as store
from guidealign.authoring.augmentation._growth import Growth
from guidealign.authoring.augmentation._list_continuation import AUGMENT_PROMPT
from guidealign.authoring.augmentation._run import AugmentationRun, OnAnswer
from guidealign.authoring.prompts import load_prompt
from guidealign.db import guard_database
from guidealign.errors import BadInputError
from guidealign.ingest import (
    SyntheticBatch,
    finish_synthetic_batch,
    open_synthetic_batch,
    source_lock,
)
from guidealign.settings import Settings


@dataclass(frozen=True, kw_only=True)
class AugmentResult:
    """The totals of a run, over all times that it was started."""

    run_id: int | None
    """None: every category has what it should have, and nothing was asked."""
    n_wanted: int = 0
    n_kept: int = 0
    n_rejected: int = 0
    n_answers: int = 0
    n_tokens: int = 0
    cost_usd: float = 0.0
    wanted: dict[str, int] = field(default_factory=dict)
    """By category, as are `kept` and `stopped`."""
    kept: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    """By reason."""
    stopped: dict[str, str] = field(default_factory=dict)
    """target, yield, budget or no_seeds."""

    def as_dict(self) -> dict[str, Any]:
        """For a DAG's result."""
        return asdict(self)


def plan_augmentation(
    *,
    engine: Engine,
    settings: Settings,
    categories: Sequence[str] = (),
    target: int | None = None,
) -> dict[str, int]:
    """Counts the inputs that each category lacks, by the coverage view, where it lacks any.

    Args:
        engine: the guidealign database.
        settings: section `augment`.
        categories: to look at; none: all risk categories.
        target: inputs a category should have; None: `augment.target_inputs`.

    Raises:
        BadInputError: there is no such category.
        ServiceUnavailableError: the database is away.
    """
    wanted = target or settings.augment.target_inputs
    with guard_database(), engine.connect() as connection:
        return _plan(connection, categories, wanted)


def augment_inputs(
    *,
    engine: Engine,
    settings: Settings,
    categories: Sequence[str] = (),
    target: int | None = None,
    run_key: str | None = None,
    progress: OnAnswer | None = None,
) -> AugmentResult:
    """Grows the inputs of categories that have too few, evenly, until one of these holds.

    Per category: it has what it should have (`target`), too many texts in a row were rejected
    (`yield`), or it has no inputs to start from (`no_seeds`). For all: the budget is spent
    (`budget`). Each answer is stored in one transaction, so that a run that was killed loses
    the answers under way; the next one that is asked for the same goes on with it. What is
    rejected is in `library.rejects`, and counted by reason in `library.augmentations`.

    Args:
        engine: the guidealign database.
        settings: endpoint `safety` and section `augment`.
        categories: to grow; none: all risk categories.
        target: inputs a category should have; None: `augment.target_inputs`.
        run_key: the scheduler run that asks.
        progress: told of each answer: category, inputs kept, inputs wanted.

    Raises:
        BadInputError: there is no such category.
        TransientError: the model server or the database is away, or another run is at it.
        ConfigurationError: the endpoint is not configured or refuses the key.
    """
    target = target or settings.augment.target_inputs
    with guard_database(), source_lock(engine, store.SOURCE):
        batch = _open(engine, settings, categories, target, run_key)
        if batch is None:
            return AugmentResult(run_id=None)
        with engine.connect() as connection:
            growths = store.growths(connection, batch)
        asyncio.run(AugmentationRun(engine, settings, batch, growths, progress).grow())
    return _result(batch, growths)


def _open(
    engine: Engine,
    settings: Settings,
    categories: Sequence[str],
    target: int,
    run_key: str | None,
) -> SyntheticBatch | None:
    """Finds an unfinished run to continue, or opens a new one; None: no category lacks anything."""
    model, version = settings.safety.model, load_prompt(AUGMENT_PROMPT).version
    names = ", ".join(sorted(set(categories))) or "each risk"
    origin = f"{model} with {version}: {target} inputs of {names}"
    found = None
    with engine.begin() as connection:
        for batch, uri in store.unfinished(connection):
            if uri == origin and found is None:
                found = batch
                continue
            store.supersede(connection, batch)
            finish_synthetic_batch(connection, batch)
        if found is not None:
            return found
        wanted = _plan(connection, categories, target)
        if not wanted:
            return None
        new = open_synthetic_batch(connection, store.SOURCE, origin=origin, run_key=run_key)
        store.add_growths(connection, new, wanted, model=model, prompt_version=version)
    return new


def _plan(connection: Connection, categories: Sequence[str], target: int) -> dict[str, int]:
    covered = store.coverage(connection)
    unknown = sorted(set(categories) - set(covered))
    if unknown:
        raise BadInputError(f"there is no category {unknown[0]!r}: library.coverage lists them")
    chosen = set(categories) or {name for name, line in covered.items() if line.is_risk}
    lacking = {name: target - covered[name].n_inputs for name in sorted(chosen)}
    return {name: n for name, n in lacking.items() if n > 0}


def _result(batch: SyntheticBatch, growths: Sequence[Growth]) -> AugmentResult:
    rejected = sum((g.rejected for g in growths), Counter())
    return AugmentResult(
        run_id=batch.id,
        n_wanted=sum(g.n_wanted for g in growths),
        n_kept=sum(g.n_kept for g in growths),
        n_rejected=rejected.total(),
        n_answers=sum(g.n_answers for g in growths),
        n_tokens=sum(g.n_tokens for g in growths),
        cost_usd=sum(g.cost_usd for g in growths),
        wanted={g.category: g.n_wanted for g in growths},
        kept={g.category: g.n_kept for g in growths},
        rejected=dict(rejected.most_common()),
        stopped={g.category: g.stopped for g in growths if g.stopped is not None},
    )
