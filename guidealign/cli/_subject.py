"""The model that a command asks: an endpoint of the settings, or one given by its address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from guidealign.errors import BadInputError, ConfigurationError
from guidealign.records import LABRADOR_MODEL
from guidealign.settings import EndpointSettings, Settings

if TYPE_CHECKING:
    from guidealign.evaluation import BenchmarkSubject

REGISTERED = "labrador:"


def subject_of(
    model: str,
    services: dict[str, Any],
    base_url: str | None = None,
    api_key: str | None = None,
    served_as: str | None = None,
    *,
    guided: bool = False,
) -> BenchmarkSubject:
    """Whom to ask.

    Args:
        model: `base`, `safety`, `labrador` (the live one), `labrador:VERSION`, or a name.
        services: engine and settings.
        base_url: where it is served, with /v1; None: as the settings have it.
        api_key: for `base_url`.
        served_as: what the endpoint calls it; None: as it is named.
        guided: with the served release's guidelines in front.

    Raises:
        BadInputError: there is no such endpoint, or nothing is served that it needs.
        ConfigurationError: the endpoint has no address.
    """
    from guidealign.db import served_release
    from guidealign.evaluation import BenchmarkSubject

    settings: Settings = services["settings"]
    registered = model.startswith(REGISTERED)
    version = version_of(model) if registered else 0
    if base_url is not None:
        name = served_as or (LABRADOR_MODEL if registered else model)
        endpoint = EndpointSettings(
            base_url=base_url, api_key=SecretStr(api_key or "none"), model=name
        )
    elif model in {"base", f"{REGISTERED}0"}:
        endpoint = settings.base
    elif model == "safety":
        endpoint = settings.safety
    elif model == "labrador":
        endpoint, registered = settings.labrador_server, True
        version = served_release(services["engine"]).labrador_version
    else:
        raise BadInputError(
            f"{model} is no endpoint of the settings: say with --base-url where it is served"
        )
    if endpoint.base_url is None:
        raise ConfigurationError("that endpoint has no base_url: run `guidealign up` or set one")
    return BenchmarkSubject(
        endpoint=endpoint,
        name=LABRADOR_MODEL if registered else endpoint.model,
        version=version,
        release=served_release(services["engine"]) if guided else None,
    )


def require_name(model: str, settings: Settings) -> None:
    """Refuses what names no model by itself, of an endpoint that the settings do not have.

    Raises:
        BadInputError: it is an endpoint's name here, a pattern, or Labrador without a version.
    """
    from guidealign.guidance import is_pattern

    ours = {"base", "safety", "labrador", LABRADOR_MODEL, settings.labrador_server.model}
    if model in ours or is_pattern(model):
        raise BadInputError(
            f"with --base-url {model} does not say which model it is: give --model the name that"
            f" requests have, or {REGISTERED}VERSION"
        )


def version_of(model: str) -> int:
    """The number in `labrador:VERSION`.

    Raises:
        BadInputError: it is no version.
    """
    number = model.removeprefix(REGISTERED)
    if not model.startswith(REGISTERED) or not number.isdigit():
        raise BadInputError(f"{model} is no version: give labrador:0 for the base, labrador:1, ...")
    return int(number)


def registry_of(settings: Settings) -> Any:
    """MLflow's registry; None: there is no server."""
    from guidealign.db import PinnedVersions, make_engine
    from guidealign.registry import Registry

    if settings.mlflow.tracking_uri is None:
        return None
    pins = PinnedVersions(make_engine(settings.require_database_url()))
    return Registry.of(settings.mlflow, pins)
