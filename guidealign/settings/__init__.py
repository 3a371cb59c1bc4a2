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
from typing import TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from guidealign.errors import ConfigurationError
from guidealign.settings._endpoints import (
    BudgetSettings,
    EndpointSettings,
    FallbackSettings,
    PriceSettings,
)
from guidealign.settings._evaluation import EvaluationSettings, WatchSettings
from guidealign.settings._gateway import (
    InboxSettings,
    KeysSettings,
    ServeSettings,
    UpstreamSettings,
)
from guidealign.settings._services import (
    AirflowSettings,
    DeadlineSettings,
    MlflowSettings,
    PlatformSettings,
)
from guidealign.settings._stages import (
    AlignSettings,
    AugmentSettings,
    AuthorSettings,
    DriftSettings,
    GateSettings,
    IngestSettings,
    LabradorSettings,
    LibrarySettings,
    MaintenanceSettings,
    RetrievalSettings,
    RetrieverSettings,
    ReviewPolicy,
    SourceSettings,
)

__all__ = [
    "HOME_VARIABLE",
    "PLATFORM_ENV",
    "USER_TOML",
    "AirflowSettings",
    "AlignSettings",
    "AugmentSettings",
    "AuthorSettings",
    "BudgetSettings",
    "DeadlineSettings",
    "DriftSettings",
    "EndpointSettings",
    "EvaluationSettings",
    "FallbackSettings",
    "GateSettings",
    "InboxSettings",
    "IngestSettings",
    "KeysSettings",
    "LabradorSettings",
    "LibrarySettings",
    "MaintenanceSettings",
    "MlflowSettings",
    "PlatformSettings",
    "PriceSettings",
    "RetrievalSettings",
    "RetrieverSettings",
    "ReviewPolicy",
    "ServeSettings",
    "Settings",
    "SourceSettings",
    "UpstreamSettings",
    "UserSettings",
    "WatchSettings",
    "home_folder",
    "load_settings",
    "load_user_settings",
]

HOME_VARIABLE = "GUIDEALIGN_HOME"
PLATFORM_ENV = Path("run") / "platform.env"
USER_TOML = "guidealign.toml"


def home_folder() -> Path:
    """The folder that holds everything this installation writes."""
    return Path(os.environ.get(HOME_VARIABLE, ".guidealign")).expanduser().absolute()


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="GUIDEALIGN_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    database_url: SecretStr | None = None
    """`postgresql+psycopg://` URL of the guidealign database; None: the embedded one."""
    safety: EndpointSettings = EndpointSettings()
    base: EndpointSettings = EndpointSettings()
    labrador_server: EndpointSettings = EndpointSettings(model="guidealign-labrador")
    """Where the live Labrador answers; the embedded one follows each promotion by itself."""
    ingest: IngestSettings = IngestSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    drift: DriftSettings = DriftSettings()
    author: AuthorSettings = AuthorSettings()
    augment: AugmentSettings = AugmentSettings()
    library: LibrarySettings = LibrarySettings()
    retriever: RetrieverSettings = RetrieverSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    align: AlignSettings = AlignSettings()
    labrador: LabradorSettings = LabradorSettings()
    gates: GateSettings = GateSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    watch: WatchSettings = WatchSettings()
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
