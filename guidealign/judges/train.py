"""Trains judges on labelled rows, registers them, and lets a version serve that is not worse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.errors import BadInputError, IntegrityError, PermanentError
from guidealign.judges import store
from guidealign.judges.features import FEATURES_VERSION, RowFeatures, row_turns
from guidealign.judges.heads import Head, agreement_of, fit, known, lacking, left_out, measure
from guidealign.judges.model import TASKS, HeldOut, JudgeTask, LabelledRow, TaskReport
from guidealign.judges.reading import Readings, make_readings, readings_folder
from guidealign.judges.trained import (
    TrainedJudges,
    described_reader,
    read_package,
    write_package,
)
from guidealign.records import JUDGES_MODEL, UNTRAINED_VERSION
from guidealign.registry import Registry, Run
from guidealign.settings import Settings
from guidealign.training import LineageRow, Trained, register_once

TRAINER_VERSION = "judges-2"
_CHAMPION = "champion"
_KEPT_AT_ONCE = 400
_LEAST_LOSS = 0.05
"""Of kappa on the rows held out: a version that loses no more than it is not worse."""
_READ: frozenset[JudgeTask] = frozenset({"harmful", "declines", "helps"})
"""Tasks whose heads something asks, usable or not."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class JudgesVerdict:
    """What became of a version."""

    version: int
    champion_version: int
    """What it was compared with; 0: there was none."""
    promoted: bool
    reason: str
    fingerprint: str
    reports: dict[JudgeTask, TaskReport]
    created_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        reports = {task: report.as_dict() for task, report in self.reports.items()}
        return {**vars(self), "reports": reports}


def import_labelled(rows: Sequence[LabelledRow], *, engine: Engine) -> int:
    """Stores labelled rows, each once until its labeller says otherwise; returns how many."""
    with guard_database(), engine.begin() as connection:
        return store.add_rows(connection, rows)


def labelled_rows(engine: Engine) -> list[LabelledRow]:
    """All labelled rows; later labels of one count, and anybody's before the package's."""
    with guard_database(), engine.connect() as connection:
        return store.read_rows(connection)


def train_judges(
    *, engine: Engine, settings: Settings, registry: Registry, held_out: HeldOut
) -> JudgesVerdict:
    """Trains heads on all labelled rows that are not held out, and decides about the version.

    The same rows are trained on once: a version made from them is found again. The first version
    becomes champion; later ones where the champion can no longer be loaded, or no head that was
    usable becomes unusable and none loses more than 0.05 of kappa on the rows held out. A head
    that nothing reads counts where it is usable in one of the two.

    Raises:
        BadInputError: no task has rows enough.
        IntegrityError: the registered files judge otherwise than what was trained.
        ServiceUnavailableError: database or registry does not answer.
    """
    rows, unseen = map(tuple, held_out.split(labelled_rows(engine)))
    recipe = _Recipe(rows=rows, unseen=unseen, settings=settings, registry=registry)
    if all(lacking(task, known(task, recipe.rows)) for task in TASKS):
        raise BadInputError(
            "there are too few labelled rows to train a judge: import some with `guidealign judges"
            " import FILE`"
        )
    result = register_once(recipe, engine=engine, registry=registry)
    verdict = _decide(result.version, recipe, engine)
    if verdict.promoted and registry.alias_version(JUDGES_MODEL, _CHAMPION) != verdict.version:
        registry.set_alias(JUDGES_MODEL, _CHAMPION, verdict.version)
    log.info("judges trained", version=verdict.version, promoted=verdict.promoted)
    return verdict


def load_judges(*, engine: Engine, settings: Settings, registry: Registry) -> TrainedJudges | None:
    """The judges that were promoted last; None: none was.

    Raises:
        IntegrityError: they can no longer be loaded: files, features or reader changed.
    """
    with guard_database(), engine.connect() as connection:
        version = store.champion(connection)
    return None if version is None else _load(version, settings, registry)


