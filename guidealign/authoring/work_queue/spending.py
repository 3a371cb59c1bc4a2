"""Shares a run's budget among workers, and keeps a ledger of spending that outlives them."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, text

from guidealign.llm import AsyncChatClient, Usage
from guidealign.settings import BudgetSettings

_FIGURES = tuple(asdict(Usage()))
_SPENT = text(
    f"select {', '.join(_FIGURES)} from core.author_runs"  # noqa: S608 - names of a class
    " where run_key = :run_key and worker = :worker"
)
_SUM = text(
    f"select {', '.join(f'coalesce(sum({name}), 0) as {name}' for name in _FIGURES)}"  # noqa: S608
    " from core.author_runs where run_key = :run_key"
)
_SAVE = text(
    f"insert into core.author_runs (run_key, worker, {', '.join(_FIGURES)})"  # noqa: S608
    f" values (:run_key, :worker, {', '.join(':' + name for name in _FIGURES)})"
    " on conflict (run_key, worker) do update set updated_at = now(), "
    + ", ".join(f"{name} = excluded.{name}" for name in _FIGURES)
)


def share_of(budget: BudgetSettings, n_workers: int) -> BudgetSettings:
    """Returns one worker's share of a run's budget; the shares together never exceed it."""
    return BudgetSettings(
        max_requests=_part(budget.max_requests, n_workers),
        max_tokens=_part(budget.max_tokens, n_workers),
        max_cost_usd=None if budget.max_cost_usd is None else budget.max_cost_usd / n_workers,
    )


def _part(whole: int | None, n_workers: int) -> int | None:
    return None if whole is None else whole // n_workers


def left_of(budget: BudgetSettings, spent: Usage) -> BudgetSettings:
    """Returns what earlier tries of the same worker have left of its budget."""
    cost = budget.max_cost_usd
    return BudgetSettings(
        max_requests=_rest(budget.max_requests, spent.n_requests),
        max_tokens=_rest(budget.max_tokens, spent.prompt_tokens + spent.completion_tokens),
        max_cost_usd=None if cost is None else max(0.0, cost - spent.cost_usd),
    )


def _rest(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)


def spent_before(connection: Connection, run_key: str, worker: int) -> Usage:
    """Reads what earlier tries of a worker have spent, killed ones included."""
    row = connection.execute(_SPENT, {"run_key": run_key, "worker": worker}).one_or_none()
    return Usage(**row._asdict()) if row else Usage()


def spent_by_run(connection: Connection, run_key: str) -> Usage:
    """Adds up what all workers of a run have spent."""
    row = connection.execute(_SUM, {"run_key": run_key}).one()
    counts = {name: int(value) for name, value in row._asdict().items() if name != "cost_usd"}
    return Usage(**counts, cost_usd=float(row.cost_usd))


class SpendingLedger:
    """Saves what a worker has spent so far, earlier tries included.

    Args:
        run_key: the run; None: nothing is saved.
        worker: index within the run.
        before: what earlier tries have spent.
    """

    def __init__(self, run_key: str | None, worker: int, before: Usage) -> None:
        self._run_key = run_key
        self._worker = worker
        self._before = asdict(before)
        self._client: AsyncChatClient | None = None

    def watch(self, client: AsyncChatClient) -> None:
        """Sets the client whose calls are counted."""
        self._client = client

    def save(self, connection: Connection) -> None:
        """Saves the sum in place of the one saved before."""
        if self._run_key is None or self._client is None:
            return
        now = asdict(self._client.usage)
        total = {name: self._before[name] + now[name] for name in _FIGURES}
        connection.execute(_SAVE, {"run_key": self._run_key, "worker": self._worker, **total})
