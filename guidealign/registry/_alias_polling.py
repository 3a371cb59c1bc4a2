"""Asking the registry without its client: for event loops that wait for many things."""

from __future__ import annotations

from http import HTTPStatus

import httpx

from guidealign.errors import ConfigurationError, ServiceUnavailableError
from guidealign.registry._aliases import ALIAS_PATH, NO_ALIAS, REFUSED, version_in
from guidealign.registry._login import Login

_TIMEOUT_S = 10.0


async def poll_alias_version(
    tracking_uri: str, model_name: str, alias: str, *, login: Login | None = None
) -> int | None:
    """The version an alias points to, over MLflow's REST API; None where there is none.

    It imports nothing of MLflow and blocks no event loop.

    Args:
        tracking_uri: of the server.
        model_name: registered there.
        alias: of one of its versions.
        login: name and password, where the server asks for them.

    Raises:
        ConfigurationError: the registry is not a server, or refuses the log-in.
        ServiceUnavailableError: it does not answer, or with an error of its own.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"an alias can be waited for on an MLflow server, not in {tracking_uri.split(':')[0]}:"
            " set GUIDEALIGN_MLFLOW__TRACKING_URI to its address"
        )
    path = tracking_uri.rstrip("/") + ALIAS_PATH
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, auth=login) as client:
            answer = await client.get(path, params={"name": model_name, "alias": alias})
    except httpx.HTTPError as error:
        raise ServiceUnavailableError(
            f"MLflow at {tracking_uri} does not answer: {type(error).__name__}"
        ) from error
    if answer.status_code in NO_ALIAS:
        return None
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise ConfigurationError(REFUSED.format(uri=tracking_uri))
    if answer.status_code != HTTPStatus.OK:
        raise ServiceUnavailableError(f"MLflow at {tracking_uri} answers {answer.status_code}")
    return version_in(answer.json())
