"""Reads the settings, and says in a line each what is wrong with them."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from guidealign.errors import ConfigurationError
from guidealign.settings._fields import all_settings
from guidealign.settings._names import (
    suggest_name,
    tell_unknown_variables,
    variable_of,
    without_numbers,
)
from guidealign.settings._root import USER_TOML, Settings, UserSettings, home_folder
from guidealign.settings._sources import Place, find_source, variable_with

_S = TypeVar("_S", bound=Settings)


def load_settings() -> Settings:
    """Reads the settings afresh; variables that look like one and are none are logged, once.

    Raises:
        ConfigurationError: a name is unknown or a value malformed; one line for each.
    """
    return _load(Settings)


def load_user_settings() -> UserSettings:
    """Reads what people set, leaving out the generated file.

    Raises:
        ConfigurationError: a name is unknown or a value malformed; one line for each.
    """
    return _load(UserSettings)


def _load(kind: type[_S]) -> _S:
    tell_unknown_variables(kind, _log)
    # Without the cause: pydantic's error repeats what was given, secrets as well.
    try:
        return kind()
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(_line(kind, fault) for fault in error.errors())
        ) from None
    except SettingsError as error:
        raise ConfigurationError(_not_json(error)) from None
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{home_folder() / USER_TOML} cannot be read: {error}") from None


def _log(sentence: str) -> None:
    import structlog

    structlog.get_logger().warning("settings.unknown_variable", said=sentence)


def _line(kind: type[Settings], fault: ErrorDetails) -> str:
    place: Place = fault["loc"]
    name = _dotted(place)
    found = find_source(kind.sources(), place)
    origin = found[0].origin(found[1]) if found else "settings"
    if fault["type"] == "extra_forbidden":
        meant = suggest_name(kind, name)
        hint = f"did you mean {meant}?" if meant else "see `guidealign settings`"
        return f"{origin}: unknown setting {name}: {hint}"
    if fault["type"] == "missing":
        return f"{origin}: {name} is missing"
    about = origin if origin == variable_of(name) else f"{origin}: {name}"
    return f"{about} is wrong: {_reason(fault)}{_given(kind, name, fault['input'])}"


def _dotted(place: Place) -> str:
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(map(str, place)))


def _reason(fault: ErrorDetails) -> str:
    if fault["type"] == "model_type":
        return "it is a section, with names and values of its own"
    return fault["msg"][:1].lower() + fault["msg"][1:]


def _given(kind: type[Settings], name: str, value: Any) -> str:
    """What was given, where that can be shown: not a secret, not a whole section."""
    setting = all_settings(kind).get(without_numbers(name))
    shown = setting is not None and not setting.is_secret and setting.section is None
    return f" (got {value!r})" if shown and isinstance(value, str | int | float) else ""


def _not_json(error: SettingsError) -> str:
    cause = error.__cause__
    if isinstance(cause, json.JSONDecodeError):
        variable = variable_with(cause.doc)
        if variable is not None:
            return f"{variable} is wrong: it is no JSON ({cause.msg}, character {cause.pos + 1})"
    return f"{error}: it is no JSON"