def judges_verdict(engine: Engine, version: int | None = None) -> JudgesVerdict | None:
    """The last verdict about a version, or of all; None: there is none."""
    with guard_database(), engine.connect() as connection:
        told = store.verdict(connection, version)
    if told is None:
        return None
    reports = {task: TaskReport.of(report) for task, report in told["reports"].items()}
    return JudgesVerdict(**{**told, "reports": reports})


def fit_judges(
    rows: Sequence[LabelledRow],
    unseen: Sequence[LabelledRow],
    readings: Readings,
    *,
    with_origins: bool = True,
) -> TrainedJudges:
    """Heads of all tasks that have rows enough, with how they agree with rows they never saw.

    Args:
        rows: to train on.
        unseen: to measure on.
        readings: of the model that reads.
        with_origins: also train without each origin, to tell how heads do abroad.
    """
    read = RowFeatures.learned(readings, rows)
    heads: dict[JudgeTask, Head] = {}
    reports: dict[JudgeTask, TaskReport] = {}
    for task in TASKS:  # `risky` is the first: the others ask it where nobody knows
        if lacking(task, known(task, rows)):
            continue
        heads[task] = fit(task, rows, read)
        if task == "risky":
            read.tells_risk = heads[task].probabilities
        abroad = left_out(task, rows, read) if with_origins else {}
        reports[task] = measure(
            task,
            heads[task],
            unseen,
            read,
            n_trained=len(known(task, rows)),
            by_origin={
                origin: agreement_of(task, head, own, read)
                for origin, (head, own) in abroad.items()
            },
        )
    return TrainedJudges(heads, reports, read)


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """How a version is trained on labelled rows, and how its files are checked."""

    rows: tuple[LabelledRow, ...]
    unseen: tuple[LabelledRow, ...]
    settings: Settings
    registry: Registry
    model_name: str = JUDGES_MODEL
    description: str = "Judges of prompts and answers: logistic heads on a frozen language model"

    @property
    def settings_key(self) -> str:
        parts = {
            "trainer": TRAINER_VERSION,
            "features": FEATURES_VERSION,
            "reader": self._readings.reader.name,
            "data": [_digest(self.rows), _digest(self.unseen)],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def tags(self) -> dict[str, str]:
        return {
            "data_digest": _digest(self.rows),
            "unseen_digest": _digest(self.unseen),
            "base_model": self._readings.reader.name,
            "trainer": TRAINER_VERSION,
        }

    def lineage(self) -> LineageRow:
        # Judges are made from no library; `core.judge_verdicts` tells what they are.
        return LineageRow(
            base_model=self._readings.reader.name,
            library_version=UNTRAINED_VERSION,
            data_digest=_digest(self.rows),
            settings=_describe(self.settings),
        )

    def check_reload(self, folder: Path) -> float:
        read_package(folder, self._readings)
        return 0.0

    def train(self, run: Run, folder: Path) -> Trained:
        self._read_all()
        judges = fit_judges(self.rows, self.unseen, self._readings)
        metrics = {
            f"{task}/{name}": value
            for task, report in judges.reports.items()
            for name, value in _figures(report).items()
        }
        run.log_params({**_describe(self.settings), "features": FEATURES_VERSION})
        run.log_metrics(metrics)
        for name, part in (("training", self.rows), ("evaluation", self.unseen)):
            columns = [{"prompt": "", "answer": ""}] * len(part)
            run.log_dataset(columns, name=f"labels-{name}", digest=_digest(part), context=name)
        write_package(judges, folder, reader=_describe(self.settings))
        return Trained(metrics=metrics)

    def _read_all(self) -> None:
        """Keeps what is read as it comes: with a model of one's own it may take an hour."""
        turns = row_turns([*self.rows, *self.unseen])
        for start in range(0, len(turns), _KEPT_AT_ONCE):
            self._readings.of(turns[start : start + _KEPT_AT_ONCE])
            if self._readings.keep(readings_folder(self.settings)):
                done = min(start + _KEPT_AT_ONCE, len(turns))
                log.info("labelled rows are read", done=done, of=len(turns))

    @cached_property
    def _readings(self) -> Readings:
        return make_readings(self.settings)


def _decide(version: int, recipe: _Recipe, engine: Engine) -> JudgesVerdict:
    """Compares a version with the champion on what both never saw; stores and returns the verdict.

    The verdict stands before the alias moves: where a process dies in between, the next moves it.
    """
    with guard_database(), engine.connect() as connection:
        champion = store.champion(connection) or 0
    if champion == version:
        found = judges_verdict(engine, version)
        if found is not None:
            return found
    challenger = _load(version, recipe.settings, recipe.registry)
    reason = "the first version"
    worse = ""
    if champion:
        try:
            theirs = _load(champion, recipe.settings, recipe.registry)
        except IntegrityError as error:
            reason = f"version {champion} can no longer be loaded"
            log.warning(reason, error=str(error))
        else:
            reason = f"not worse than version {champion}"
            worse = _worse(challenger, theirs, recipe.unseen)
    values = {
        "version": version,
        "champion_version": champion,
        "promoted": not worse,
        "reason": worse or reason,
        "fingerprint": challenger.fingerprint,
        "reports": {task: report.as_dict() for task, report in challenger.reports.items()},
    }
    with guard_database(), engine.begin() as connection:
        store.add_verdict(connection, values)
    stored = judges_verdict(engine, version)
    if stored is None:  # pragma: no cover - it was stored above
        raise BadInputError(f"the verdict about version {version} is gone")
    return stored


def _worse(ours: TrainedJudges, theirs: TrainedJudges, unseen: Sequence[LabelledRow]) -> str:
    """What a version does worse than the champion; empty where nothing."""
    for task in TASKS:
        if task not in _READ and not theirs.usable(task) and not ours.usable(task):
            continue
        if theirs.usable(task) and not ours.usable(task):
            return f"{task}: usable before, and now {ours.why_unusable(task)}"
        if task not in theirs.heads:
            continue
        if task not in ours.heads:
            return f"{task}: there is no head any more"
        if lacking(task, known(task, unseen)):
            continue
        was, now = (judges.agreement(task, unseen) for judges in (theirs, ours))
        if now < was - _LEAST_LOSS:
            return f"{task}: kappa {now:.2f} on rows held out, {was:.2f} before"
    return ""


def _load(version: int, settings: Settings, registry: Registry) -> TrainedJudges:
    try:
        folder = registry.local_copy(JUDGES_MODEL, version)
        if folder is None:
            folder = registry.download(JUDGES_MODEL, version)
        evaluation = settings.evaluation.model_copy(update=described_reader(folder))
        readings = make_readings(settings.model_copy(update={"evaluation": evaluation}))
        return read_package(folder, readings, version=version)
    except PermanentError as error:
        raise IntegrityError(
            f"version {version} of the judges can no longer be loaded ({error}): run `guidealign"
            " judges train`"
        ) from error


def _describe(settings: Settings) -> dict[str, Any]:
    """The reader: as settings of the evaluation that find it again."""
    wanted = settings.evaluation
    return {"judge_model": wanted.judge_model, "judge_tokens": wanted.judge_tokens}


def _digest(rows: Sequence[LabelledRow]) -> str:
    content = "\n".join(sorted(row.digest for row in rows))
    return hashlib.sha256(content.encode()).hexdigest()


def _figures(report: TaskReport) -> dict[str, float]:
    found = {
        "n_trained": float(report.n_trained),
        "n_unseen": float(report.n_unseen),
        "kappa_cross_validated": report.cross_validated,
        "usable": float(report.usable),
    }
    for name, estimate in (("kappa_unseen", report.kappa), ("auc_unseen", report.auc)):
        if estimate is not None:
            found |= {name: estimate.value, f"{name}_low": estimate.low}
    return found
