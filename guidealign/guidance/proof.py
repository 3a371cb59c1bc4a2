"""Guidelines are put in front of a model for which the policy is proven, or vouched for.

A request to any other model is looked up and recorded, and goes on unchanged.
"""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

from guidealign.guidance.model import Found
from guidealign.records import LABRADOR_MODEL, UNTRAINED_VERSION, Release
from guidealign.settings import Settings


def guided_model(name: str, *, settings: Settings, labrador_version: int) -> str:
    """The name under which guidance is proven for a model that a request names.

    Each version of Labrador is a model of its own, `guidealign-labrador@2`; version 0 is the model
    that it is made from, under that one's name. Every other model is what its upstream calls it.

    Args:
        name: as the upstream is asked for it.
        settings: sections `labrador`, `labrador_server` and `platform`.
        labrador_version: of the release.
    """
    if name != settings.labrador_server.model:
        return name
    if labrador_version == UNTRAINED_VERSION:
        return _labrador_base(settings)
    return f"{LABRADOR_MODEL}@{labrador_version}"


def _labrador_base(settings: Settings) -> str:
    from guidealign.platform import PACKAGES

    wanted = settings.labrador
    if wanted.base_model is not None:
        return wanted.base_model
    chosen = wanted.base_gguf or settings.platform.base_gguf
    # As the embedded server names it, which follows links.
    return chosen.expanduser().resolve().stem if chosen else Path(PACKAGES["base"].file).stem


def is_guided(found: Found, name: str, settings: Settings) -> bool:
    """Whether what was found is put in front of a model.

    Args:
        found: under the release, or the candidate, that answers.
        name: as the upstream is asked for it.
        settings: of the installation.
    """
    if settings.serve.unproven == "inject":
        return True
    version = found.release.labrador_version
    return guided_model(name, settings=settings, labrador_version=version) in found.proven_for


def unproven_models(
    release: Release, proven_for: Collection[str], settings: Settings
) -> tuple[str, ...]:
    """Of the models behind the gateway, those that a policy is not proven or vouched for.

    An upstream for any model of a pattern counts as one, `*`, until one that fits it is proven.

    Args:
        release: of whose version Labrador is.
        proven_for: by the policy that is asked about.
        settings: of the installation.
    """
    version = release.labrador_version
    named = [
        guided_model(name, settings=settings, labrador_version=version)
        for name in _served_names(settings)
    ]
    # A version of Labrador is no name that a request has, and other versions answer none.
    asked_as = [model for model in proven_for if not model.startswith(f"{LABRADOR_MODEL}@")]
    labrador = settings.labrador_server.model
    if guided_model(labrador, settings=settings, labrador_version=version) in proven_for:
        asked_as.append(labrador)
    return tuple(
        name
        for name in dict.fromkeys(named)
        if name not in proven_for and not any(fnmatchcase(model, name) for model in asked_as)
    )


def is_pattern(name: str) -> bool:
    """Whether it stands for models of many names."""
    return bool(set("*?[") & set(name))


def _served_names(settings: Settings) -> list[str]:
    upstreams = settings.serve.upstreams
    if upstreams:
        return [name for one in upstreams for name in ([one.model] if one.model else one.models)]
    own = (settings.base, settings.safety, settings.labrador_server)
    return [endpoint.model for endpoint in own if endpoint.base_url]
