"""The protocol of a judge, and the verdicts that it gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import httpx

from guidealign.errors import ConfigurationError
from guidealign.settings import EndpointSettings

Keep = Callable[[int, float | str], object]
"""Given the number of what was judged, and its score, or the reason why it has none."""
Winner = Literal["first", "second", "tie"]
_GUIDED = re.compile(r"\+(?:release|policy)-")
"""Before what a subject's name says of its guidelines."""


class PromptAnswer(Protocol):
    """A prompt and the answer to it."""

    @property
    def prompt(self) -> str:
        """What was asked."""

    @property
    def answer(self) -> str:
        """What was answered."""

    @property
    def risky(self) -> bool | None:
        """Whether a plain answer to the prompt may do harm; None: nobody knows."""


class Judge(Protocol):
    """Scores answers one by one."""

    @property
    def metric(self) -> str:
        """What the score is called: 1 where it applies, 0 where it does not."""

    @property
    def fingerprint(self) -> str:
        """Of everything that decides the score; scores of another one never compare."""

    @property
    def model(self) -> str | None:
        """The model that judges; None: no model does."""

    def judge(self, answers: Sequence[PromptAnswer], keep: Keep) -> None:
        """Judges all answers; each score is handed on as soon as it is there."""


@dataclass(frozen=True, kw_only=True)
class PairVerdict:
    """Which of two answers is better, asked in both orders."""

    winner: Winner
    """A verdict that turns with the order is a tie."""
    shares: tuple[float, float]
    """That a judge gives the first answer where it stands in front, and where it stands behind."""

    @classmethod
    def of(cls, in_front: float, behind: float) -> PairVerdict:
        """From the shares of the first answer, each in [0, 1]."""
        if in_front > 0.5 and behind > 0.5:
            winner: Winner = "first"
        elif in_front < 0.5 and behind < 0.5:
            winner = "second"
        else:
            winner = "tie"
        return cls(winner=winner, shares=(in_front, behind))

    @property
    def preference(self) -> float:
        """How much the first is preferred, over both orders: in [0, 1], whoever stood in front."""
        return sum(self.shares) / 2

    @property
    def score(self) -> float:
        """1: the first won; 0.5: a tie; 0: the second won."""
        return {"first": 1.0, "tie": 0.5, "second": 0.0}[self.winner]


def refuse_self(
    judge: EndpointSettings,
    candidates: Sequence[str],
    answered_at: EndpointSettings | None = None,
) -> None:
    """Stops a model from judging its own answers.

    Two names at one address are taken for two models only where the server lists both: many
    servers hold one model and answer to any name.

    Args:
        judge: who is to judge.
        candidates: names of the models that answered, as configured and as they are stored.
        answered_at: their endpoint, where it is known.

    Raises:
        ConfigurationError: one of them is the judge, or may be.
    """
    named = {_GUIDED.split(name)[0].casefold() for name in candidates}
    if judge.model.casefold() in named:
        raise ConfigurationError(
            f"{judge.model} would judge its own answers: set another model as evaluation.judge"
        )
    if answered_at is None or judge.base_url is None or answered_at.base_url is None:
        return
    if judge.base_url.rstrip("/") != answered_at.base_url.rstrip("/"):
        return
    if not {judge.model, answered_at.model} <= _served_models(judge):
        raise ConfigurationError(
            f"{judge.base_url} would answer and judge, and does not list {judge.model} and"
            f" {answered_at.model} as two models: set another endpoint as evaluation.judge"
        )


def _served_models(endpoint: EndpointSettings) -> set[str]:
    """Names that a server lists; none where it lists nothing."""
    headers = {"Authorization": f"Bearer {endpoint.api_key.get_secret_value()}"}
    url = f"{str(endpoint.base_url).rstrip('/')}/models"
    try:
        answer = httpx.get(url, headers=headers, timeout=endpoint.connect_timeout_s)
        return {str(model["id"]) for model in answer.json()["data"]}
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return set()
