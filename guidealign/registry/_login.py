"""Signing in to an MLflow server from MLflow's own client.

The client knows one log-in for a process, in the environment, and sends it to every server. Here
each server gets its own, and no other server sees it.
"""

from __future__ import annotations

import base64
import os
from functools import cache
from typing import Any

import httpx

Login = tuple[str, str]
"""Name and password."""
PROVIDER = "guidealign"
"""Our name among the client's providers of authentication."""
PROVIDER_VARIABLE = "MLFLOW_TRACKING_AUTH"
_headers: dict[str, str] = {}
"""Server to the header that signs a request to it."""


def sign_in(tracking_uri: str, login: Login) -> None:
    """From now on MLflow's client in this process signs in to that server.

    A provider that a person chose (MLFLOW_TRACKING_AUTH) stays.
    """
    given = base64.b64encode(":".join(login).encode()).decode()
    _headers[_plain(tracking_uri)] = f"Basic {given}"
    _register()
    os.environ.setdefault(PROVIDER_VARIABLE, PROVIDER)


def _plain(address: str) -> str:
    """An address in one form: the host in small letters, no usual port."""
    return str(httpx.URL(address)).rstrip("/")


@cache
def _register() -> None:
    from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider
    from mlflow.tracking.request_auth.registry import _request_auth_provider_registry

    class Provider(RequestAuthProvider):
        def get_name(self) -> str:
            return PROVIDER

        def get_auth(self) -> Any:
            return _sign

    _request_auth_provider_registry.register(Provider)


def _sign(request: Any) -> Any:
    """For requests: the header of the server that is asked, and none for any other."""
    asked = _plain(request.url or "")
    for server, header in _headers.items():
        if asked.startswith(f"{server}/"):
            request.headers["Authorization"] = header
    return request
