"""Asks a model the cases of a benchmark; each answer is stored as it comes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import structlog
from sqlalchemy import Engine

from guidealign.errors import BadInputError, ConfigurationError, TransientError
from guidealign.evaluation.benchmarks import store
from guidealign.evaluation.benchmarks.model import Benchmark, BenchmarkCase
from guidealign.evaluation.benchmarks.runs import BenchmarkSubject, StoredRun, cluster_of
from guidealign.guidance import ReleaseGuidance, compose, user_turns
from guidealign.llm import ChatClient, ChatResult, run_many
from guidealign.registry import Registry
from guidealign.retriever import load_guidance
from guidealign.settings import Settings

Progress = Callable[[int, int], object]
"""Told how many cases are done, and how many there are."""
Allow = Callable[[], bool]
"""Asked before each case whether one more may be asked."""
_ASKED_AT_ONCE = 32
_REASON_CHARS = 300

log = structlog.get_logger()


@dataclass
class _Asker:
    """Asks one case, turn by turn; its answers are one transaction."""

    engine: Engine
    client: ChatClient
    run_id: int
    guidance: ReleaseGuidance | None
    """None: the cases are asked as they are."""
    max_tokens: int
    tell: Callable[[], object]
    allow: Allow = lambda: True
    away: list[TransientError] = field(default_factory=list)
    """Why the server is given up; the cases behind it are not tried one by one."""

    def __call__(self, case: BenchmarkCase) -> None:
        if self.away:
            raise self.away[0]
        if not self.allow():
            return
        given: list[int] = []
        answer = self._row(case)
        try:
            said = self._converse(case, given)
            answer |= {
                "guideline_ids": list(dict.fromkeys(given)),
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

    def _converse(self, case: BenchmarkCase, given: list[int]) -> list[ChatResult]:
        """The answers of all turns; the guidelines of each turn go into `given`."""
        conversation: list[dict[str, Any]] = []
        said: list[ChatResult] = []
        for turn in case.turns:
            conversation.append({"role": "user", "content": turn})
            messages = self._guided(conversation, given)
            result = self.client.complete(messages, temperature=0.0, max_tokens=self.max_tokens)
            conversation.append({"role": "assistant", "content": result.text})
            said.append(result)
        return said

    def _guided(self, conversation: list[dict[str, Any]], given: list[int]) -> list[dict[str, Any]]:
        if self.guidance is None:
            return conversation
        found = self.guidance.find([user_turns(conversation)])[0]
        given += [guideline.guideline_id for guideline in found.guidelines]
        policy = self.guidance.release.policy
        return compose(
            conversation, found.guidelines, policy, model=self.client.model, turn=found.turn
        )

    def _row(self, case: BenchmarkCase) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "case_id": case.case_id,
            "category": case.category,
            "kind": case.kind,
            "cluster": cluster_of(case),
            "turns": list(case.turns),
            "guideline_ids": [],
            "answers": None,
            "reason": None,
            "finish_reason": None,
            "model": None,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "latency_ms": 0.0,
        }


def answer_benchmark(  # noqa: PLR0913 - what, whom, how much of it, and where it is kept
    benchmark: Benchmark,
    subject: BenchmarkSubject,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry | None = None,
    progress: Progress | None = None,
    only: Collection[str] | None = None,
    allow: Allow = lambda: True,
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
        only: ids of the cases to ask now; None: all of them.
        allow: what it does not allow stays unasked, for another time.

    Raises:
        ServiceUnavailableError: the server is away; the answers that came are stored.
        ConfigurationError: guidelines are wanted, and there is no registry to find them with.
    """
    if subject.release is not None and registry is None:
        raise ConfigurationError("guidelines take the registry: run `guidealign up`")
    max_tokens = settings.evaluation.max_tokens
    asked = f"greedy-{max_tokens}"
    if subject.revocation is not None:
        asked += f"-after-revocation-{subject.revocation}"
    run = store.open_run(engine, benchmark, subject, asked=asked)
    # Whoever else would answer in its place is another model.
    endpoint = subject.endpoint.model_copy(update={"fallbacks": []})
    with store.asking(engine, run.run_id), ChatClient(endpoint, stage="evaluate") as client:
        known = {answer.case_id for answer in store.read_answers(engine, run.run_id)}
        wanted = [case for case in benchmark.cases if only is None or case.case_id in only]
        missing = [case for case in wanted if case.case_id not in known]
        guidance = _guidance(subject, engine, settings, registry) if missing else None
        tell = _counter(progress, len(wanted) - len(missing), len(wanted))
        asker = _Asker(engine, client, run.run_id, guidance, max_tokens, tell, allow)
        for start in range(0, len(missing), _ASKED_AT_ONCE):
            run_many(missing[start : start + _ASKED_AT_ONCE], asker, endpoint.concurrency)
    log.info("benchmark answered", run=run.run_id, benchmark=benchmark.name, new=len(missing))
    return store.read_run(engine, run.run_id)


def _guidance(
    subject: BenchmarkSubject, engine: Engine, settings: Settings, registry: Registry | None
) -> ReleaseGuidance | None:
    release = subject.guided_by
    if release is None or registry is None:
        return None
    return load_guidance(release, engine=engine, settings=settings, registry=registry)


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
