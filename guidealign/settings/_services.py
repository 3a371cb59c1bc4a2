"""Settings of the services around: registry, scheduler, and those of one machine."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr


class MlflowSettings(BaseModel):
    """Where runs and models are registered."""

    tracking_uri: str | None = None


class AirflowSettings(BaseModel):
    """Airflow's API, for `guidealign run`."""

    base_url: str | None = None
    username: str = "admin"
    password: SecretStr = SecretStr("")
    deadlines_min: dict[str, float] = {
        "ingest": 30,
        "ingest_partitions": 30,
        "augment": 240,
        "author": 720,
        "library": 60,
        "retriever": 480,
        "align": 480,
        "labrador": 1_440,
        "maintenance": 120,
        "rollback": 10,
    }
    """Minutes from a run's queueing after which a line says that it is late, by stage; 0: never."""


class PlatformSettings(BaseModel):
    """The services of one machine. A port of None: the first free one from the usual."""

    cache: Path = Path("~/.cache/guidealign")
    postgres_port: int | None = Field(default=None, ge=1, le=65535)
    safety_port: int | None = Field(default=None, ge=1, le=65535)
    base_port: int | None = Field(default=None, ge=1, le=65535)
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
