"""Scores by likelihood whether a model prefers the better answer; no judge is needed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.evaluation import store
from guidealign.evaluation.benchmarks.starter_cases import PreferenceCase, cases_digest, load_cases
from guidealign.labrador import free_cores, load_model
from guidealign.records import LABRADOR_MODEL, CaseScore, EvaluationRun, Unscored
from guidealign.registry import Registry
from guidealign.settings import Settings
from guidealign.training import compute_precision

if TYPE_CHECKING:
    import torch

METRIC = "preference_margin"
_SCORER_VERSION = "likelihood-1"
_STORED_AT_ONCE = 8
"""Cases: what is lost when the process is killed."""
_TOLD_EVERY_S = 15.0

log = structlog.get_logger()


def score_labrador(
    version: int,
    *,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    progress: Callable[[int, int], object] | None = None,
) -> EvaluationRun:
    """Scores a version (0: the untrained base) on the starter benchmark, and stores it.

    A case's value is the mean log-likelihood per token of the better answer minus that of
    the worse one, after the model's own chat template. A case that is stored is not scored
    again, also where a scoring was killed; scores of another precision are another evaluator's.

    Args:
        version: of `guidealign-labrador`.
        engine: the guidealign database.
        settings: `gates.labrador_cases` bounds the number of cases.
        registry: where the version's weights are.
        progress: told (done, planned) after each case.
    """
    cases = load_cases(at_most=settings.gates.labrador_cases)
    return score_preferences(
        version,
        cases,
        benchmark="starter-preference",
        digest=cases_digest(cases),
        engine=engine,
        settings=settings,
        registry=registry,
        progress=progress,
    )


def likelihood_way(settings: Settings) -> str:
    """Names how likelihoods are taken: the part of their evaluator that is not the cases'."""
    return str(compute_precision(settings.labrador.precision))


def score_preferences(  # noqa: PLR0913 - cases of any benchmark, and what scores them
    version: int,
    cases: list[PreferenceCase],
    *,
    benchmark: str,
    digest: str,
    engine: Engine,
    settings: Settings,
    registry: Registry,
    progress: Callable[[int, int], object] | None = None,
) -> EvaluationRun:
    """Scores as `score_labrador` does, on the cases of any benchmark.

    Args:
        version: of `guidealign-labrador`.
        cases: each with a better and a worse answer.
        benchmark: its name.
        digest: of its cases.
        engine: the guidealign database.
        settings: precision of the arithmetic.
        registry: where the version's weights are.
        progress: told (done, planned) after each case.
    """
    precision = compute_precision(settings.labrador.precision)
    planned = EvaluationRun(
        model_name=LABRADOR_MODEL,
        version=version,
        benchmark=benchmark,
        metric=METRIC,
        evaluator=f"{_SCORER_VERSION}:{precision}:{digest[:16]}",
        scores=(),
    )
    with guard_database():
        stored = store.load_run(planned, engine)
    known = {score.case_id for score in stored.scores}
    missing = [case for case in cases if case.case_id not in known]
    if missing:
        model, tokenizer = load_model(
            version, settings=settings, registry=registry, precision=precision
        )
        told = _Told(version, len(cases), done=len(known), also=progress)
        with free_cores():
            for start in range(0, len(missing), _STORED_AT_ONCE):
                piece = missing[start : start + _STORED_AT_ONCE]
                run = _score_cases(planned, piece, model, tokenizer, told)
                with guard_database():
                    store.store_run(run, engine)
        with guard_database():
            stored = store.load_run(planned, engine)
    log.info("labrador scored", version=version, n=len(stored.scores), new=len(missing))
    return summarise(stored)


def summarise(run: EvaluationRun) -> EvaluationRun:
    """Adds mean margin and accuracy (share of cases with a positive margin) by kind."""
    summary: dict[str, float] = {}
    for kind in sorted({score.kind for score in run.scores}):
        values = [score.value for score in run.scores if score.kind == kind]
        summary[f"{kind}/margin"] = math.fsum(values) / len(values)
        summary[f"{kind}/accuracy"] = sum(value > 0 for value in values) / len(values)
    return replace(run, summary=summary)


class _Told:
    """Says how far a scoring is and how long it goes on, to a log and to who else asks."""

    def __init__(
        self, version: int, n: int, *, done: int, also: Callable[[int, int], object] | None
    ) -> None:
        self._version, self._n, self._also = version, n, also
        self._done = self._done_before = done
        self._begun = self._told_at = time.monotonic()

    def one_more(self) -> None:
        """A case has been scored."""
        self._done += 1
        now = time.monotonic()
        if self._also:
            self._also(self._done, self._n)
        if now - self._told_at < _TOLD_EVERY_S:
            return
        self._told_at = now
        each_s = (now - self._begun) / (self._done - self._done_before)
        log.info(
            "labrador is scored",
            version=self._version,
            done=self._done,
            of=self._n,
            left_s=round(each_s * (self._n - self._done)),
        )


def _score_cases(
    planned: EvaluationRun, cases: list[PreferenceCase], model: Any, tokenizer: Any, told: _Told
) -> EvaluationRun:
    scores: list[CaseScore] = []
    unscored: list[Unscored] = []
    for case in cases:
        value = preference_margin(model, tokenizer, case)
        score = _as_score(case, value)
        if isinstance(score, CaseScore):
            scores.append(score)
        else:
            unscored.append(score)
        told.one_more()
    return replace(planned, scores=tuple(scores), unscored=tuple(unscored))


def _as_score(case: PreferenceCase, value: float) -> CaseScore | Unscored:
    if math.isfinite(value):
        return CaseScore(
            case_id=case.case_id,
            category=case.category,
            kind=case.kind,
            value=value,
            cluster=case.case_id,
        )
    return Unscored(
        case_id=case.case_id,
        category=case.category,
        kind=case.kind,
        reason="the likelihood is not finite",
    )


def preference_margin(model: Any, tokenizer: Any, case: PreferenceCase) -> float:
    """Mean log-likelihood per token of the better answer minus the worse one, in nats."""
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": case.prompt}], tokenize=False, add_generation_prompt=True
    )
    prefix = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answers = [
        tokenizer(answer, add_special_tokens=False)["input_ids"]
        for answer in (case.better, case.worse)
    ]
    better, worse = _answer_likelihoods(model, prefix, answers)
    return better - worse


def _answer_likelihoods(model: Any, prefix: list[int], answers: list[list[int]]) -> list[float]:
    """Mean log-likelihood per token of each answer after the prefix, (len(answers),)."""
    import torch

    width = max(len(answer) for answer in answers)
    rows = [[*prefix, *a, *[0] * (width - len(a))] for a in answers]
    mask = [[1] * (len(prefix) + len(a)) + [0] * (width - len(a)) for a in answers]
    with torch.inference_mode():
        tokens = torch.tensor(rows)  # (answers, prefix + width)
        output = model(
            input_ids=tokens, attention_mask=torch.tensor(mask), logits_to_keep=width + 1
        )
        logits = output.logits[:, :-1].float()  # (answers, width, vocabulary)
        return [_mean_likelihood(logits[i], a) for i, a in enumerate(answers)]


def _mean_likelihood(logits: torch.Tensor, answer: list[int]) -> float:
    chosen = logits[: len(answer)].log_softmax(dim=-1)  # (answer, vocabulary)
    return float(sum(float(chosen[i, token]) for i, token in enumerate(answer)) / len(answer))
