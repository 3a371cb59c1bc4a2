"""Settings of the services around: registry, scheduler, and those of one machine."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from guidealign.settings._fields import Section


class MlflowSettings(Section):
    """Where runs and models are registered."""

    tracking_uri: str | None = None


class DeadlineSettings(Section):
    """Minutes from a run's queueing after which a line says that it is late; 0: never."""

    ingest: float = Field(default=30, ge=0)
    ingest_partitions: float = Field(default=30, ge=0)
    augment: float = Field(default=240, ge=0)
    author: float = Field(default=720, ge=0)
    library: float = Field(default=60, ge=0)
    retriever: float = Field(default=480, ge=0)
    align: float = Field(default=480, ge=0)
    labrador: float = Field(default=1_440, ge=0)
    maintenance: float = Field(default=120, ge=0)
    rollback: float = Field(default=10, ge=0)
    watch: float = Field(default=14, ge=0)


class AirflowSettings(Section):
    """Airflow's API, for `guidealign run`."""

    base_url: str | None = None
    username: str = "admin"
    password: SecretStr = SecretStr("")
    deadlines: bool = True
    """Off for `dag.test()`, which in Airflow 3.3 cannot run a DAG that has a deadline."""
    deadlines_min: DeadlineSettings = DeadlineSettings()
    preload: list[str] | None = None
    """Modules that the scheduler imports before LocalExecutor forks its workers, so that tasks need
    not. None: what the stages use on the embedded platform, nothing elsewhere."""


class PlatformSettings(Section):
    """The services of one machine. A port of None: the first free one from the usual."""

    cache: Path = Path("~/.cache/guidealign")
    postgres_port: int | None = Field(default=None, ge=1, le=65535)
    safety_port: int | None = Field(default=None, ge=1, le=65535)
    base_port: int | None = Field(default=None, ge=1, le=65535)
    labrador_port: int | None = Field(default=None, ge=1, le=65535)
    gateway_port: int | None = Field(default=None, ge=1, le=65535)
    mlflow_port: int | None = Field(default=None, ge=1, le=65535)
    airflow_port: int | None = Field(default=None, ge=1, le=65535)
    safety_gguf: Path | None = None
    """A local GGUF file in place of the packaged safety model."""
    base_gguf: Path | None = None
    """A local GGUF file in place of the packaged base model."""
    safety_uses_base: bool = False
    """Serve the small base model as the safety model too (tests, tiny machines)."""
    airflow_parallelism: int = Field(default=3, ge=1)
    start_timeout_s: float = Field(default=180.0, gt=0)
