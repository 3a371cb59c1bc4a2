"""Trains Labrador from `mlflow run mlflow_projects/labrador`: the function the DAG calls."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from guidealign.db import make_engine
from guidealign.errors import ConfigurationError, GuidealignError
from guidealign.labrador import train_labrador
from guidealign.registry import Registry
from guidealign.settings import LabradorSettings, load_settings

_AS_SET = "as-set"
_NEWEST = "newest"


def main() -> int:
    """Reads the parameters, trains, and writes what came out as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset-id", default=_NEWEST)
    parser.add_argument("--max-steps", default=_AS_SET)
    parser.add_argument("--learning-rate", default=_AS_SET)
    given = parser.parse_args()
    try:
        result = _train(given)
    except GuidealignError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _train(given: argparse.Namespace) -> dict[str, Any]:
    settings = load_settings()
    named = {"max_steps": given.max_steps, "learning_rate": given.learning_rate}
    changes = {name: value for name, value in named.items() if value != _AS_SET}
    try:
        labrador = LabradorSettings.model_validate({**settings.labrador.model_dump(), **changes})
        dataset_id = None if given.dataset_id == _NEWEST else int(given.dataset_id)
    except ValueError as error:
        raise ConfigurationError(f"a parameter is not a number that fits: {changes}") from error
    if settings.mlflow.tracking_uri is None:
        raise ConfigurationError("no MLflow server is configured: run `guidealign up`")
    result = train_labrador(
        engine=make_engine(settings.require_database_url()),
        settings=settings.model_copy(update={"labrador": labrador}),
        registry=Registry(settings.mlflow.tracking_uri),
        dataset_id=dataset_id,
    )
    return result.as_dict()


if __name__ == "__main__":
    raise SystemExit(main())
