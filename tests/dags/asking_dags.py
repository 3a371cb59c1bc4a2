"""DAGs of the tests: a judgement from the run's conf, people asked, and the switch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task

from guidealign_airflow.approval import PromotionApproval
from guidealign_airflow.operators import SwitchOperator


@task
def gate() -> dict[str, Any]:
    """The judgement that the run was started with."""
    judged: dict[str, Any] = get_current_context()["dag_run"].conf["judged"]
    return judged


def _asking(dag_id: str, wait_s: float) -> None:
    @dag(dag_id=dag_id, schedule=None, catchup=False)
    def asking() -> None:
        judged = gate()
        waits = timedelta(seconds=wait_s)
        ask = PromotionApproval(task_id="approve", judged=judged, response_timeout=waits)
        SwitchOperator(
            task_id="switch",
            model_name="guidealign-labrador",
            judged=judged,
            answer=ask.output,
            retries=0,
        )

    asking()


_asking("asking", 600)
# Long enough for the scheduler to hear first that the worker is done, on a busy machine too.
_asking("asking_in_vain", 20)
