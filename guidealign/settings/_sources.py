"""Where values come from. Unknown names stop at the door of the environment, and are told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    TomlConfigSettingsSource,
)

from guidealign.settings._names import only_known, variable_of

Place = Sequence[str | int]
"""The way to a value: names, and numbers of entries of a list."""


class Source(Protocol):
    """Somewhere that values come from."""

    def __call__(self) -> dict[str, Any]:
        """What it says, nested by section."""
        ...

    def origin(self, place: Place) -> str:
        """What a person changes to change the value: a file, or a variable's name."""
        ...


class EnvironmentSource(EnvSettingsSource):
    """Environment variables; those that are no setting are left out, not refused."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.env_vars = only_known(settings_cls, self.env_vars)

    def origin(self, place: Place) -> str:
        """The variable: of the value itself, or of the section or table around it."""
        names = [variable_of(".".join(map(str, place[:n]))) for n in range(len(place), 0, -1)]
        return next((name for name in names if name.lower() in self.env_vars), names[0])


class UserFileSource(TomlConfigSettingsSource):
    """`guidealign.toml`."""

    def __init__(self, settings_cls: type[BaseSettings], file: Path) -> None:
        self._file = file
        super().__init__(settings_cls, file)

    def origin(self, place: Place) -> str:
        """The file."""
        del place
        return str(self._file)


class GeneratedSource(DotEnvSettingsSource):
    """`run/platform.env`, which `guidealign up` writes; names of another version's are left out."""

    def __init__(self, settings_cls: type[BaseSettings], file: Path) -> None:
        self._file = file
        super().__init__(settings_cls, env_file=file, dotenv_filtering="only_existing")
        self.env_vars = only_known(settings_cls, self.env_vars)

    def origin(self, place: Place) -> str:
        """The file."""
        del place
        return str(self._file)


def find_source(sources: Iterable[Source], place: Place) -> tuple[Source, Place] | None:
    """The first source that says something at a place, or as near above it as any does."""
    said = [(source, source()) for source in sources]
    for depth in range(len(place), 0, -1):
        for source, values in said:
            if holds(values, place[:depth]):
                return source, place[:depth]
    return None


def holds(values: Any, place: Place) -> bool:
    """Whether nested values go as deep as a place."""
    for part in place:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def variable_with(value: str) -> str | None:
    """The name of the environment variable with a value."""
    return next((name for name, given in os.environ.items() if given == value), None)
