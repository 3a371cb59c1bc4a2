"""Counts each category's synthetic inputs, and decides which is next and when to stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from guidealign.authoring.augmentation._list_continuation import CategoryBrief
from guidealign.llm import CallRecord
from guidealign.settings import AugmentSettings, BudgetSettings

StopReason = Literal["target", "yield", "budget", "no_seeds", "superseded"]


@dataclass
class Growth:
    """The progress of one category in one run, as the database has it."""

    kind: CategoryBrief
    n_wanted: int
    n_kept: int = 0
    n_answers: int = 0
    n_requests: int = 0
    n_tokens: int = 0
    cost_usd: float = 0.0
    n_in_a_row: int = 0
    """Rejected since one was kept."""
    rejected: Counter[str] = field(default_factory=Counter)
    stopped: StopReason | None = None
    n_asked: int = 0
    """Inputs that calls under way were asked for."""
    n_under_way: int = 0

    @property
    def category(self) -> str:
        """Name of the category."""
        return self.kind.name

    @property
    def n_missing(self) -> int:
        """Inputs that are wanted and that no call under way was asked for."""
        return self.n_wanted - self.n_kept - self.n_asked

    def count(
        self, n_asked: int, outcomes: Sequence[int | str], calls: Iterable[CallRecord]
    ) -> None:
        """Adds an answer: for each of its texts the new input's id, or why there is none.

        An answer of which nothing was kept, such as a refusal, stands for all that it was asked
        for.
        """
        self.n_answers += 1
        for call in calls:
            self.n_requests += 1
            self.n_tokens += call.prompt_tokens + call.completion_tokens
            self.cost_usd += call.cost_usd
        for outcome in outcomes:
            if isinstance(outcome, str):
                self.rejected[outcome] += 1
                self.n_in_a_row += 1
            else:
                self.n_kept += 1
                self.n_in_a_row = 0
        if all(isinstance(outcome, str) for outcome in outcomes):
            self.n_in_a_row += max(0, n_asked - len(outcomes))


class GrowthBalance:
    """Gives the next call to the category that is furthest from its target.

    A run that is stopped at any moment leaves its categories about equally full.
    """

    def __init__(self, growths: Sequence[Growth], settings: AugmentSettings) -> None:
        self.growths = growths
        self._settings = settings

    def next(self) -> Growth | None:
        """Returns the category to ask for next, or None; notes on each why it is done."""
        self._stop()
        waiting = [g for g in self.growths if g.stopped is None and g.n_missing > 0]
        return min(waiting, key=lambda g: (g.n_kept + g.n_asked) / g.n_wanted, default=None)

    def n_wanted(self, growth: Growth) -> int:
        """How many inputs to ask one call for."""
        return min(self._settings.inputs_per_call, growth.n_missing)

    def remaining(self) -> BudgetSettings:
        """What is left of the budget."""
        budget = self._settings.budget
        limits = {
            "max_requests": (budget.max_requests, sum(g.n_requests for g in self.growths)),
            "max_tokens": (budget.max_tokens, sum(g.n_tokens for g in self.growths)),
            "max_cost_usd": (budget.max_cost_usd, sum(g.cost_usd for g in self.growths)),
        }
        left = {n: None if m is None else max(0, m - spent) for n, (m, spent) in limits.items()}
        return BudgetSettings.model_validate(left)

    def spend_all(self) -> None:
        """Notes that the budget is spent."""
        for growth in self.growths:
            growth.stopped = growth.stopped or "budget"

    def _stop(self) -> None:
        for growth in self.growths:
            if growth.stopped is not None:
                continue
            if growth.n_kept >= growth.n_wanted:
                growth.stopped = "target"
            elif growth.n_in_a_row >= self._settings.max_rejected_in_a_row:
                growth.stopped = "yield"
        if self._is_spent():
            self.spend_all()

    def _is_spent(self) -> bool:
        left = self.remaining()
        n_under_way = sum(g.n_under_way for g in self.growths)
        return (
            (left.max_requests is not None and left.max_requests <= n_under_way)
            or left.max_tokens == 0
            or left.max_cost_usd == 0
        )
