"""Asks a model the cases of a benchmark; each answer is stored as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import structlog
from sqlalchemy import Engine

from guidealign.alignment import retrieve
from guidealign.errors import BadInputError, ConfigurationError, TransientError
from guidealign.evaluation.benchmarks import store
from guidealign.evaluation.benchmarks.model import Benchmark, BenchmarkCase
from guidealign.evaluation.benchmarks.runs import BenchmarkSubject, StoredRun, cluster_of
from guidealign.guidance import compose
from guidealign.llm import ChatClient, ChatResult, run_many
from guidealign.records import Release, RetrievedGuideline
from guidealign.registry import Registry
from guidealign.settings import Settings

Progress = Callable[[int, int], object]
"""Told how many cases are done, and how many there are."""
_ASKED_AT_ONCE = 32
_REASON_CHARS = 300

log = structlog.get_logger()


@dataclass(frozen=True)
class _Job:
    case: BenchmarkCase
    guidelines: Sequence[RetrievedGuideline]


@dataclass
class _Asker:
    """Asks one case, turn by turn; its answers are one transaction."""

    engine: Engine
    client: ChatClient
    run_id: int
    max_tokens: int
    tell: Callable[[], object]
    away: list[TransientError] = field(default_factory=list)
    """Why the server is given up; the cases behind it are not tried one by one."""

    def __call__(self, job: _Job) -> None:
        if self.away:
            raise self.away[0]
        answer = self._row(job)
        try:
            said = self._converse(job)
            answer |= {
                "answers": [one.text for one in said],
                "finish_reason": said[-1].finish_reason,
                "model": said[-1].model,
                "prompt_tokens": sum(one.prompt_tokens for one in said),
                "completion_tokens": sum(one.completion_tokens for one in said),
                "latency_ms": sum(one.latency_ms for one in said),
            }
        except BadInputError as error:
            # Too long for the model, or stopped by the server's own filter: a case without a score.
            answer["reason"] = str(error)[:_REASON_CHARS]
        except TransientError as error:
            self.away.append(error)
            raise
        store.add_answer(self.engine, answer)
        self.tell()

    def _converse(self, job: _Job) -> list[ChatResult]:
        conversation: list[dict[str, str]] = []
        said: list[ChatResult] = []
        for turn in job.case.turns:
            conversation.append({"role": "user", "content": turn})
            messages = compose(conversation, job.guidelines)
            result = self.client.complete(messages, temperature=0.0, max_tokens=self.max_tokens)
            conversation.append({"role": "assistant", "content": result.text})
            said.append(result)
        return said

    def _row(self, job: _Job) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "case_id": job.case.case_id,
            "category": job.case.category,
            "kind": job.case.kind,
            "cluster": cluster_of(job.case),
            "turns": list(job.case.turns),
            "guideline_ids": [g.guideline_id for g in job.guidelines],
            "answers": None,
            "reason": None,
            "finish_reason": None,
            "model": None,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "latency_ms": 0.0,
        }


def answer_benchmark(
    benchmark: Benchmark,
    subject: BenchmarkSubject,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry | None = None,
    progress: Progress | None = None,
) -> StoredRun:
    """Asks all cases that were not asked yet, greedily, and returns the run.

    Each answer is stored before the next of its place is asked, so a process that dies loses
    only what was under way. Two processes do not ask the same run at once: the second waits,
    then finds what the first has left.

    Args:
        benchmark: what to ask.
        subject: whom, and with which release's guidelines in front.
        engine: the guidealign database.
        settings: `evaluation.max_tokens` bounds an answer.
        registry: where the retriever is; needed with guidelines only.
        progress: told after each case, those of earlier times included.

    Raises:
        ServiceUnavailableError: the server is away; the answers that came are stored.
        ConfigurationError: guidelines are wanted, and there is no registry to find them with.
    """
    if subject.release is not None and registry is None:
        raise ConfigurationError("guidelines take the registry: run `guidealign up`")
    max_tokens = settings.evaluation.max_tokens
    run = store.open_run(engine, benchmark, subject, asked=f"greedy-{max_tokens}")
    # Whoever else would answer in its place is another model.
    endpoint = subject.endpoint.model_copy(update={"fallbacks": []})
    with store.asking(engine, run.run_id), ChatClient(endpoint, stage="evaluate") as client:
        known = {answer.case_id for answer in store.read_answers(engine, run.run_id)}
        missing = [case for case in benchmark.cases if case.case_id not in known]
        tell = _counter(progress, len(known), len(benchmark.cases))
        asker = _Asker(engine, client, run.run_id, max_tokens, tell)
        for start in range(0, len(missing), _ASKED_AT_ONCE):
            some = missing[start : start + _ASKED_AT_ONCE]
            found = _guidelines(some, subject.release, engine, settings, registry)
            jobs = [_Job(case, kept) for case, kept in zip(some, found, strict=True)]
            run_many(jobs, asker, endpoint.concurrency)
    log.info("benchmark answered", run=run.run_id, benchmark=benchmark.name, new=len(missing))
    return store.read_run(engine, run.run_id)


def _guidelines(
    cases: list[BenchmarkCase],
    release: Release | None,
    engine: Engine,
    settings: Settings,
    registry: Registry | None,
) -> list[list[RetrievedGuideline]]:
    """For each case, by its first turn."""
    if release is None or registry is None:
        return [[] for _ in cases]
    texts = [case.turns[0] for case in cases]
    return retrieve(texts, engine=engine, settings=settings, registry=registry, release=release)


def _counter(progress: Progress | None, done: int, total: int) -> Callable[[], object]:
    lock = Lock()

    def tell() -> None:
        nonlocal done
        with lock:
            done += 1
            if progress:
                progress(done, total)

    if progress:
        progress(done, total)
    return tell
