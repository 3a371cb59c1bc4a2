"""Has the safety model assess new inputs and write guidelines for them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from guidealign_airflow import (
    CANDIDATES,
    INPUTS,
    MODEL_SERVER_POOL,
    STAGE_DEFAULTS,
    announce,
    services,
)

DOC = """
### Author

For each new input: is it unsafe, or may it trigger an unsafe answer, and which risks does it touch?
Then general guidelines for inputs like it (Guide-Align, stage 1). Inputs are claimed with a lease:
a killed worker's inputs come back, and none is authored twice. What the quality filter stops is
quarantined with the reason. Starts **guidealign_library**.
"""


@task
def plan() -> list[int]:
    """Puts new inputs into the queue and says how many workers take from it."""
    from guidealign.authoring import plan_batches

    return plan_batches(**services().data())


@task(pool=MODEL_SERVER_POOL, map_index_template="batch {{ task.op_kwargs['batch'] }}")
def author(batch: int) -> dict[str, Any]:
    """Takes inputs from the queue until it is empty."""
    from guidealign.authoring import author_batch

    return author_batch(batch, **services().data()).as_dict()


@task(outlets=[CANDIDATES])
def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Adds the workers' figures up; fails when no input at all came through."""
    from guidealign.authoring import add_up_batches

    total = add_up_batches(results, services().settings).as_dict()
    announce(CANDIDATES, {"changed": total["n_guidelines"] > 0, **total})
    return total


@dag(
    schedule=[INPUTS],
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    tags=["guidealign", "guidelines"],
    doc_md=DOC,
)
def guidealign_author() -> None:
    """Wiring only."""
    summarise(author.expand(batch=plan()))


guidealign_author()
