"""What every task needs: retries that fit the error, and the services of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    BaseHook,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
)

from guidealign_airflow.hooks import DEFAULT_CONNECTION, GuidealignHook, database_url

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from guidealign.registry import Registry
    from guidealign.settings import Settings

MODEL_SERVER_POOL = "guidealign_model_server"
TRAINING_POOL = "guidealign_training"

_RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="guidealign.errors.PermanentError",
            action=RetryAction.FAIL,
            reason="trying again changes nothing",
        ),
        RetryRule(
            exception="guidealign.errors.RateLimitedError",
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=1),
            reason="a service asked for fewer requests",
        ),
        RetryRule(
            exception="guidealign.errors.ServiceUnavailableError",
            action=RetryAction.RETRY,
            retry_delay=timedelta(seconds=20),
            reason="a service does not answer",
        ),
    ]
)

STAGE_DEFAULTS: dict[str, Any] = {
    "owner": "guidealign",
    "retries": 5,
    "retry_delay": timedelta(seconds=15),
    "retry_policy": _RETRY_POLICY,
}
"""`default_args` of every stage."""


@dataclass(frozen=True)
class Services:
    """What the rooms' verbs take as keyword arguments."""

    engine: Engine
    settings: Settings
    registry: Registry

    def all(self) -> dict[str, Any]:
        """As keyword arguments."""
        return {"engine": self.engine, "settings": self.settings, "registry": self.registry}

    def data(self) -> dict[str, Any]:
        """As keyword arguments, without the registry."""
        return {"engine": self.engine, "settings": self.settings}


def services(conn_id: str = DEFAULT_CONNECTION) -> Services:
    """Settings, engine and registry of this installation; call it inside a task.

    The Airflow connection `guidealign_db` goes in front of the settings where there is one.
    """
    from guidealign.db import make_engine
    from guidealign.errors import ConfigurationError
    from guidealign.registry import Registry

    settings = GuidealignHook(conn_id).settings()
    if settings.mlflow.tracking_uri is None:
        raise ConfigurationError("no MLflow server is set: set GUIDEALIGN_MLFLOW__TRACKING_URI")
    return Services(
        engine=make_engine(settings.require_database_url()),
        settings=settings,
        registry=Registry(settings.mlflow.tracking_uri),
    )


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
