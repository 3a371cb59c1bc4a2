"""The judge of a name."""

from __future__ import annotations

from collections.abc import Sequence

from guidealign.errors import BadInputError
from guidealign.evaluation.judges.classifier import HarmClassifier
from guidealign.evaluation.judges.language_model import HarmModelJudge, PairJudge
from guidealign.evaluation.judges.model import Judge, refuse_self
from guidealign.evaluation.judges.refusal import RefusalJudge
from guidealign.settings import EndpointSettings, Settings

JUDGES = ("refusal", "harm-classifier", "harm-model")
"""Of single answers. Pairs are compared by `pairwise`, likelihoods need no judge."""


def judge_endpoint(settings: Settings) -> EndpointSettings:
    """The model that judges: `evaluation.judge`, else `safety`."""
    return settings.evaluation.judge or settings.safety


def build_judge(
    name: str,
    settings: Settings,
    candidates: Sequence[str],
    answered_at: EndpointSettings | None = None,
) -> Judge:
    """A judge of single answers.

    Args:
        name: one of `JUDGES`.
        settings: which classifier or model.
        candidates: names of the models whose answers it is to judge.
        answered_at: their endpoint, where it is known.

    Raises:
        BadInputError: there is no such judge.
        ConfigurationError: it would judge its own answers.
    """
    if name == "refusal":
        return RefusalJudge()
    if name == "harm-classifier":
        return HarmClassifier(settings.evaluation)
    if name == "harm-model":
        endpoint = judge_endpoint(settings)
        refuse_self(endpoint, candidates, answered_at)
        return HarmModelJudge(endpoint, settings.evaluation.harm_threshold)
    raise BadInputError(f"there is no judge {name}: give {', '.join(JUDGES)}")


def build_pair_judge(settings: Settings, candidates: Sequence[str]) -> PairJudge:
    """A judge of pairs.

    Raises:
        ConfigurationError: it would judge its own answers.
    """
    endpoint = judge_endpoint(settings)
    refuse_self(endpoint, candidates)
    return PairJudge(endpoint)
