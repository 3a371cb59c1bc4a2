"""What the entry points of `mlflow_projects/` share: parameters in, one line of JSON out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from guidealign.cli._errors import USAGE_EXIT
from guidealign.cycle import open_services
from guidealign.errors import ConfigurationError, GuidealignError
from guidealign.settings import load_settings

_AS_SET = "as-set"
_NEWEST = "newest"


class Trained(Protocol):
    """What a training returns."""

    def as_dict(self) -> dict[str, Any]:
        """For output."""


def run_project(
    section: Literal["retriever", "labrador"],
    train: Callable[..., Trained],
    *,
    data: str,
    parameters: Sequence[str],
) -> int:
    """Reads the command line, trains, and prints what came out as a line of JSON.

    Args:
        section: of the settings, which the parameters change for this run.
        train: the function that the DAG calls too.
        data: its argument that picks the data by number; `newest` where it is not given.
        parameters: names of settings in the section; `as-set` leaves one alone.

    Returns:
        The exit code: 0, or 2 after a line that says what is wrong.
    """
    parser = argparse.ArgumentParser(description=f"Trains the {section}.")
    parser.add_argument(f"--{data.replace('_', '-')}", default=_NEWEST)
    for name in parameters:
        parser.add_argument(f"--{name.replace('_', '-')}", default=_AS_SET)
    given = vars(parser.parse_args())
    try:
        result = _train(section, train, data, given)
    except GuidealignError as error:
        sys.stderr.write(f"guidealign: {error}\n")
        return USAGE_EXIT
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _train(
    section: str, train: Callable[..., Trained], data: str, given: dict[str, str]
) -> dict[str, Any]:
    settings = load_settings()
    wanted = given.pop(data)
    changes = {name: value for name, value in given.items() if value != _AS_SET}
    before = getattr(settings, section)
    try:
        changed = type(before).model_validate({**before.model_dump(), **changes})
        number = None if wanted == _NEWEST else int(wanted)
    except ValueError as error:
        raise ConfigurationError(
            f"a parameter is not a number that fits: {changes | {data: wanted}}"
        ) from error
    services = open_services(settings.model_copy(update={section: changed}))
    return train(**services.all(), **{data: number}).as_dict()
