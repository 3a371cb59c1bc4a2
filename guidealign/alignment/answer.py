"""Answers inputs with guidelines in front of them; each answer is stored as it comes."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from guidealign.alignment import store
from guidealign.alignment.compose import compose
from guidealign.alignment.filters import judge
from guidealign.alignment.model import AnswerKey, SampledInput
from guidealign.alignment.retrieve import retrieve
from guidealign.db import guard_database
from guidealign.errors import BadInputError, ModelOutputError
from guidealign.llm import ChatClient, run_many
from guidealign.records import Release, RetrievedGuideline
from guidealign.registry import Registry
from guidealign.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class AnswerCounts:
    """How many inputs were answered now, and how many the model could not answer."""

    n_new: int
    n_failed: int


@dataclass(frozen=True)
class _Job:
    asked: SampledInput
    guidelines: list[RetrievedGuideline]


@dataclass(frozen=True)
class _Answerer:
    """Answers one input: a call, the filters, one transaction."""

    engine: Engine
    client: ChatClient
    key: AnswerKey
    max_tokens: int

    def __call__(self, job: _Job) -> bool:
        """Whether an answer was stored; an input that cannot be answered is a reject."""
        asked = job.asked
        messages = compose(asked.text, job.guidelines)
        try:
            said = self.client.complete(messages, temperature=0.0, max_tokens=self.max_tokens)
        except (BadInputError, ModelOutputError) as error:
            reason = "refused_by_server" if isinstance(error, BadInputError) else "model_output"
            with guard_database(), self.engine.begin() as connection:
                store.add_failure(
                    connection, self.key, input_id=asked.input_id, reason=reason, detail=str(error)
                )
            log.warning("input not answered", input_id=asked.input_id, reason=reason)
            return False
        judged = judge(
            said.text,
            finish_reason=said.finish_reason,
            known_safe=asked.known_safe,
            guidelines=[g.text for g in job.guidelines],
        )
        answer = {
            "input_id": asked.input_id,
            "response": judged.response,
            "filtered_reason": judged.filtered_reason,
            "guideline_ids": [g.guideline_id for g in job.guidelines],
            "finish_reason": said.finish_reason,
            "prompt_tokens": said.prompt_tokens,
            "completion_tokens": said.completion_tokens,
            "latency_ms": said.latency_ms,
        }
        with guard_database(), self.engine.begin() as connection:
            store.add_answer(connection, self.key, answer)
        return True


def answer_inputs(
    inputs: list[SampledInput],
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    release: Release,
) -> AnswerCounts:
    """Guides and answers each input once, greedily (stage 2 of Guide-Align).

    Raises:
        ServiceUnavailableError: the model server is away; answers that came are stored.
    """
    if not inputs:
        return AnswerCounts(0, 0)
    found = retrieve(
        [i.text for i in inputs],
        engine=engine,
        settings=settings,
        registry=registry,
        release=release,
        input_ids=[i.input_id for i in inputs],
    )
    answerer = _Answerer(
        engine=engine,
        client=ChatClient(settings.base, stage="align"),
        key=AnswerKey.of(settings, release),
        max_tokens=settings.align.max_tokens,
    )
    jobs = [_Job(asked, guidelines) for asked, guidelines in zip(inputs, found, strict=True)]
    answered = run_many(jobs, answerer, settings.base.concurrency)
    return AnswerCounts(n_new=sum(answered), n_failed=len(answered) - sum(answered))
