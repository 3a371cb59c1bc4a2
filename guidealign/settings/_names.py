"""Names that nobody knows, and what was probably meant."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import TypeVar

from pydantic import BaseModel

from guidealign.settings._fields import all_settings

PREFIX = "GUIDEALIGN_"
DELIMITER = "__"
OTHER_VARIABLES = {
    "GUIDEALIGN_HOME": "the home folder",
    "GUIDEALIGN_DEBUG": "tracebacks behind an error's line, as `--debug`",
    "GUIDEALIGN_EVALUATE_KEY": "API key of `guidealign evaluate run --base-url`",
    "GUIDEALIGN_MODEL_API_KEY": "the key that a model server of the embedded platform asks for",
    "GUIDEALIGN_DB_PASSWORD": "the owner's password in docker/compose.yaml",
    "GUIDEALIGN_BENCH_PROMPTS": "a folder of prompts for `make bench AREA=authoring`",
}
"""Variables with the settings' prefix that are read elsewhere, and what they are."""
_REPLACED = {"labrador.dpo": "labrador.objective"}
"""Settings that are no more, and what stands in their place where names alone would not tell."""

_ALIKE = 0.8
_LAST_PART_ALIKE = 0.5
_NUMBER = re.compile(r"\[\d+\]")
_told: set[str] = set()
_V = TypeVar("_V")


def variable_of(name: str) -> str:
    """The environment variable of a setting: `retrieval.k` is `GUIDEALIGN_RETRIEVAL__K`."""
    return PREFIX + name.replace(".", DELIMITER).upper()


def is_known(root: type[BaseModel], variable: str) -> bool:
    """Whether an environment variable is a setting, a section, or a key of an open table."""
    known = all_settings(root)
    parts = variable.lower().removeprefix(PREFIX.lower()).split(DELIMITER)
    if ".".join(parts) in known:
        return True
    above = (known.get(".".join(parts[:n])) for n in range(1, len(parts)))
    return any(setting is not None and setting.takes_any_name for setting in above)


def only_known(root: type[BaseModel], variables: Mapping[str, _V]) -> dict[str, _V]:
    """The variables without those that carry the prefix and are no setting."""
    prefix = PREFIX.lower()
    return {
        name: value
        for name, value in variables.items()
        if not name.lower().startswith(prefix) or is_known(root, name)
    }


def tell_unknown_variables(root: type[BaseModel], tell: Callable[[str], object]) -> None:
    """Tells of each unknown variable once in a process.

    Args:
        root: the settings.
        tell: takes a sentence, once for each variable.
    """
    for variable, sentence in unknown_variables(root).items():
        if variable not in _told:
            _told.add(variable)
            tell(sentence)


def unknown_variables(root: type[BaseModel]) -> dict[str, str]:
    """Environment variables that look like a setting and are none, each with a sentence."""
    found = {}
    for variable in sorted(os.environ):
        if not variable.upper().startswith(PREFIX) or variable.upper() in OTHER_VARIABLES:
            continue
        if not is_known(root, variable):
            meant = suggest_variable(root, variable)
            hint = (
                f"did you mean {meant}?" if meant else "`guidealign settings` lists what there is"
            )
            found[variable] = f"{variable} is no setting and has no effect: {hint}"
    return found


def suggest_variable(root: type[BaseModel], variable: str) -> str | None:
    """The environment variable that was probably meant."""
    name = variable.upper().removeprefix(PREFIX).lower().replace(DELIMITER, ".")
    if name in _REPLACED:
        return variable_of(_REPLACED[name])
    known = [variable_of(name) for name in all_settings(root) if "[]" not in name]
    found = get_close_matches(variable.upper(), [*known, *OTHER_VARIABLES], n=1, cutoff=_ALIKE)
    return found[0] if found else None


def suggest_name(root: type[BaseModel], name: str) -> str | None:
    """The setting that was probably meant by a dotted name: written alike, or found elsewhere."""
    known = all_settings(root)
    last = _last(name)
    plain = without_numbers(name).lower().replace("-", "_")
    if plain in _REPLACED:
        return _REPLACED[plain]
    for found in get_close_matches(plain, known, n=5, cutoff=_ALIKE):
        if SequenceMatcher(None, last, _last(found)).ratio() >= _LAST_PART_ALIKE:
            return found.replace("[]", (_NUMBER.findall(name) or ["[]"])[0])
    return _joined(found for found in known if _last(found) == last)


def without_numbers(name: str) -> str:
    """A dotted name with `[]` in place of `[0]`, as settings of lists' entries are called."""
    return _NUMBER.sub("[]", name)


def _last(name: str) -> str:
    return name.rpartition(".")[2].lower().replace("-", "_")


def _joined(names: Iterable[str]) -> str | None:
    found = list(names)
    return " or ".join(found) if 0 < len(found) <= 3 else None
