"""What calls cost and what they may cost: nothing is sent that the budget does not cover."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from guidealign.errors import BudgetExceededError
from guidealign.llm.model import ChatResult, Message, Usage
from guidealign.settings import BudgetSettings, PriceSettings

_TOKENS_PER_BYTE = 0.5
"""Before the first answer: more than tokenizers make of most texts."""
_TOKENS_PER_TURN = 8


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens and what they cost."""

    tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.cost_usd + other.cost_usd)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.cost_usd - other.cost_usd)


class Ledger:
    """Totals of one client; what is under way is held against the budget at its most.

    Args:
        budget: what may be spent.
    """

    def __init__(self, budget: BudgetSettings) -> None:
        self._budget = budget
        self._spent = Amount()
        self._held = Amount()
        self._n_held = 0
        self._usage = Usage()
        self._tokens_per_byte = _TOKENS_PER_BYTE
        self._has_answers = False
        self._settled = asyncio.Event()

    @property
    def usage(self) -> Usage:
        """Totals so far."""
        return self._usage

    def most(
        self, messages: Sequence[Message], max_tokens: int, prices: PriceSettings | None
    ) -> Amount:
        """The most that a request will cost, its prompt judged by the prompts before it."""
        prompt = self._prompt_tokens(messages)
        cost = cost_usd(prices, prompt_tokens=prompt, completion_tokens=max_tokens)
        return Amount(prompt + max_tokens, cost)

    async def hold(self, most: Amount) -> None:
        """Takes a request into account before it is sent; waits for room if others give some back.

        Raises:
            BudgetExceededError: what is spent leaves no room for it.
        """
        while True:
            self._require(self._spent + most)
            if self._fits(self._spent + self._held + most):
                break
            self._settled.clear()
            await self._settled.wait()
        self._held += most
        self._n_held += 1
        self._usage = replace(self._usage, n_requests=self._usage.n_requests + 1)

    def answered(self, most: Amount, result: ChatResult, messages: Sequence[Message]) -> None:
        """Replaces what was held by what the answer says it cost."""
        used = Amount(result.prompt_tokens + result.completion_tokens, result.cost_usd)
        # A server that reports no usage is charged at its most.
        self._settle(most, used if used.tokens else most)
        self._learn(result.prompt_tokens, messages)
        usage = self._usage
        self._usage = replace(
            usage,
            prompt_tokens=usage.prompt_tokens + result.prompt_tokens,
            cached_tokens=usage.cached_tokens + result.cached_tokens,
            completion_tokens=usage.completion_tokens + result.completion_tokens,
            cost_usd=usage.cost_usd + result.cost_usd,
        )

    def failed(self, most: Amount, *, may_be_charged: bool) -> None:
        """Gives back what was held, unless the server may charge for it all the same."""
        self._settle(most, most if may_be_charged else Amount())
        self._usage = replace(self._usage, n_failed=self._usage.n_failed + 1)

    def cached(self) -> None:
        """Counts a question that the response cache answered."""
        self._usage = replace(self._usage, n_cached=self._usage.n_cached + 1)

    def _settle(self, most: Amount, used: Amount) -> None:
        self._n_held -= 1
        # Fractions of a cent must not add up to a hold that nobody is left to give back.
        self._held = self._held - most if self._n_held else Amount()
        self._spent += used
        self._settled.set()

    def _prompt_tokens(self, messages: Sequence[Message]) -> int:
        return math.ceil(_bytes(messages) * self._tokens_per_byte) + _TOKENS_PER_TURN * len(
            messages
        )

    def _learn(self, prompt_tokens: int, messages: Sequence[Message]) -> None:
        if prompt_tokens:
            words = max(0, prompt_tokens - _TOKENS_PER_TURN * len(messages))
            seen = words / max(1, _bytes(messages))
            self._tokens_per_byte = max(seen, self._tokens_per_byte if self._has_answers else 0.0)
            self._has_answers = True

    def _fits(self, amount: Amount) -> bool:
        budget = self._budget
        return (budget.max_tokens is None or amount.tokens <= budget.max_tokens) and (
            budget.max_cost_usd is None or amount.cost_usd <= budget.max_cost_usd
        )

    def _require(self, amount: Amount) -> None:
        budget = self._budget
        limit = None
        if budget.max_requests is not None and self._usage.n_requests >= budget.max_requests:
            limit = f"{budget.max_requests} requests"
        elif budget.max_tokens is not None and amount.tokens > budget.max_tokens:
            limit = f"{budget.max_tokens} tokens"
        elif budget.max_cost_usd is not None and amount.cost_usd > budget.max_cost_usd:
            limit = f"${budget.max_cost_usd:g}"
        if limit:
            raise BudgetExceededError(
                f"the budget of {limit} has no room for another request: what is left waits for"
                " the next run, or raise the budget"
            )


def cost_usd(
    prices: PriceSettings | None,
    *,
    prompt_tokens: int,
    completion_tokens: int,
    cached_tokens: int = 0,
) -> float:
    """What tokens cost; 0 where no prices are known."""
    if prices is None:
        return 0.0
    cached_usd = prices.input_usd if prices.cached_input_usd is None else prices.cached_input_usd
    return (
        (prompt_tokens - cached_tokens) * prices.input_usd
        + cached_tokens * cached_usd
        + completion_tokens * prices.output_usd
    ) / 1e6


def _bytes(messages: Sequence[Message]) -> int:
    return sum(len(turn["content"].encode()) for turn in messages)
