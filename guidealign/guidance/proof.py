"""For which model guidance is proven: how models are named, and which ones are served here."""

from __future__ import annotations

from pathlib import Path

from guidealign.records import LABRADOR_MODEL, UNTRAINED_VERSION
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
