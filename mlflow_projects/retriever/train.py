"""Trains the retriever from `mlflow run mlflow_projects/retriever`: the function the DAG calls."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from guidealign.db import make_engine
from guidealign.errors import ConfigurationError, GuidealignError
from guidealign.registry import Registry
from guidealign.retriever import train_challenger
from guidealign.settings import RetrieverSettings, load_settings

_AS_SET = "as-set"
_NEWEST = "newest"


def main() -> int:
    """Reads the parameters, trains, and writes what came out as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library-version", default=_NEWEST)
    parser.add_argument("--epochs", default=_AS_SET)
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
    named = {"epochs": given.epochs, "learning_rate": given.learning_rate}
    changes = {name: value for name, value in named.items() if value != _AS_SET}
    try:
        retriever = RetrieverSettings.model_validate({**settings.retriever.model_dump(), **changes})
        version = None if given.library_version == _NEWEST else int(given.library_version)
    except ValueError as error:
        raise ConfigurationError(f"a parameter is not a number that fits: {changes}") from error
    if settings.mlflow.tracking_uri is None:
        raise ConfigurationError("no MLflow server is configured: run `guidealign up`")
    result = train_challenger(
        engine=make_engine(settings.require_database_url()),
        settings=settings.model_copy(update={"retriever": retriever}),
        registry=Registry(settings.mlflow.tracking_uri),
        library_version=version,
    )
    return result.as_dict()


if __name__ == "__main__":
    raise SystemExit(main())
