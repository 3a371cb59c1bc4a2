"""What every task needs: retries that fit the error, and the services of the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    Asset,
    BaseHook,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
)

from guidealign.cycle import (
    MODEL_SERVER_POOL,
    RETRIES,
    RETRY_DELAY_S,
    TRAINING_POOL,
    Services,
    open_services,
)
from guidealign_airflow.hooks import DEFAULT_CONNECTION, GuidealignHook, database_url

__all__ = [
    "MODEL_SERVER_POOL",
    "STAGE_DEFAULTS",
    "TRAINING_POOL",
    "Services",
    "actor",
    "announce",
    "connection_url",
    "note_run",
    "person",
    "services",
]

_RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="guidealign.errors.PermanentError",
            action=RetryAction.FAIL,
            reason="trying again changes nothing",
        ),
        *(
            RetryRule(
                exception=f"{kind.__module__}.{kind.__name__}",
                action=RetryAction.RETRY,
                retry_delay=timedelta(seconds=delay_s),
                reason=(kind.__doc__ or "").partition("\n")[0],
            )
            for kind, delay_s in RETRY_DELAY_S.items()
        ),
    ]
)

STAGE_DEFAULTS: dict[str, Any] = {
    "owner": "guidealign",
    "retries": RETRIES,
    "retry_delay": timedelta(seconds=15),
    "retry_policy": _RETRY_POLICY,
}
"""`default_args` of every stage."""


def services(conn_id: str = DEFAULT_CONNECTION) -> Services:
    """Settings, engine and registry of this installation; call it inside a task.

    The Airflow connection `guidealign_db` goes in front of the settings where there is one.
    """
    return open_services(GuidealignHook(conn_id).settings())


def connection_url(conn_id: str) -> str:
    """SQLAlchemy URL of an Airflow connection."""
    return database_url(BaseHook.get_connection(conn_id))


def actor() -> str:
    """Who does it, for the ledger: the DAG and its run."""
    run = get_current_context()["dag_run"]
    return f"airflow:{run.dag_id}/{run.run_id}"


def person() -> str:
    """Who triggered the run, for what a person answers for; a run of the scheduler's is a DAG's."""
    name = get_current_context()["dag_run"].triggering_user_name
    return f"airflow-user:{name}" if name else actor()


def announce(asset: Asset, extra: dict[str, Any]) -> None:
    """Attaches figures to the asset event that this task emits."""
    get_current_context()["outlet_events"][asset].extra = extra


def note_run(note: str) -> None:
    """Puts a note on the DAG run, for people; what it needs is the settings' log-in to Airflow.

    A task can set a note through Airflow's REST API alone. Where that fails, the figures are in
    MLflow all the same, so it is a warning.
    """
    import structlog

    from guidealign.errors import GuidealignError
    from guidealign.platform import AirflowApi
    from guidealign.settings import load_settings

    run = get_current_context()["dag_run"]
    try:
        AirflowApi(load_settings()).set_note(run.dag_id, run.run_id, note)
    except GuidealignError as error:
        structlog.get_logger().warning("run.note_not_set", error=str(error))
