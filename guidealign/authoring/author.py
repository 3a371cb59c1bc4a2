"""The verbs: plan what is to be authored, and author it, each input exactly once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from sqlalchemy import Engine

from guidealign.authoring import store
from guidealign.authoring._holders import free_dead_holders, holder_name
from guidealign.authoring._worker import Worker
from guidealign.authoring.model import AuthorResult
from guidealign.db import count_open, enqueue, guard_database
from guidealign.errors import ModelOutputError
from guidealign.llm import AsyncChatClient
from guidealign.settings import Settings

log = structlog.get_logger()
_INPUTS_PER_BATCH = 64
_MOST_BATCHES = 32


def plan_batches(*, engine: Engine, settings: Settings) -> list[int]:
    """Queues what is pending and says how many workers are worth starting.

    Leases of workers of this host that have died are freed first.

    Returns:
        Batch indexes to map `author_batch` over; at least [0].
    """
    n_freed = free_dead_holders(engine)
    with guard_database(), engine.begin() as connection:
        room = settings.author.max_inputs_per_run - count_open(connection, store.TASK)
        n_new = enqueue(connection, store.TASK, store.pending_inputs(connection, max(0, room)))
        n_open = count_open(connection, store.TASK)
    log.info("author.planned", n_new=n_new, n_open=n_open, n_freed=n_freed)
    return list(range(min(max(1, math.ceil(n_open / _INPUTS_PER_BATCH)), _MOST_BATCHES)))


def author_batch(batch: int, *, engine: Engine, settings: Settings) -> AuthorResult:
    """Claims open inputs, `batch_size` at a time, until none is left.

    Each input's assessment, guidelines, pairs, model calls and the end of its lease are one
    transaction.

    Args:
        batch: this worker's index; it is part of the holder's name on the leases.
        engine: the guidealign database.
        settings: the endpoint `safety` and the section `author` are used.

    Raises:
        TransientError: the model server or the database is away; claimed inputs are given back.
        ConfigurationError: the endpoint is not configured or refuses the key.
    """
    free_dead_holders(engine)
    total = asyncio.run(_author(batch, engine, settings))
    log.info("author.done", batch=batch, **total.as_dict())
    return total


async def _author(batch: int, engine: Engine, settings: Settings) -> AuthorResult:
    total = AuthorResult()
    async with AsyncChatClient(settings.safety, stage="author") as client:
        worker = Worker(engine, client, settings.author, holder=holder_name(batch))
        while claims := worker.claim():
            tasks = [asyncio.create_task(worker.author_one(item)) for item in claims]
            try:
                results = await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                worker.give_back(claims)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                total += result
    return total


def add_up_batches(results: Iterable[Mapping[str, Any]], settings: Settings) -> AuthorResult:
    """The figures of all workers of a run.

    Args:
        results: what each `author_batch` returned, as dictionaries.
        settings: to name the model in the error.

    Raises:
        ModelOutputError: there was work and not one input came through.
    """
    total = sum((AuthorResult(**result) for result in results), AuthorResult())
    if total.n_failed and not total.n_inputs:
        raise ModelOutputError(
            f"{settings.safety.model} gave no usable answer for any of {total.n_failed} inputs:"
            " library.rejects has the reasons; check safety.base_url and safety.model"
        )
    return total
