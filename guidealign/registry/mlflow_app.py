"""MLflow's server behind one log-in, with no place for artifacts but its own.

`mlflow server --app-name guidealign` runs it (the entry point group `mlflow.app`). MLflow's own
`basic-auth` app was not taken: docs/adr/0035 says why.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
)
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from guidealign.errors import ConfigurationError
from guidealign.settings import load_settings

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

_HEALTH = "/health"
_CREATE_EXPERIMENT = "/mlflow/experiments/create"
_RESOLVED_AGAIN = frozenset({"models", "runs", "mlflow-artifacts"})
"""Schemes that stand for a place that is looked up, and asked for by its own scheme then."""


def create_app() -> AuthenticationMiddleware:
    """The whole server as an ASGI app: what asks without the log-in reaches no route of it.

    Raises:
        ConfigurationError: no password is set.
    """
    login = load_settings().mlflow.login
    if login is None:
        raise ConfigurationError(
            "MLflow's server is not started without a log-in: set GUIDEALIGN_MLFLOW__PASSWORD"
        )
    from mlflow.server import ARTIFACTS_DESTINATION_ENV_VAR, app
    from mlflow.server.fastapi_app import create_fastapi_app

    own_places_only(os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR))
    _refuse_chosen_locations(app)
    return AuthenticationMiddleware(
        create_fastapi_app(app), backend=_OneLogin(*login), on_error=_ask_for_login
    )


class _OneLogin(AuthenticationBackend):
    """Basic authentication with the log-in of the installation; health alone is told to all."""

    def __init__(self, username: str, password: str) -> None:
        self._user = SimpleUser(username)
        self._expected = base64.b64encode(f"{username}:{password}".encode())

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        if conn.scope["path"] == _HEALTH:
            return None
        scheme, _, given = conn.headers.get("Authorization", "").partition(" ")
        is_known = hmac.compare_digest(given.strip().encode(), self._expected)
        if scheme.lower() != "basic" or not is_known:
            raise AuthenticationError
        return AuthCredentials(), self._user


def _ask_for_login(_conn: HTTPConnection, _error: Exception) -> Response:
    return PlainTextResponse(
        "Sign in: `guidealign up` prints the name and the password.\n",
        status_code=401,
        headers={"WWW-Authenticate": 'Basic realm="MLflow of guidealign", charset="UTF-8"'},
    )


def _refuse_chosen_locations(app: Any) -> None:
    """An experiment's artifacts go where the server's do.

    The request is read as MLflow's handler reads it, so that no other spelling gets past.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
    from mlflow.protos.service_pb2 import CreateExperiment
    from mlflow.server.handlers import _get_request_message, catch_mlflow_exception

    def refusing(view: Callable[[], Any]) -> Callable[[], Any]:
        @wraps(view)
        @catch_mlflow_exception
        def checked() -> Any:
            if _get_request_message(CreateExperiment()).artifact_location:
                raise MlflowException(
                    "artifact_location is the server's to choose: leave it out",
                    INVALID_PARAMETER_VALUE,
                )
            return view()

        return checked

    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.endswith(_CREATE_EXPERIMENT)]
    for endpoint in {rule.endpoint for rule in rules}:
        app.view_functions[endpoint] = refusing(app.view_functions[endpoint])


def own_places_only(destination: str | None) -> None:
    """From now on this process opens artifacts below the destination alone.

    Checked where a repository is made, whatever named the place: an experiment from before, a
    tag of a trace, the source of a version.

    Args:
        destination: URI or path of `--artifacts-destination`; None: no place at all.
    """
    from mlflow.store.artifact.artifact_repository_registry import (
        get_registered_artifact_repositories,
    )

    repositories = get_registered_artifact_repositories()
    for scheme, make in repositories.items():
        if scheme not in _RESOLVED_AGAIN:
            repositories[scheme] = partial(_checked, make, destination)


def _checked(
    make: Callable[..., ArtifactRepository], destination: str | None, uri: str, **given: Any
) -> ArtifactRepository:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    if destination is None or not is_within(uri, destination):
        raise MlflowException(
            "artifacts are kept in the server's own place alone", INVALID_PARAMETER_VALUE
        )
    return make(uri, **given)


def is_within(uri: str, destination: str) -> bool:
    """Whether a place is the destination or lies below it, links and `..` followed."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    if is_local_uri(uri) != is_local_uri(destination):
        return False
    if is_local_uri(uri):
        place, root = (Path(local_file_uri_to_path(one)).resolve() for one in (uri, destination))
        return place.is_relative_to(root)
    root_uri = destination.rstrip("/")
    is_plain = "%" not in uri and ".." not in uri.split("/") and not {"?", "#"} & set(uri)
    return is_plain and (uri.rstrip("/") == root_uri or uri.startswith(f"{root_uri}/"))
