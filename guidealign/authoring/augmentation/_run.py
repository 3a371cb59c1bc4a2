"""Runs augmentation: model calls side by side, each answer stored in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Engine

from guidealign.authoring.augmentation import _store as store
from guidealign.authoring.augmentation._examples import read_pool
from guidealign.authoring.augmentation._growth import Growth, GrowthBalance
from guidealign.authoring.augmentation._list_continuation import (
    AUGMENT_PROMPT,
    augment_messages,
    shown_messages,
)
from guidealign.authoring.augmentation._new_inputs import REASONS, Proposed, read_answer
from guidealign.authoring.augmentation._store import PromptExample
from guidealign.authoring.augmentation.novelty import NoveltyIndex
from guidealign.authoring.model import PromptedCall
from guidealign.authoring.prompts import load_prompt, new_nonce
from guidealign.authoring.work_queue import save_calls
from guidealign.db import guard_database
from guidealign.errors import BadInputError, BudgetExceededError, GuidealignError
from guidealign.ingest import (
    SyntheticBatch,
    add_synthetic_input,
    count_synthetic_inputs,
    finish_synthetic_batch,
)
from guidealign.llm import AsyncChatClient, CallRecord, ChatResult, recorded_calls
from guidealign.settings import Settings

OnAnswer = Callable[[str, int, int | None], object]
"""Told a category, how many of its inputs were kept, and how many are wanted."""
_STAGE = "augment"
log = structlog.get_logger()


@dataclass(frozen=True)
class _Call:
    growth: Growth
    number: int
    """Of the category, over all times that the run was started."""
    n_asked: int
    examples: Sequence[PromptExample]
    nonce: str


@dataclass(frozen=True)
class _Answer:
    call: _Call
    calls: Sequence[CallRecord]
    outcome: ChatResult | GuidealignError


class AugmentationRun:
    """Goes on with a run from where the database says that it is.

    Args:
        engine: the guidealign database.
        settings: endpoint `safety` and section `augment`.
        batch: the run.
        growths: its categories.
        progress: told of each answer.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        batch: SyntheticBatch,
        growths: Sequence[Growth],
        progress: OnAnswer | None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._batch = batch
        self._balance = GrowthBalance(growths, settings.augment)
        self._progress = progress
        self._kept = NoveltyIndex(settings.augment.rouge_threshold)
        self._last_id = 0
        for text in shown_messages():
            self._kept.add(text)
        with engine.begin() as connection:
            self._read_new(connection, own_too=True)
            chars = settings.augment.max_chars
            self._pools = {
                g.category: read_pool(connection, g.category, most_chars=chars) for g in growths
            }
        for growth in growths:
            if not self._pools[growth.category].draw(""):
                growth.stopped = growth.stopped or "no_seeds"

    async def grow(self) -> None:
        """Asks until every category is done, then ends the run.

        Raises:
            TransientError: the model server or the database is away; what was stored stays, and
                the run can be gone on with.
            ConfigurationError: the endpoint is not configured or refuses the key.
        """
        budget = self._balance.remaining()
        async with AsyncChatClient(self._settings.safety, stage=_STAGE, budget=budget) as client:
            await self._ask_side_by_side(client)
        await asyncio.to_thread(self._finish)

    async def _ask_side_by_side(self, client: AsyncChatClient) -> None:
        under_way: set[asyncio.Task[_Answer]] = set()
        try:
            while True:
                while len(under_way) < self._settings.safety.concurrency:
                    if (growth := self._balance.next()) is None:
                        break
                    under_way.add(asyncio.create_task(self._ask(client, self._start(growth))))
                if not under_way:
                    return
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await asyncio.to_thread(self._settle, task.result())
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _start(self, growth: Growth) -> _Call:
        number = growth.n_answers + growth.n_under_way + 1
        n_asked = self._balance.n_wanted(growth)
        growth.n_under_way += 1
        growth.n_asked += n_asked
        examples = self._pools[growth.category].draw(f"{self._batch.id}:{number}")
        return _Call(growth, number, n_asked, examples, new_nonce())

    async def _ask(self, client: AsyncChatClient, call: _Call) -> _Answer:
        settings = self._settings.augment
        messages = augment_messages(
            call.growth.kind,
            [example.text for example in call.examples],
            n_wanted=call.n_asked,
            nonce=call.nonce,
        )
        outcome: ChatResult | GuidealignError
        with recorded_calls() as calls:
            try:
                outcome = await client.complete(
                    messages,
                    temperature=settings.temperature,
                    max_tokens=settings.max_tokens,
                    seed=call.number,
                )
            except GuidealignError as error:
                outcome = error
        return _Answer(call, calls, outcome)

    def _settle(self, answer: _Answer) -> None:
        """Stores what came of a call."""
        growth = answer.call.growth
        growth.n_under_way -= 1
        growth.n_asked -= answer.call.n_asked
        error = answer.outcome if isinstance(answer.outcome, GuidealignError) else None
        version = load_prompt(AUGMENT_PROMPT).version
        with guard_database(), self._engine.begin() as connection:
            save_calls(
                connection,
                [
                    PromptedCall(stage=_STAGE, prompt_version=version, call=call)
                    for call in answer.calls
                ],
            )
            if error is None or isinstance(error, BadInputError):
                self._read_new(connection)
                outcomes = self._keep(connection, answer)
                growth.count(answer.call.n_asked, outcomes, answer.calls)
                store.save_growth(connection, self._batch, growth)
        if isinstance(error, BudgetExceededError):
            self._balance.spend_all()
        elif error is not None and not isinstance(error, BadInputError):
            raise error
        if self._progress:
            self._progress(growth.category, growth.n_kept, growth.n_wanted)

    def _keep(self, connection: Connection, answer: _Answer) -> list[int | str]:
        """Stores each text that is new, and the others with the reason.

        Returns:
            Per text the new input's id, or why there is none.
        """
        category = answer.call.growth.category
        n_missing = answer.call.growth.n_wanted - answer.call.growth.n_kept
        outcomes: list[int | str] = []
        for item in self._proposed(answer):
            outcome = self._store(connection, item, category) if n_missing else "surplus"
            if isinstance(outcome, int):
                n_missing -= 1
                self._kept.add(item.text)
                self._pools[category].grown.append(PromptExample(outcome, item.text))
                store.add_examples(connection, outcome, answer.call.examples)
            else:
                detail = REASONS[outcome]
                store.add_reject(
                    connection, self._batch, reason=outcome, detail=detail, payload=item.text
                )
            outcomes.append(outcome)
        count_synthetic_inputs(connection, self._batch, outcomes)
        return outcomes

    def _proposed(self, answer: _Answer) -> list[Proposed]:
        if isinstance(answer.outcome, GuidealignError):
            return [Proposed(text=str(answer.outcome), reason="refused_request")]
        return read_answer(
            answer.outcome,
            examples=[example.text for example in answer.call.examples],
            nonce=answer.call.nonce,
            settings=self._settings.augment,
        )

    def _store(self, connection: Connection, item: Proposed, category: str) -> int | str:
        """Stores a text and returns the new input's id, or the reason why there is none."""
        if item.reason is not None:
            return item.reason
        if not self._kept.is_new(item.text):
            return "too_similar"
        threshold = self._settings.ingest.near_duplicate_threshold
        return add_synthetic_input(
            connection, self._batch, item.text, category=category, threshold=threshold
        )

    def _read_new(self, connection: Connection, *, own_too: bool = False) -> None:
        """Indexes the inputs that were stored since the last call; at first, all of them."""
        for input_id, text, own in store.texts_after(connection, self._last_id, self._batch.id):
            if own_too or not own:
                self._kept.add(text)
            self._last_id = input_id

    def _finish(self) -> None:
        with guard_database(), self._engine.begin() as connection:
            for growth in self._balance.growths:
                store.save_growth(connection, self._batch, growth)
            finish_synthetic_batch(connection, self._batch)
        for growth in self._balance.growths:
            log.info(
                "augment.done",
                category=growth.category,
                n_wanted=growth.n_wanted,
                n_kept=growth.n_kept,
                stopped=growth.stopped,
            )
