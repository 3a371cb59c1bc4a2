"""Runs steps and stages in this process, under the locks that other processes take too."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from guidealign.cycle.model import Context, Results, Services, Stage, Step
from guidealign.errors import ConfigurationError, RateLimitedError, TransientError

if TYPE_CHECKING:
    from guidealign.settings import Settings

RETRIES = 5
"""How often a step is tried again after an error that may pass."""
RETRY_DELAY_S: Mapping[type[TransientError], float] = {RateLimitedError: 60.0, TransientError: 20.0}
"""How long before it is: the first entry that the error is an instance of counts."""
Watch = Callable[[Step, str], object]
"""Told a step and its state: `running`, `success`, `failed`, or in words what it waits for."""


def open_services(settings: Settings) -> Services:
    """Engine and registry of an installation.

    Raises:
        ConfigurationError: the settings name no database, or no MLflow.
    """
    from guidealign.db import PinnedVersions, make_engine
    from guidealign.registry import Registry

    if settings.mlflow.tracking_uri is None:
        raise ConfigurationError(
            "no MLflow server is set: run `guidealign up`, or set GUIDEALIGN_MLFLOW__TRACKING_URI"
        )
    engine = make_engine(settings.require_database_url())
    return Services(
        engine=engine,
        settings=settings,
        registry=Registry.of(settings.mlflow, PinnedVersions(engine)),
    )


def local_context(
    services: Services,
    stage: Stage,
    *,
    params: Mapping[str, Any] = MappingProxyType({}),
    note: Callable[[str], object] = lambda _: None,
) -> Context:
    """The context of a stage that a person runs in a process of their own.

    Args:
        services: of this installation.
        stage: which.
        params: what it is asked for, in place of what the settings say.
        note: told what people should read about the run.
    """
    actor = f"cli:{getpass.getuser()}"
    begun = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Context(
        services=services,
        actor=actor,
        run_key=f"{actor}/{begun}",
        params={**stage.params(services.settings), **params},
        note=note,
    )


def run_step(
    stage: Stage,
    step: Step,
    context: Context,
    given: Mapping[str, Any],
    waits: Callable[[], object] | None = None,
) -> Any:
    """Runs one step; where its stage is one at a time, it waits for its turn.

    Args:
        stage: that the step is of.
        step: which.
        context: of the run.
        given: results of the steps that it takes, by name, or one item of what it runs over.
        waits: told once when another process is in the stage.
    """
    with _turn(stage, context.services, waits):
        return step.run(context, **given)


def run_stage(
    stage: Stage,
    context: Context,
    *,
    only: Iterable[str] | None = None,
    results: Mapping[str, Any] | None = None,
    watch: Watch = lambda *_: None,
    retries: int = 0,
) -> Results:
    """Runs the steps of a stage one after the other.

    A step that runs over a list does so item by item. Steps that always run do so also after a
    failure, with what was done by then.

    Args:
        stage: which.
        context: of the run.
        only: names of the steps that are run; None: all.
        results: of steps that ran before, by name.
        watch: told what happens to each step.
        retries: how often a step is tried again after an error that may pass.

    Returns:
        What the steps returned, by step, `results` included.

    Raises:
        GuidealignError: a step failed.
    """
    runner = _Runner(stage, context, dict(results or {}), watch, retries)
    wanted = {step.name for step in stage.steps} if only is None else set(only)
    steps = [step for step in stage.steps if step.name in wanted]
    for position, step in enumerate(steps):
        try:
            runner.run(step)
        except BaseException:
            for later in steps[position + 1 :]:
                if later.always and set(later.takes) <= runner.results.keys():
                    runner.run(later)
            raise
    return runner.results


class _Runner:
    """Runs steps of one stage and keeps what they return."""

    def __init__(
        self, stage: Stage, context: Context, results: Results, watch: Watch, retries: int
    ) -> None:
        self.results = results
        self._stage = stage
        self._context = context
        self._watch = watch
        self._retries = retries

    def run(self, step: Step) -> None:
        self._watch(step, "running")
        try:
            if step.over is None:
                takes = {name: self.results[name] for name in step.takes}
                self.results[step.name] = self._try(step, takes)
            else:
                done = self.results.setdefault(step.name, [])
                for item in self.results[step.over]:
                    done.append(self._try(step, item))
        except BaseException:
            self._watch(step, "failed")
            raise
        self._watch(step, "success")

    def _try(self, step: Step, given: Mapping[str, Any]) -> Any:
        left = self._retries

        def waits() -> None:
            self._watch(step, "waiting for another run")

        while True:
            try:
                return run_step(self._stage, step, self._context, given, waits)
            except TransientError as error:
                if left == 0:
                    raise
                left -= 1
                kinds = (s for kind, s in RETRY_DELAY_S.items() if isinstance(error, kind))
                delay_s = error.retry_after_s or next(kinds)
                self._watch(step, f"again in {delay_s:.0f} s: {error}")
                time.sleep(delay_s)


@contextmanager
def _turn(stage: Stage, services: Services, waits: Callable[[], object] | None) -> Iterator[None]:
    """Holds the stage, where it is one at a time, for as long as a step runs."""
    if not stage.alone:
        yield
        return
    from guidealign.db import guard_database, session_lock

    name = f"guidealign.stage.{stage.name}"
    with (
        guard_database(),
        services.engine.connect() as connection,
        session_lock(connection, name, waits=waits),
    ):
        yield
