"""Has the safety model assess new inputs and write guidelines for them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from guidealign.settings import load_settings
from guidealign_airflow import (
    CANDIDATES,
    MODEL_SERVER_POOL,
    STAGE_DEFAULTS,
    actor,
    announce,
    note_run,
    services,
)
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.schedules import author_schedule
from guidealign_airflow.stages import stage_task

DOC = """
### Author

For each new input: is it unsafe, or may it trigger an unsafe answer, and which risks does it touch?
Then general guidelines for inputs like it (Guide-Align, stage 1). Inputs are claimed with a lease
that its worker renews: a killed worker's inputs come back, and none is authored twice. What gets
no usable answer is tried again, then given up with the reason (`library.author_dead_letters`).
What the quality filter stops is quarantined with the reason. Starts **guidealign_library**.

The budget is the run's, all its workers and their retries together. When it is spent, what is done
is stored and the rest waits for the next run. By default it is the setting `author.budget`. Tokens
and cost are on the MLflow run (experiment `guidealign-author`) and in this run's note.
"""

BUDGET = load_settings().author.budget


def _budget() -> dict[str, Any]:
    given = get_current_context()["params"]
    return {name: given[name] for name in ("max_requests", "max_tokens", "max_cost_usd")}


@task
def plan() -> list[dict[str, Any]]:
    """Puts new inputs into the queue, and says how many workers take from it and may spend what.

    The prompts are in MLflow's registry before the first answer names their version.
    """
    from guidealign.authoring import plan_run, register_prompts
    from guidealign.settings import BudgetSettings

    register_prompts(services().registry)
    return plan_run(BudgetSettings(**_budget()), **services().data())


@task(
    pool=MODEL_SERVER_POOL,
    map_index_template="batch {{ task.op_kwargs['batch'] }}",
    # A mapped task does not take its docstring.
    doc_md="Takes inputs from the queue until it is empty or the worker's share is spent.",
)
def author(batch: int, budget: dict[str, Any]) -> dict[str, Any]:
    """Takes inputs from the queue until it is empty or the worker's share is spent."""
    from guidealign.authoring import author_batch
    from guidealign.settings import BudgetSettings

    share = BudgetSettings(**budget)
    return author_batch(batch, budget=share, run_key=actor(), **services().data()).as_dict()


@stage_task("author", outlets=[CANDIDATES])
def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Adds the workers' figures up; fails when no input at all came through."""
    from guidealign.authoring import add_up_batches

    total = add_up_batches(results, services().settings).as_dict()
    announce(CANDIDATES, {"changed": total["n_guidelines"] > 0, **total})
    return total


@task(trigger_rule="all_done")
def record(results: list[dict[str, Any]]) -> None:
    """Tokens, cost and counts to MLflow and into the run's note, also when a worker failed."""
    from guidealign.authoring import record_run
    from guidealign.settings import BudgetSettings

    budget = BudgetSettings(**_budget())
    note_run(record_run(results, run_key=actor(), budget=budget, **services().all()))


@dag(
    schedule=author_schedule(load_settings().ingest),
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    deadline=stage_deadline("author"),
    tags=["guidealign", "guidelines"],
    doc_md=DOC,
    params={
        "max_requests": Param(
            BUDGET.max_requests,
            type=["null", "integer"],
            minimum=0,
            title="Most requests",
            description="to the model server, repeated ones included; empty: no limit",
        ),
        "max_tokens": Param(
            BUDGET.max_tokens,
            type=["null", "integer"],
            minimum=0,
            title="Most tokens",
            description="read and written together; empty: no limit",
        ),
        "max_cost_usd": Param(
            BUDGET.max_cost_usd,
            type=["null", "number"],
            minimum=0,
            title="Most US dollars",
            description="at the prices in the setting safety.prices; empty: no limit",
        ),
    },
)
def guidealign_author() -> None:
    """Wiring only."""
    results = author.expand_kwargs(plan())
    summarise(results)
    record(results)


guidealign_author()
