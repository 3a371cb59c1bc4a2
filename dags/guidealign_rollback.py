"""Serves the previous version of a model again: a form with a reason."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from guidealign_airflow import STAGE_DEFAULTS, note_run, person, services

DOC = """
### Roll back

Serves the previous champion of a model again, at once: its embeddings are still there. The alias
`champion` in MLflow, the release and the ledger `library.promotions` say so, with your name and
reason. Trigger it with the form; **Guidelines > Models** has the same as a button.
"""


# Not tried again: a second try after a crash at the very end would go forward again. What died
# in its middle is finished by `guidealign reconcile` and by whoever switches next.
@task(retries=0)
def roll_back() -> dict[str, Any]:
    """Moves the alias and makes the release."""
    from guidealign.promotion import rollback

    given = get_current_context()["params"]
    done = rollback(
        given["model"], actor=person(), reason=given["reason"], **services().all()
    ).as_dict()
    note_run(
        f"{done['model_name']}: version {done['to_version']} serves again in place of"
        f" {done['from_version']} (release {done['release_id']}): {given['reason']}"
    )
    return done


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=STAGE_DEFAULTS,
    tags=["guidealign", "models"],
    doc_md=DOC,
    params={
        "model": Param(
            "guidealign-retriever",
            type="string",
            enum=["guidealign-retriever", "guidealign-labrador"],
            title="Model",
        ),
        "reason": Param(
            type="string", minLength=3, title="Reason", description="goes into the ledger"
        ),
    },
)
def guidealign_rollback() -> None:
    """Wiring only."""
    roll_back()


guidealign_rollback()
