"""One worker's way through the queue: claim, ask, store, or say why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection, Engine

from guidealign.authoring import store
from guidealign.authoring._prompts import QUALITY_PROMPT, SAFETY_PROMPT, load_prompt
from guidealign.authoring.filter import check_guideline
from guidealign.authoring.model import Authored, AuthorResult, Drafts, JudgedDraft
from guidealign.authoring.write import detect, write_guidelines
from guidealign.db import Claim, claim, guard_database, release
from guidealign.errors import (
    BadInputError,
    GuidealignError,
    ModelOutputError,
    PermanentError,
)
from guidealign.ingest import normalize_text
from guidealign.llm import AsyncChatClient, recorded_calls
from guidealign.settings import AuthorSettings

log = structlog.get_logger()


class Tries:
    """Which stage an input is in, and the calls that were made for it."""

    def __init__(self) -> None:
        self.stage = "detect"
        self.calls: list[store.PromptedCall] = []

    @contextmanager
    def at(self, stage: str, prompt: str) -> Iterator[None]:
        """Records the calls of a stage, also when it fails."""
        self.stage = stage
        with recorded_calls() as calls:
            try:
                yield
            finally:
                self.calls += [(load_prompt(prompt).version, call) for call in calls]


class Worker:
    """One batch's hands; `author_one` may run in several tasks at a time."""

    def __init__(
        self, engine: Engine, client: AsyncChatClient, settings: AuthorSettings, *, holder: str
    ) -> None:
        self._engine = engine
        self._client = client
        self._settings = settings
        self._holder = holder

    def claim(self) -> list[Claim]:
        """Takes the next open inputs."""
        with guard_database(), self._engine.begin() as connection:
            return claim(
                connection,
                task=store.TASK,
                holder=self._holder,
                limit=self._settings.batch_size,
                lease_s=self._settings.lease_s,
            )

    def give_back(self, claims: list[Claim]) -> None:
        """Frees what is still held of these; after a good run that is nothing."""
        with guard_database(), self._engine.begin() as connection:
            release(
                connection,
                store.TASK,
                [item.item_id for item in claims],
                holder=self._holder,
                error="the batch was stopped",
            )

    async def author_one(self, item: Claim) -> AuthorResult:
        """Authors one input; what no further try can help ends in rejects.

        Raises:
            TransientError: a service is away; the input is open again, its attempt not counted.
            ConfigurationError: the endpoint is set up wrongly.
        """
        tries = Tries()
        try:
            authored = await self._ask(item, tries)
        except (ModelOutputError, BadInputError) as error:
            return self._failed(item, tries, error)
        except GuidealignError as error:
            self._not_its_fault(item, tries, error)
            raise
        saved = store.save_authored(
            self._engine, item.item_id, authored, tries.calls, holder=self._holder
        )
        if saved is None:
            log.warning("author.lease_lost", input_id=item.item_id)
        return saved or AuthorResult()

    async def _ask(self, item: Claim, tries: Tries) -> Authored:
        text = store.input_text(self._engine, item.item_id)
        client, settings, attempt = self._client, self._settings, item.attempt
        with tries.at("detect", SAFETY_PROMPT):
            found = await detect(client, text, attempt=attempt, settings=settings)
        unsafe = found.detection.unsafe
        with tries.at("guidelines", SAFETY_PROMPT if unsafe else QUALITY_PROMPT):
            drafts = await write_guidelines(client, text, found, attempt=attempt, settings=settings)
        return Authored(
            detection=found.detection,
            prompt_version=load_prompt(SAFETY_PROMPT).version,
            guideline_prompt_version=drafts.prompt_version,
            model=client.model,
            drafts=_judge(drafts, text),
        )

    def _failed(self, item: Claim, tries: Tries, error: PermanentError) -> AuthorResult:
        """Another try for junk until attempts are spent; then the reason is kept."""
        final = isinstance(error, BadInputError) or item.attempt >= self._settings.max_attempts
        reason = "invalid_answer" if isinstance(error, ModelOutputError) else "refused_request"
        with guard_database(), self._engine.begin() as connection:
            store.save_calls(connection, item.item_id, tries.calls)
            if not self._let_go(connection, item, error, final=final):
                return AuthorResult()
            if final:
                store.save_reject(
                    connection, item.item_id, stage=tries.stage, reason=reason, detail=str(error)
                )
        log.warning("author.invalid", input_id=item.item_id, stage=tries.stage, final=final)
        return AuthorResult(n_failed=int(final))

    def _not_its_fault(self, item: Claim, tries: Tries, error: GuidealignError) -> None:
        with guard_database(), self._engine.begin() as connection:
            store.save_calls(connection, item.item_id, tries.calls)
            if self._let_go(connection, item, error, final=False):
                store.forget_attempt(connection, item.item_id)

    def _let_go(
        self, connection: Connection, item: Claim, error: GuidealignError, *, final: bool
    ) -> bool:
        """Ends our lease of an input; False: it was no longer ours."""
        mine = store.is_held(connection, item.item_id, self._holder)
        release(
            connection,
            store.TASK,
            [item.item_id],
            holder=self._holder,
            error=str(error),
            final=final,
        )
        return mine


def _judge(drafts: Drafts, text: str) -> tuple[JudgedDraft, ...]:
    judged = []
    for draft in drafts.guidelines:
        title, words = normalize_text(draft.title), normalize_text(draft.text)
        verdict = check_guideline(title, words, text)
        judged.append(
            JudgedDraft(title=title, text=words, category=drafts.category, verdict=verdict)
        )
    return tuple(judged)
