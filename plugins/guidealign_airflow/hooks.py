"""The hook of the platform's own connection type: database, MLflow and model servers in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from guidealign.settings import Settings

DEFAULT_CONNECTION = "guidealign_db"
"""Airflow connection of the platform; without one the settings hold alone."""

_CONNECTION_TYPE = "guidealign"


class GuidealignHook(BaseHook):
    """The settings of this installation, with what an Airflow connection says put in front.

        GuidealignHook().settings().require_database_url()

    The connection is of the type `guidealign`, or any PostgreSQL connection, which then gives the
    database alone. Where the default connection is missing, the settings hold as they are; another
    one that is missing is an error.
    """

    conn_name_attr: ClassVar[str] = "guidealign_conn_id"
    default_conn_name: ClassVar[str] = DEFAULT_CONNECTION
    conn_type: ClassVar[str] = _CONNECTION_TYPE
    hook_name: ClassVar[str] = "Guidealign"

    def __init__(self, guidealign_conn_id: str = DEFAULT_CONNECTION) -> None:
        super().__init__()
        self.guidealign_conn_id = guidealign_conn_id

    def get_conn(self) -> Any:
        """A SQLAlchemy engine of the guidealign database."""
        from guidealign.db import make_engine

        return make_engine(self.settings().require_database_url())

    def settings(self) -> Settings:
        """What holds in this task.

        Raises:
            ConfigurationError: a setting is malformed, or the connection names no database.
        """
        from guidealign.settings import load_settings

        settings = load_settings()
        connection = self._connection()
        return settings if connection is None else overlay(settings, connection)

    async def asettings(self) -> Settings:
        """As `settings`, for the triggerer, where nothing may block."""
        from guidealign.settings import load_settings

        settings = load_settings()
        try:
            connection = await self.aget_connection(self.guidealign_conn_id)
        except AirflowNotFoundException:
            self._require_default()
            return settings
        return overlay(settings, connection)

    def test_connection(self) -> tuple[bool, str]:
        """Asks all three; the sentence names each, what is wrong first."""
        from guidealign.errors import GuidealignError
        from guidealign.platform import check_services

        try:
            findings = check_services(self.settings())
        except GuidealignError as error:
            return False, str(error)
        wrong = [finding for finding in findings if finding.level != "ok"]
        said = [f"{f.about}: {f.detail}" for f in wrong or findings]
        return not wrong, "; ".join(said) + "."

    def _connection(self) -> Connection | None:
        try:
            return self.get_connection(self.guidealign_conn_id)
        except AirflowNotFoundException:
            self._require_default()
            return None

    def _require_default(self) -> None:
        from guidealign.errors import ConfigurationError

        if self.guidealign_conn_id != DEFAULT_CONNECTION:
            raise ConfigurationError(
                f"Airflow has no connection {self.guidealign_conn_id!r}: add one of the type"
                f" {_CONNECTION_TYPE}, or leave guidealign_conn_id out"
            )


def overlay(settings: Settings, connection: Connection) -> Settings:
    """The settings with what a connection says in their place.

    Raises:
        ConfigurationError: the connection names no database.
    """
    from pydantic import SecretStr

    changes: dict[str, Any] = {"database_url": SecretStr(database_url(connection))}
    extra = connection.extra_dejson if connection.conn_type == _CONNECTION_TYPE else {}
    if extra.get("mlflow_tracking_uri"):
        changes["mlflow"] = settings.mlflow.model_copy(
            update={
                "tracking_uri": extra["mlflow_tracking_uri"],
                "username": extra.get("mlflow_username") or settings.mlflow.username,
                # The settings' password is for the settings' server alone.
                "password": SecretStr(extra.get("mlflow_password") or ""),
            }
        )
    for name in ("safety", "base"):
        if extra.get(f"{name}_base_url"):
            endpoint = getattr(settings, name)
            given = {
                "base_url": extra[f"{name}_base_url"],
                "model": extra.get(f"{name}_model") or endpoint.model,
                # The settings' key is for the settings' server alone.
                "api_key": SecretStr(extra.get(f"{name}_api_key") or "none"),
            }
            changes[name] = endpoint.model_copy(update=given)
    return settings.model_copy(update=changes)


def database_url(connection: Connection) -> str:
    """SQLAlchemy URL of the database that a connection names, with its password.

    Raises:
        ConfigurationError: one of the type `guidealign` names no database.
    """
    from sqlalchemy import URL

    from guidealign.errors import ConfigurationError

    if connection.conn_type != _CONNECTION_TYPE:
        return connection.get_uri()
    if not connection.host or not connection.schema:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} names no database: fill in Host and Database"
        )
    sslmode = connection.extra_dejson.get("sslmode")
    return URL.create(
        "postgresql+psycopg",
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
        query={"sslmode": sslmode} if sslmode else {},
    ).render_as_string(hide_password=False)
