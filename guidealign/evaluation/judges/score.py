"""Puts stored answers before a judge; each score is stored as soon as there are a few."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.errors import BadInputError
from guidealign.evaluation import store
from guidealign.evaluation.benchmarks import BenchmarkAnswer, StoredRun, read_answers
from guidealign.evaluation.judges.language_model import AnswerPair, PairJudge
from guidealign.evaluation.judges.model import Judge, PairVerdict
from guidealign.records import CaseKind, CaseScore, EvaluationRun, Unscored

Progress = Callable[[int, int], object]
"""Told how many cases are judged, and how many there are."""
_STORED_AT_ONCE = 20


@dataclass
class _Keeper:
    """Stores scores by the handful: what a judge has said survives it."""

    engine: Engine
    planned: EvaluationRun
    done: int
    total: int
    progress: Progress | None
    _waiting: list[CaseScore | Unscored] = field(default_factory=list)

    def keep(self, answer: BenchmarkAnswer, found: float | str) -> None:
        self._waiting.append(_case(answer, found))
        self.done += 1
        if len(self._waiting) >= _STORED_AT_ONCE:
            self.flush()
        if self.progress:
            self.progress(self.done, self.total)

    def flush(self) -> None:
        run = replace(
            self.planned,
            scores=tuple(c for c in self._waiting if isinstance(c, CaseScore)),
            unscored=tuple(c for c in self._waiting if isinstance(c, Unscored)),
        )
        self._waiting = []
        with guard_database():
            store.store_run(run, self.engine)


def score_answers(
    run: StoredRun,
    judge: Judge,
    *,
    engine: Engine,
    progress: Progress | None = None,
    kinds: Collection[CaseKind] | None = None,
    unfinished: bool = False,
) -> EvaluationRun:
    """What a judge says of a run's answers; what it has said before is not asked again.

    A case that the model did not answer has no score, and its reason is kept.

    Args:
        run: the answers.
        judge: who is asked.
        engine: the guidealign database.
        progress: told how far it is.
        kinds: of the cases whose answers are judged; None: all.
        unfinished: whether a run that has only some of its answers will do.

    Raises:
        BadInputError: the run is not finished.
        TransientError: the judge is away; what it said is stored.
    """
    answers = read_answers(engine, run.run_id) if unfinished else _all_answers(run, engine)
    answers = [answer for answer in answers if kinds is None or answer.kind in kinds]
    planned = _planned(run, judge.metric, f"{judge.fingerprint}:{run.how}", judge.model)
    missing = _missing(planned, answers, engine)
    keeper = _Keeper(engine, planned, len(answers) - len(missing), len(answers), progress)
    try:
        for answer in missing:
            if answer.answers is None:
                keeper.keep(answer, f"no answer: {answer.reason}")
        answered = [answer for answer in missing if answer.answers is not None]
        judge.judge(answered, lambda number, found: keeper.keep(answered[number], found))
    finally:
        keeper.flush()
    with guard_database():
        return store.load_run(planned, engine)


def judge_pairs(
    runs: tuple[StoredRun, StoredRun],
    judge: PairJudge,
    *,
    engine: Engine,
    progress: Progress | None = None,
) -> tuple[EvaluationRun, EvaluationRun]:
    """Which of two runs' answers to the same cases are better, case by case, in both orders.

    The scores of the two are mirror images: 1 for the better answer, 0 for the other, 0.5 both
    for a tie. They are stored under an evaluator that names the pair, whichever stands first.

    Raises:
        BadInputError: the runs are not finished, or not of the same cases asked alike.
        TransientError: the judge is away; what it said is stored.
    """
    first, second = sorted(runs, key=lambda run: run.run_id)
    if (first.benchmark, first.how) != (second.benchmark, second.how):
        raise BadInputError(
            f"runs {first.run_id} and {second.run_id} were not asked the same cases alike:"
            f" {first.benchmark} {first.how}, {second.benchmark} {second.how}"
        )
    ours, theirs = (_all_answers(run, engine) for run in (first, second))
    names = [f"{run.model_name}/{run.version}" for run in (first, second)]
    pair = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    evaluator = f"{judge.fingerprint}:{first.how}:{pair}"
    planned = [_planned(run, judge.metric, evaluator, judge.model) for run in (first, second)]
    # The second is stored first: the first says what is missing.
    missing = {a.case_id for a in _missing(planned[0], ours, engine)}
    both = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.case_id in missing]
    keepers = [
        _Keeper(engine, one, len(ours) - len(both), len(ours), told)
        for one, told in zip(planned, (progress, None), strict=True)
    ]

    def keep(pair_of: tuple[BenchmarkAnswer, BenchmarkAnswer], found: PairVerdict | str) -> None:
        verdict = found if isinstance(found, str) else found.score
        keepers[1].keep(pair_of[1], verdict if isinstance(verdict, str) else 1 - verdict)
        keepers[0].keep(pair_of[0], verdict)

    try:
        _compare(both, judge, keep)
    finally:
        for keeper in reversed(keepers):
            keeper.flush()
    with guard_database():
        scored = {
            run.run_id: store.load_run(p, engine)
            for run, p in zip((first, second), planned, strict=True)
        }
    return scored[runs[0].run_id], scored[runs[1].run_id]


def _compare(
    both: Sequence[tuple[BenchmarkAnswer, BenchmarkAnswer]],
    judge: PairJudge,
    keep: Callable[[tuple[BenchmarkAnswer, BenchmarkAnswer], PairVerdict | str], None],
) -> None:
    asked = []
    for a, b in both:
        lacking = next((one for one in (a, b) if one.answers is None), None)
        if lacking is not None:
            keep((a, b), f"no answer: {lacking.reason}")
        elif a.answer == b.answer:
            # Nothing to ask: no order could make one of them better.
            keep((a, b), PairVerdict.of(0.5, 0.5))
        else:
            asked.append((a, b))
    pairs = [AnswerPair(prompt=a.prompt, first=a.answer, second=b.answer) for a, b in asked]
    judge.compare(pairs, lambda number, found: keep(asked[number], found))


def _all_answers(run: StoredRun, engine: Engine) -> list[BenchmarkAnswer]:
    if run.open_cases:
        raise BadInputError(
            f"run {run.run_id} has {run.n_cases - run.open_cases} of {run.n_cases} answers: finish"
            " it with `guidealign evaluate run`"
        )
    return read_answers(engine, run.run_id)


def _planned(run: StoredRun, metric: str, evaluator: str, judge: str | None) -> EvaluationRun:
    return EvaluationRun(
        model_name=run.model_name,
        version=run.version,
        benchmark=run.benchmark,
        metric=metric,
        evaluator=evaluator,
        judge=judge,
        scores=(),
    )


def _missing(
    planned: EvaluationRun, answers: list[BenchmarkAnswer], engine: Engine
) -> list[BenchmarkAnswer]:
    with guard_database():
        stored = store.load_run(planned, engine)
    known = {case.case_id for case in stored.cases}
    return [answer for answer in answers if answer.case_id not in known]


def _case(answer: BenchmarkAnswer, found: float | str) -> CaseScore | Unscored:
    if isinstance(found, str):
        return Unscored(
            case_id=answer.case_id, category=answer.category, kind=answer.kind, reason=found
        )
    return CaseScore(
        case_id=answer.case_id,
        category=answer.category,
        kind=answer.kind,
        value=found,
        cluster=answer.cluster,
    )
