"""Answers inputs as guidance has them; each answer is stored as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import structlog
from sqlalchemy import Engine

from guidealign.alignment import store
from guidealign.alignment.filters import judge
from guidealign.alignment.model import AnswerKey, SampledInput
from guidealign.alignment.retrieve import retrieve
from guidealign.db import guard_database
from guidealign.errors import BadInputError, TransientError
from guidealign.guidance import compose
from guidealign.llm import CallRecord, ChatClient, ChatResult, recorded_calls, run_many
from guidealign.records import GuidancePolicy, Release, RetrievedGuideline
from guidealign.registry import Registry
from guidealign.settings import Settings

_REFUSED = "the model server refused the request: too long for its context, or not allowed"

log = structlog.get_logger()


@dataclass(frozen=True)
class AnswerCounts:
    """How many inputs were answered now, and how many the server refused."""

    n_new: int
    n_failed: int


@dataclass(frozen=True)
class _Job:
    asked: SampledInput
    guidelines: Sequence[RetrievedGuideline]


@dataclass
class _Answerer:
    """Answers one input: a call, the filters, one transaction."""

    engine: Engine
    client: ChatClient
    key: AnswerKey
    policy: GuidancePolicy
    max_tokens: int
    away: list[TransientError] = field(default_factory=list)
    """Why the server is given up; the jobs behind it are not tried one by one."""

    def __call__(self, job: _Job) -> bool:
        """Whether an answer was stored; an input that the server refuses is a reject."""
        if self.away:
            raise self.away[0]
        messages = compose(job.asked.text, job.guidelines, self.policy, model=self.key.model)
        with recorded_calls() as calls:
            try:
                said = self.client.complete(messages, temperature=0.0, max_tokens=self.max_tokens)
            except BadInputError:
                self._refused(job, calls)
                return False
            except TransientError as error:
                self.away.append(error)
                self._record(job, calls)
                raise
        self._answered(job, said, calls)
        return True

    def _record(self, job: _Job, calls: list[CallRecord]) -> None:
        with guard_database(), self.engine.begin() as connection:
            store.add_calls(connection, self.key.prompt_version, job.asked.input_id, calls)

    def _refused(self, job: _Job, calls: list[CallRecord]) -> None:
        input_id = job.asked.input_id
        with guard_database(), self.engine.begin() as connection:
            store.add_calls(connection, self.key.prompt_version, input_id, calls)
            store.add_reject(
                connection, input_id=input_id, reason="refused_by_server", detail=_REFUSED
            )
        log.warning("input not answered", input_id=input_id)

    def _answered(self, job: _Job, said: ChatResult, calls: list[CallRecord]) -> None:
        judged = judge(
            said.text,
            finish_reason=said.finish_reason,
            known_safe=job.asked.known_safe,
            guidelines=[g.text for g in job.guidelines],
        )
        answer = {
            **asdict(self.key),
            **asdict(judged),
            "input_id": job.asked.input_id,
            "guideline_ids": [g.guideline_id for g in job.guidelines],
            "finish_reason": said.finish_reason,
            "prompt_tokens": said.prompt_tokens,
            "completion_tokens": said.completion_tokens,
            "latency_ms": said.latency_ms,
        }
        with guard_database(), self.engine.begin() as connection:
            store.add_calls(connection, self.key.prompt_version, job.asked.input_id, calls)
            store.add_answer(connection, answer)


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
    jobs = [_Job(asked, one.guidelines) for asked, one in zip(inputs, found, strict=True)]
    key = AnswerKey.of(settings, release)
    with ChatClient(settings.base, stage="align") as client:
        answerer = _Answerer(engine, client, key, release.policy, settings.align.max_tokens)
        answered = run_many(jobs, answerer, settings.base.concurrency)
    return AnswerCounts(n_new=sum(answered), n_failed=len(answered) - sum(answered))
