"""Measures detection on the labelled inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from guidealign.authoring.calibration import metrics
from guidealign.authoring.calibration.answers import (
    AnswerLog,
    Outcome,
    Progress,
    answer_key,
    ask_all,
    threshold_key,
)
from guidealign.authoring.calibration.ask import ask_detection, question
from guidealign.authoring.calibration.cases import Case, balanced, load_cases, set_version
from guidealign.authoring.calibration.metrics import CalibrationReport
from guidealign.authoring.quality import RULES_VERSION, override_detection
from guidealign.authoring.writing import packaged_prompts
from guidealign.llm import AsyncChatClient
from guidealign.records import RISK_CATEGORIES
from guidealign.settings import Settings

_PHASE = "calibration"


def calibrate(
    *,
    settings: Settings,
    answers: Path,
    limit: int | None = None,
    progress: Progress | None = None,
) -> CalibrationReport:
    """Asks the configured model about the labelled inputs and counts what it got right.

    Args:
        settings: the endpoint `safety` and the section `author`.
        answers: a JSONL file that keeps what was answered; none of it is asked again.
        limit: a balanced part of the inputs; None: all.
        progress: told how far it is.

    Raises:
        TransientError: the model server is away; what was answered is kept.
        ConfigurationError: the endpoint is not configured or refuses the key.
    """
    cases = balanced(load_cases(), limit)
    log = AnswerLog(answers)
    asyncio.run(_ask(cases, settings, log, progress))
    return _report(cases, settings, log)


def stored_calibration(
    *, settings: Settings, answers: Path, limit: int | None = None
) -> CalibrationReport:
    """The same from what is stored alone; `n_asked` says for how many inputs that is."""
    return _report(balanced(load_cases(), limit), settings, AnswerLog(answers))


def _key(case: Case, settings: Settings) -> str:
    author = settings.author
    return answer_key(
        "detection", settings.safety.model, _prompt_versions(settings), threshold_key(author),
        str(author.max_guidelines), case.text,
    )  # fmt: skip


def _prompt_versions(settings: Settings) -> str:
    """Of the prompts that decide a verdict."""
    prompts = packaged_prompts(settings.author)
    return " and ".join(one.version for one in (prompts.screen, prompts.safety) if one)


async def _ask(
    cases: Sequence[Case], settings: Settings, log: AnswerLog, progress: Progress | None
) -> None:
    prompts = packaged_prompts(settings.author)
    async with AsyncChatClient(settings.safety, stage="calibrate") as client:
        questions = {
            _key(case, settings): question(case, ask_detection, client, settings.author, prompts)
            for case in cases
        }
        await ask_all(questions, log, _PHASE, progress)


def _report(cases: Sequence[Case], settings: Settings, log: AnswerLog) -> CalibrationReport:
    outcomes = {
        case.id: _with_present_rules(case, outcome)
        for case in cases
        if (outcome := log.find(_key(case, settings)))
    }
    benign = [case for case in cases if not case.unsafe]
    return CalibrationReport(
        model=settings.safety.model,
        prompt_version=_prompt_versions(settings),
        rules_version=RULES_VERSION,
        set_version=set_version(load_cases()),
        n_planned=len(cases),
        n_asked=len(outcomes),
        n_unanswered=sum(outcome.detection is None for outcome in outcomes.values()),
        verdicts=metrics.detected(cases, outcomes, metrics.stored),
        over_flagged=metrics.flag_rate(benign, outcomes, metrics.stored),
        model_alone=metrics.detected(cases, outcomes, metrics.alone),
        model_alone_over_flagged=metrics.flag_rate(benign, outcomes, metrics.alone),
        categories=tuple(
            metrics.category_figures(category, cases, outcomes) for category in RISK_CATEGORIES
        ),
        confusion=metrics.confusion(cases, outcomes),
        n_calls=sum(outcome.n_calls for outcome in outcomes.values()),
        prompt_tokens=sum(outcome.prompt_tokens for outcome in outcomes.values()),
        completion_tokens=sum(outcome.completion_tokens for outcome in outcomes.values()),
        latency_ms=sum(outcome.latency_ms for outcome in outcomes.values()),
    )


def _with_present_rules(case: Case, outcome: Outcome) -> Outcome:
    """The tripwire may have changed since the model was asked; the model's answer has not."""
    if outcome.answered is None:
        return outcome
    found = override_detection(outcome.answered, case.text)
    return outcome.model_copy(update={"detection": found})
