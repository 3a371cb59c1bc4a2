"""What each setting is, and the value it has and from where."""

from __future__ import annotations

import ast
import inspect
import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from guidealign.settings._fields import Setting, all_settings
from guidealign.settings._names import variable_of
from guidealign.settings._root import Settings
from guidealign.settings._sources import holds

_DEFAULT = "default"
_MASK = "***"
_PASSWORD_IN_URL = re.compile(r'(?<=//)[^/@\s"]+(?=@)')
_TYPES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret",
}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "characters ≥"}


@dataclass(frozen=True, kw_only=True)
class SettingValue:
    """A setting as it holds now. Secrets are masked."""

    name: str
    value: Any
    default: Any
    is_changed: bool
    """Whether the value is not the default."""
    origin: str
    """`default`, the name of an environment variable, or a file's path."""
    variable: str
    """The environment variable that sets it."""
    type: str
    range: str
    meaning: str

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def setting_values(settings: Settings) -> list[SettingValue]:
    """Every setting with its value, its default and where the value comes from.

    A list of sections, as `serve.upstreams`, is one value. So is an optional section that is not
    set; one that is set is told by its parts.
    """
    sources = [(source, source()) for source in type(settings).sources()]
    shown = json.loads(_PASSWORD_IN_URL.sub(_MASK, settings.model_dump_json()))
    found = []
    for setting in all_settings(Settings).values():
        place = setting.name.split(".")
        value, default = _value_at(settings, place), default_of(setting)
        if not _is_value(setting, value, _value_at(settings, place[:-1])):
            continue
        masked = _MASK if setting.is_secret and value is not None else _at(shown, place)
        is_changed = value != default
        said_by = next((s.origin(place) for s, said in sources if holds(said, place)), _DEFAULT)
        found.append(
            SettingValue(
                name=setting.name,
                value=masked if is_changed else _plain(default),
                default=_plain(default),
                is_changed=is_changed,
                origin=said_by,
                variable=variable_of(setting.name),
                type=type_of(setting),
                range=range_of(setting),
                meaning=meaning_of(setting),
            )
        )
    return found


def default_of(setting: Setting) -> Any:
    """The value without any source; `PydanticUndefined` where one has to be given."""
    place = setting.name.split(".")
    around = _value_at(Settings.model_construct(), place[:-1])
    if around is not None:
        return getattr(around, place[-1])
    return setting.field.get_default(call_default_factory=True)


def default_text(setting: Setting) -> str:
    """The default as it would stand in the file."""
    default = default_of(setting)
    if default is None or default is PydanticUndefined:
        return "not set" if default is None else "required"
    return json.dumps(_plain(default), ensure_ascii=False)


def type_of(setting: Setting) -> str:
    """The type of a setting's value, as people say it."""
    return _type_text(setting.field.annotation)


def _type_text(annotation: Any) -> str:
    arguments = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) is Literal:
        return " or ".join(json.dumps(value) for value in arguments)
    if get_origin(annotation) is list:
        return f"list: {_type_text(arguments[0])}"
    if get_origin(annotation) is dict:
        return f"table: {_type_text(arguments[1])}"
    if arguments:
        return _type_text(arguments[0])
    return _TYPES.get(annotation, "section")


def range_of(setting: Setting) -> str:
    """The bounds of a setting's value; empty: none but its type."""
    bounds = (
        f"{sign} {getattr(bound, attribute)}"
        for bound in setting.field.metadata
        for attribute, sign in _BOUNDS.items()
        if getattr(bound, attribute, None) is not None
    )
    return ", ".join(bounds)


def meaning_of(setting: Setting) -> str:
    """The docstring of the field; of a section without one, the section's."""
    said = _docstrings(setting.owner).get(setting.name.rpartition(".")[2])
    return said or (section_meaning(setting.section) if setting.section else "")


def section_meaning(section: type[BaseModel]) -> str:
    """The docstring of a section."""
    return " ".join((section.__doc__ or "").split())


@cache
def _docstrings(owner: type[BaseModel]) -> dict[str, str]:
    """The strings beneath the fields of a model's class."""
    (body,) = ast.parse(dedent(inspect.getsource(owner))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - what a class's source is
    said = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                said[name] = " ".join(text.split())
    return said


def _is_value(setting: Setting, value: Any, around: Any) -> bool:
    if "[]" in setting.name or around is None:
        return False
    return setting.section is None or value is None or isinstance(value, list)


def _value_at(settings: Any, place: list[str]) -> Any:
    for part in place:
        settings = getattr(settings, part, None)
    return settings


def _at(values: Any, place: list[str]) -> Any:
    for part in place:
        values = values[part]
    return values


def _plain(value: Any) -> Any:
    """A default as JSON has it."""
    if value is PydanticUndefined:
        return None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value
