"""The judge of a name."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from guidealign.errors import BadInputError, ConfigurationError
from guidealign.evaluation.judges.classifier import HarmClassifier
from guidealign.evaluation.judges.language_model import HarmModelJudge, PairJudge
from guidealign.evaluation.judges.model import Judge, refuse_self
from guidealign.evaluation.judges.refusal import RefusalJudge
from guidealign.evaluation.judges.trained import TRAINED, TrainedJudge
from guidealign.judges import load_judges
from guidealign.registry import Registry
from guidealign.settings import EndpointSettings, Settings

JUDGES = ("refusal", "harm-classifier", "harm-model", *TRAINED)
"""Of single answers. Pairs are compared by `pairwise`, likelihoods need no judge."""


def judge_endpoint(settings: Settings) -> EndpointSettings:
    """The model that judges: `evaluation.judge`, else `safety`."""
    return settings.evaluation.judge or settings.safety


def build_judge(
    name: str,
    settings: Settings,
    candidates: Sequence[str],
    answered_at: EndpointSettings | None = None,
    *,
    engine: Engine | None = None,
    registry: Registry | None = None,
) -> Judge:
    """A judge of single answers.

    Args:
        name: one of `JUDGES`.
        settings: which classifier or model.
        candidates: names of the models whose answers it is to judge.
        answered_at: their endpoint, where it is known.
        engine: of the guidealign database; trained judges need it.
        registry: where trained judges are registered.

    Raises:
        BadInputError: there is no such judge, or none was trained.
        ConfigurationError: it would judge its own answers, or what a trained judge needs is not
            there.
    """
    if name in TRAINED:
        return _trained(name, settings, engine, registry)
    if name == "refusal":
        return RefusalJudge()
    if name == "harm-classifier":
        return HarmClassifier(settings.evaluation)
    if name == "harm-model":
        endpoint = judge_endpoint(settings)
        refuse_self(endpoint, candidates, answered_at)
        return HarmModelJudge(endpoint, settings.evaluation.harm_threshold)
    raise BadInputError(f"there is no judge {name}: give {', '.join(JUDGES)}")


def _trained(
    name: str, settings: Settings, engine: Engine | None, registry: Registry | None
) -> TrainedJudge:
    if engine is None or registry is None:
        raise ConfigurationError(
            f"{name} needs the guidealign database and an MLflow server: run `guidealign up`"
        )
    judges = load_judges(engine=engine, settings=settings, registry=registry)
    if judges is None:
        raise BadInputError("no judges were trained yet: run `guidealign judges train`")
    return TrainedJudge(judges, TRAINED[name])


def build_pair_judge(settings: Settings, candidates: Sequence[str]) -> PairJudge:
    """A judge of pairs.

    Raises:
        ConfigurationError: it would judge its own answers.
    """
    endpoint = judge_endpoint(settings)
    refuse_self(endpoint, candidates)
    return PairJudge(endpoint)
