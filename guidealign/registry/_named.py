"""Experiments and models by their names, made where they are not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment of a name."""
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known:
        return str(known.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:  # somebody else has just made it
        made = client.get_experiment_by_name(name)
        if made is None:
            raise
        return str(made.experiment_id)


def ensure_model(client: MlflowClient, name: str) -> None:
    """Makes the registered model of a name."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            client.create_registered_model(name)
        except MlflowException as race:
            if race.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
