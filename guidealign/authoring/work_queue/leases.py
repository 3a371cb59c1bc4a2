"""A worker's side of the queue: its leases, their heartbeat, and transactions in threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine

from guidealign.authoring.model import Authored
from guidealign.authoring.work_queue import store
from guidealign.db import Claim, GivenBack, claim, give_back, guard_database, next_open_s, renew
from guidealign.errors import ServiceUnavailableError

log = structlog.get_logger()
_T = TypeVar("_T")
_THREADS = 4
"""Claims, results, answers looked up and heartbeats: one of each at a time, none waits."""
_BEATS_PER_LEASE = 3


@dataclass(frozen=True)
class ClaimedInput:
    """An input that this worker holds the lease of."""

    input_id: int
    attempt: int
    n_claims: int
    text: str


class LeasedInputs:
    """Claims inputs and keeps their leases alive until they are settled or lost.

    Args:
        engine: the guidealign database.
        holder: this worker's name on its leases.
        lease_s: how long a lease lasts without a heartbeat.
    """

    def __init__(self, engine: Engine, *, holder: str, lease_s: float) -> None:
        self.holder = holder
        self._engine = engine
        self._lease_s = lease_s
        self._held: dict[int, asyncio.Task[Authored] | None] = {}
        self._alone = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="author-db")

    async def transact(self, function: Callable[[Connection], _T]) -> _T:
        """Runs a transaction in a thread.

        Raises:
            ServiceUnavailableError: the database does not answer.
        """

        def run() -> _T:
            with guard_database(), self._engine.begin() as connection:
                return function(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    async def transact_alone(self, function: Callable[[Connection], _T]) -> _T:
        """Runs a transaction while no other such one runs: two could deadlock over leases."""
        async with self._alone:
            return await self.transact(function)

    async def claim(self, limit: int) -> list[ClaimedInput]:
        """Takes the next open inputs; they are held from now on."""

        def take(connection: Connection) -> tuple[list[Claim], dict[int, str]]:
            claims = claim(
                connection,
                task=store.TASK,
                holder=self.holder,
                limit=limit,
                lease_s=self._lease_s,
            )
            return claims, store.input_texts(connection, [item.item_id for item in claims])

        claims, texts = await self.transact(take)
        # What this worker lost track of and claims anew is under way already.
        new = [item for item in claims if item.item_id not in self._held]
        self._held.update(dict.fromkeys(item.item_id for item in new))
        return [
            ClaimedInput(item.item_id, item.attempt, item.n_claims, texts[item.item_id])
            for item in new
        ]

    async def next_open_s(self) -> float | None:
        """Returns the seconds until a free input may be claimed; None: there is none."""
        return await self.transact(lambda connection: next_open_s(connection, store.TASK))

    def holds(self, input_id: int) -> bool:
        """Whether this worker holds an input's lease, as far as it knows."""
        return input_id in self._held

    def started(self, input_id: int, task: asyncio.Task[Authored]) -> None:
        """Notes the task that asks about an input; it is cancelled when the lease is lost."""
        self._held[input_id] = task

    def settled(self, input_ids: set[int]) -> None:
        """Forgets inputs whose leases are ended."""
        for input_id in input_ids:
            self._held.pop(input_id, None)

    async def beat(self) -> None:
        """Renews all leases held, three times a lease."""
        while True:
            await asyncio.sleep(self._lease_s / _BEATS_PER_LEASE)
            try:
                await self._renew()
            except ServiceUnavailableError as error:
                # Leases outlast a few beats, and who stores results will say so.
                log.warning("author.heartbeat_failed", error=str(error))

    async def _renew(self) -> None:
        ids = sorted(self._held)
        if not ids:
            return
        kept = await self.transact_alone(
            lambda connection: renew(
                connection, store.TASK, ids, holder=self.holder, lease_s=self._lease_s
            )
        )
        # What was settled meanwhile is neither kept nor lost.
        for input_id in set(ids) - kept:
            if input_id in self._held:
                task = self._held.pop(input_id)
                log.warning("author.lease_lost", input_id=input_id)
                if task is not None:
                    task.cancel()

    async def give_back(self, error: str) -> None:
        """Frees all that is still held, no attempt counted, and ends the threads."""
        items = [GivenBack(item_id=i, error=error, counts=False) for i in sorted(self._held)]
        if items:
            with contextlib.suppress(ServiceUnavailableError):
                await self.transact(
                    lambda connection: give_back(connection, store.TASK, items, holder=self.holder)
                )
        self._held.clear()
        self._threads.shutdown(wait=False)
