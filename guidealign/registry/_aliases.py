"""Aliases over MLflow's REST API, without its client.

Importing the client takes a processor some two seconds; whoever rolls back under load waits for
them. Alias routes are part of the public API (mlflow.org, REST API, "Set Registered Model Alias").
"""

from __future__ import annotations

import os
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from guidealign.errors import BadInputError, PermanentError, ServiceUnavailableError
from guidealign.registry._login import PROVIDER, PROVIDER_VARIABLE, Login

_TIMEOUT_S = 120.0
_RETRIES = 2
ALIAS_PATH = "/api/2.0/mlflow/registered-models/alias"
NO_ALIAS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST})
"""A model that is not there is 404, an alias that is not there 400."""
REFUSED = "MLflow at {uri} refuses the log-in: set GUIDEALIGN_MLFLOW__PASSWORD to its password"
_SIGNED_IN = ("AWS_SIGV4", "CLIENT_CERT_PATH", "INSECURE_TLS", "PASSWORD",
              "SERVER_CERT_PATH", "TOKEN", "USERNAME")  # fmt: skip


def knows_rest(tracking_uri: str, login: Login | None) -> bool:
    """Whether it is a server that asks for our log-in, or for neither name nor certificate.

    Any other log-in, and what is encrypted, goes by MLflow's own client and its many settings.
    """
    if not tracking_uri.startswith("http://"):
        return False
    if login is not None:
        return True
    signs_in = os.environ.get(PROVIDER_VARIABLE, PROVIDER) != PROVIDER or any(
        f"MLFLOW_TRACKING_{name}" in os.environ for name in _SIGNED_IN
    )
    return not signs_in and not (Path.home() / ".mlflow" / "credentials").exists()


def version_in(answered: dict[str, Any]) -> int:
    """The version that an answer about an alias names."""
    return int(answered["model_version"]["version"])


class RestAliases:
    """The aliases of one server's registered models."""

    def __init__(self, tracking_uri: str, login: Login | None = None) -> None:
        self._uri = tracking_uri.rstrip("/")
        self._login = login

    @cached_property
    def _client(self) -> httpx.Client:
        """Made by the first question: most that have a registry ask no alias."""
        transport = httpx.HTTPTransport(retries=_RETRIES)
        return httpx.Client(timeout=_TIMEOUT_S, transport=transport, auth=self._login)

    def version(self, model_name: str, alias: str) -> int | None:
        """What an alias points to; None where there is none."""
        answer = self._ask("GET", params={"name": model_name, "alias": alias})
        if answer.status_code in NO_ALIAS:
            return None
        return version_in(self._read(answer))

    def point(self, model_name: str, alias: str, version: int) -> None:
        """Sets or moves an alias.

        Raises:
            BadInputError: there is no such version.
        """
        asked = {"name": model_name, "alias": alias, "version": str(version)}
        self._read(self._ask("POST", json=asked))

    def remove(self, model_name: str, alias: str) -> None:
        """Takes an alias away; none is fine."""
        self._read(self._ask("DELETE", json={"name": model_name, "alias": alias}))

    def _ask(self, method: str, **given: Any) -> httpx.Response:
        try:
            return self._client.request(method, self._uri + ALIAS_PATH, **given)
        except httpx.HTTPError as error:
            raise self._away() from error

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_success:
            read: dict[str, Any] = answer.json()
            return read
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise BadInputError(f"MLflow does not know it: {_said(answer)}"[:300])
        if answer.is_server_error or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise self._away()
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise PermanentError(REFUSED.format(uri=self._uri))
        raise PermanentError(f"MLflow refused: {_said(answer)}"[:300])

    def _away(self) -> ServiceUnavailableError:
        return ServiceUnavailableError(
            f"MLflow at {self._uri} does not answer: run `guidealign up`"
        )


def _said(answer: httpx.Response) -> str:
    """The message of an error; all of it where it is none of MLflow's."""
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text
