"""Has the safety model write new inputs for categories that have too few."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from guidealign.records import CATEGORIES
from guidealign.settings import load_settings
from guidealign_airflow import (
    INPUTS,
    MODEL_SERVER_POOL,
    STAGE_DEFAULTS,
    actor,
    announce,
    services,
)
from guidealign_airflow.deadlines import stage_deadline

DOC = """
### Augment

Grows the inputs of thinly covered categories (Guide-Align, stage 1): the model continues lists of
four inputs of a category, and what it writes is kept when it is unlike every input that is there
(ROUGE-L at most `augment.rouge_threshold`). A category is done when it has what it should have,
when the model has nothing new to say, or when the budget (`augment.budget`) is spent: the result
says which. What was rejected is in `library.rejects`, counts are in `library.augmentations`, and
`library.input_examples` shows what each new input was grown from. Starts **guidealign_author**.

* `categories`: none for every risk that `library.coverage` shows below the target
* `target`: inputs that a category should have, those that are there included
"""

AUGMENT = load_settings().augment


@task(pool=MODEL_SERVER_POOL, outlets=[INPUTS])
def grow() -> dict[str, Any]:
    """Asks until every category is done; a run that was killed is gone on with."""
    from guidealign.authoring import augment_inputs

    given = get_current_context()["params"]
    result = augment_inputs(
        categories=given["categories"],
        target=given["target"],
        run_key=actor(),
        **services().data(),
    ).as_dict()
    announce(INPUTS, {"changed": result["n_kept"] > 0, **result})
    return result


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    deadline=stage_deadline("augment"),
    tags=["guidealign", "inputs"],
    doc_md=DOC,
    params={
        "categories": Param(
            [],
            type="array",
            items={"type": "string", "enum": list(CATEGORIES)},
            examples=list(CATEGORIES),
            title="Categories",
            description="none: every risk below the target",
        ),
        "target": Param(
            AUGMENT.target_inputs,
            type="integer",
            minimum=1,
            title="Inputs a category should have",
        ),
    },
)
def guidealign_augment() -> None:
    """Wiring only."""
    grow()


guidealign_augment()
