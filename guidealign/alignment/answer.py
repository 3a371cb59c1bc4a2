"""Has models answer inputs in each of the ways; each answer is stored as it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import structlog
from sqlalchemy import Engine

from guidealign.alignment import store
from guidealign.alignment.choice import WAYS
from guidealign.alignment.filters import judge
from guidealign.alignment.model import AnswerKey, SampledInput, StoredAnswer
from guidealign.alignment.retrieve import retrieve
from guidealign.db import guard_database
from guidealign.errors import BadInputError, ConfigurationError, TransientError
from guidealign.guidance import compose
from guidealign.llm import CallRecord, ChatClient, ChatResult, Message, recorded_calls, run_many
from guidealign.records import AnswerWay, GuidancePolicy, Release, RetrievedGuideline
from guidealign.registry import Registry
from guidealign.settings import Settings

_REFUSED = "the model server refused the request: too long for its context, or not allowed"
_CRITIQUE = (
    "Hold your last answer against the guidelines above. In two sentences: where does it break one"
    " of them, do harm, or fail to help?"
)
_REWRITE = (
    "Now write the answer anew, for the person who asked, so that nothing of that is left. Do not"
    " mention the guidelines or your first answer."
)

log = structlog.get_logger()


@dataclass(frozen=True)
class AnswerCounts:
    """How many answers came now, and how many the server refused."""

    n_new: int
    n_failed: int

    def __add__(self, other: AnswerCounts) -> AnswerCounts:
        return AnswerCounts(self.n_new + other.n_new, self.n_failed + other.n_failed)


@dataclass(frozen=True, kw_only=True)
class Job:
    """An input with what is put around it."""

    input_id: int
    text: str
    known_safe: bool = False
    guidelines: Sequence[RetrievedGuideline] = ()
    first: str = ""
    """The guided answer, where it is to be revised."""


@dataclass
class _Answerer:
    """Answers one input: its calls, the filters, one transaction."""

    engine: Engine
    client: ChatClient
    key: AnswerKey
    policy: GuidancePolicy | None
    max_tokens: int
    away: list[TransientError] = field(default_factory=list)
    """Why the server is given up; the jobs behind it are not tried one by one."""

    def __call__(self, job: Job) -> bool:
        """Whether an answer was stored; an input that the server refuses is a reject."""
        if self.away:
            raise self.away[0]
        with recorded_calls() as calls:
            try:
                said = self._say(job)
            except BadInputError:
                self._refused(job, calls)
                return False
            except TransientError as error:
                self.away.append(error)
                self._record(job, calls)
                raise
        self._answered(job, said, calls)
        return True

    def _say(self, job: Job) -> ChatResult:
        messages: list[Message] = [{"role": "user", "content": job.text}]
        if self.policy is not None:
            messages = compose(job.text, job.guidelines, self.policy, model=self.key.model)
        if self.key.way == "revised":
            messages = _with_turn(messages, job.first, _CRITIQUE)
            messages = _with_turn(messages, self._complete(messages).text, _REWRITE)
        return self._complete(messages)

    def _complete(self, messages: list[Message]) -> ChatResult:
        return self.client.complete(messages, temperature=0.0, max_tokens=self.max_tokens)

    def _record(self, job: Job, calls: list[CallRecord]) -> None:
        with guard_database(), self.engine.begin() as connection:
            store.add_calls(connection, self.key.prompt_version, job.input_id, calls)

    def _refused(self, job: Job, calls: list[CallRecord]) -> None:
        with guard_database(), self.engine.begin() as connection:
            store.add_calls(connection, self.key.prompt_version, job.input_id, calls)
            store.add_reject(
                connection, input_id=job.input_id, reason="refused_by_server", detail=_REFUSED
            )
        log.warning("input not answered", input_id=job.input_id, way=self.key.way)

    def _answered(self, job: Job, said: ChatResult, calls: list[CallRecord]) -> None:
        judged = judge(
            said.text,
            finish_reason=said.finish_reason,
            known_safe=job.known_safe,
            guidelines=[g.text for g in job.guidelines],
        )
        answer = {
            **asdict(judged),
            "input_id": job.input_id,
            "guideline_ids": [g.guideline_id for g in job.guidelines],
            "finish_reason": said.finish_reason,
            "prompt_tokens": said.prompt_tokens,
            "completion_tokens": said.completion_tokens,
            "latency_ms": said.latency_ms,
        }
        with guard_database(), self.engine.begin() as connection:
            store.add_calls(connection, self.key.prompt_version, job.input_id, calls)
            store.add_answer(connection, self.key, answer)


def answer_jobs(
    jobs: Sequence[Job],
    key: AnswerKey,
    *,
    engine: Engine,
    settings: Settings,
    policy: GuidancePolicy | None = None,
    stage: str = "align",
) -> AnswerCounts:
    """Has each input answered once, greedily.

    Args:
        jobs: inputs that have no answer under the key.
        key: how they are answered, and by which model.
        engine: the guidealign database.
        settings: `base` that answers, `safety` where the way is `teacher`.
        policy: of the guidelines in front; None: there are none.
        stage: under which the calls are stored.

    Raises:
        ServiceUnavailableError: the model server is away; answers that came are stored.
    """
    if not jobs:
        return AnswerCounts(0, 0)
    endpoint = settings.safety if key.way == "teacher" else settings.base
    with ChatClient(endpoint, stage=stage) as client:
        answerer = _Answerer(engine, client, key, policy, settings.align.max_tokens)
        answered = run_many(jobs, answerer, endpoint.concurrency)
    return AnswerCounts(n_new=sum(answered), n_failed=len(answered) - sum(answered))


@dataclass(frozen=True)
class Gathered:
    """Answers by input and way, and what it took to get them."""

    answers: Mapping[int, Mapping[AnswerWay, StoredAnswer]]
    counts: AnswerCounts = AnswerCounts(0, 0)


def gather_answers(
    inputs: Sequence[SampledInput],
    ways: frozenset[AnswerWay],
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    release: Release,
) -> Gathered:
    """The answers to inputs in each of the ways; those that are missing are asked for.

    Raises:
        ConfigurationError: the teacher is the base itself.
        ServiceUnavailableError: a model server is away; answers that came are stored.
    """
    keys = {way: AnswerKey.of(settings, release, way) for way in WAYS if way in ways}
    if "teacher" in keys:
        _check_teacher(settings)
    ids = [i.input_id for i in inputs]
    found = {way: _stored(ids, key, engine) for way, key in keys.items()}
    lacking = [
        i for i in inputs if any(i.input_id not in found[way] for way in keys if way != "plain")
    ]
    guidelines = _guidelines(
        lacking, engine=engine, settings=settings, registry=registry, release=release
    )
    counts = AnswerCounts(0, 0)
    for way, key in keys.items():
        jobs = [
            Job(
                input_id=i.input_id,
                text=i.text,
                # A plain answer is stored for all that ask for it, whatever is known of its input.
                known_safe=i.known_safe and way != "plain",
                guidelines=() if way == "plain" else guidelines[i.input_id],
                first=_first(found, i) if way == "revised" else "",
            )
            for i in inputs
            if i.input_id not in found[way] and (way != "revised" or _first(found, i))
        ]
        policy = None if way == "plain" else release.policy
        counts += answer_jobs(jobs, key, engine=engine, settings=settings, policy=policy)
        if jobs:
            found[way] = _stored(ids, key, engine)
    by_input = {i: {way: found[way][i] for way in keys if i in found[way]} for i in ids}
    return Gathered(by_input, counts)


def _guidelines(
    inputs: Sequence[SampledInput],
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    release: Release,
) -> dict[int, Sequence[RetrievedGuideline]]:
    found = retrieve(
        [i.text for i in inputs],
        engine=engine,
        settings=settings,
        registry=registry,
        release=release,
        input_ids=[i.input_id for i in inputs],
    )
    return {i.input_id: one.guidelines for i, one in zip(inputs, found, strict=True)}


def _stored(ids: list[int], key: AnswerKey, engine: Engine) -> dict[int, StoredAnswer]:
    with guard_database(), engine.connect() as connection:
        return {a.input_id: a for a in store.answers(connection, ids, key)}


def _first(found: Mapping[AnswerWay, Mapping[int, StoredAnswer]], asked: SampledInput) -> str:
    """The guided answer that is to be revised; empty: there is none, or it says nothing."""
    first = found["guided"].get(asked.input_id)
    return first.response if first and first.filtered_reason != "empty" else ""


def _with_turn(messages: list[Message], said: str, asked: str) -> list[Message]:
    return [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": asked}]


def _check_teacher(settings: Settings) -> None:
    base, safety = settings.base, settings.safety
    if (base.base_url, base.model) == (safety.base_url, safety.model):
        raise ConfigurationError(
            "ALIGN__CANDIDATES names the teacher, but the safety model is the base itself: set"
            " SAFETY__MODEL, or leave the teacher out"
        )
