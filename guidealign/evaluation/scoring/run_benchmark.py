"""Runs a benchmark: reads it, asks a model, has judges score the answers, and shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Engine

from guidealign.errors import BadInputError, ConfigurationError
from guidealign.evaluation.benchmarks import (
    Benchmark,
    BenchmarkSubject,
    StoredRun,
    answer_benchmark,
    load_benchmark,
    open_run,
)
from guidealign.evaluation.benchmarks.preference import likelihood_way, score_preferences
from guidealign.evaluation.judges import (
    build_judge,
    build_pair_judge,
    judge_pairs,
    score_answers,
)
from guidealign.evaluation.scoring.mlflow_cases import log_to_mlflow
from guidealign.evaluation.scoring.results import results_of
from guidealign.records import LABRADOR_MODEL, EvaluationRun
from guidealign.registry import Registry
from guidealign.settings import EndpointSettings, Settings

LIKELIHOOD = "likelihood"
Progress = Callable[[str, int, int], object]
"""Told a phase, how much of it is done, and how much there is."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class BenchmarkSource:
    """The benchmark that is run, and which part and copy of it."""

    name: str
    source: str | None = None
    sha256: str | None = None
    limit: int | None = None

    def load(self, settings: Settings) -> Benchmark:
        """Its cases."""
        read = load_benchmark(
            self.name, settings.evaluation, source=self.source, sha256=self.sha256
        )
        return read.at_most(self.limit)


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A finished run and all that judges said of it."""

    run: StoredRun
    results: tuple[EvaluationRun, ...]
    mlflow_run_id: str | None = None


def run_benchmark(  # noqa: PLR0913 - what, whom, by whom judged, and where it is kept
    source: BenchmarkSource,
    subject: BenchmarkSubject,
    judges: Sequence[str],
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry | None = None,
    progress: Progress | None = None,
) -> Evaluated:
    """Asks a model all cases and puts the answers before the judges. Goes on where it stopped.

    Judges are built first: one that is not there, or would judge itself, costs no answers.

    Raises:
        BadInputError: benchmark, judge or classifier is not there.
        ConfigurationError: the model would judge its own answers.
        TransientError: a server is away; what came is stored.
    """
    built = [
        build_judge(
            name, settings, _names(subject), subject.endpoint, engine=engine, registry=registry
        )
        for name in judges
    ]
    # A classifier is loaded for its fingerprint.
    log.info("judges", fingerprints=[judge.fingerprint for judge in built])
    benchmark = source.load(settings)
    run = answer_benchmark(
        benchmark,
        subject,
        engine=engine,
        settings=settings,
        registry=registry,
        progress=progress and partial(progress, "answers"),
    )
    for judge in built:
        score_answers(
            run,
            judge,
            engine=engine,
            progress=progress and partial(progress, f"judge: {judge.metric}"),
        )
    return _finished(run, engine, settings, registry, progress)


def run_likelihood(
    source: BenchmarkSource,
    version: int,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    progress: Progress | None = None,
) -> Evaluated:
    """Scores whether a registered model (0: the untrained base) finds better answers likelier.

    Nothing is generated, and no judge is needed: for benchmarks with two answers, such as HHH.

    Raises:
        BadInputError: the benchmark has no pairs of answers.
    """
    benchmark = source.load(settings)
    cases = [preference for case in benchmark.cases if (preference := case.preference())]
    if len(cases) < len(benchmark.cases):
        raise BadInputError(
            f"{benchmark.name} has two answers for {len(cases)} of {len(benchmark.cases)} cases:"
            " likelihood needs them for all"
        )
    subject = BenchmarkSubject(endpoint=EndpointSettings(), name=LABRADOR_MODEL, version=version)
    run = open_run(engine, benchmark, subject, asked=likelihood_way(settings))
    score_preferences(
        version,
        cases,
        benchmark=benchmark.name,
        digest=benchmark.digest,
        engine=engine,
        settings=settings,
        registry=registry,
        progress=progress and partial(progress, LIKELIHOOD),
    )
    return Evaluated(run=run, results=tuple(results_of(run, engine)))


def judge_run_pair(
    ours: StoredRun,
    theirs: StoredRun,
    *,
    engine: Engine,
    settings: Settings,
    progress: Progress | None = None,
) -> None:
    """Has the judge compare two runs' answers; what it said before is not asked again.

    Raises:
        BadInputError: the runs are not finished, or not of the same cases asked alike.
        ConfigurationError: one of the two models is the judge.
        TransientError: the judge is away; what it said is stored.
    """
    judge = build_pair_judge(settings, (ours.model_name, theirs.model_name))
    told = progress and partial(progress, "pairs")
    judge_pairs((ours, theirs), judge, engine=engine, progress=told)


def _finished(
    run: StoredRun,
    engine: Engine,
    settings: Settings,
    registry: Registry | None,
    progress: Progress | None,
) -> Evaluated:
    results = tuple(results_of(run, engine))
    if not settings.evaluation.mlflow:
        return Evaluated(run=run, results=results)
    if registry is None:
        raise ConfigurationError("evaluation.mlflow is set, and no MLflow server: run `up`")
    mlflow_run_id = log_to_mlflow(
        run,
        results,
        engine=engine,
        registry=registry,
        progress=progress and partial(progress, "mlflow"),
    )
    return Evaluated(run=run, results=results, mlflow_run_id=mlflow_run_id)


def _names(subject: BenchmarkSubject) -> tuple[str, ...]:
    return subject.model_name, subject.endpoint.model
