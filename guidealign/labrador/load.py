"""Loads a version of Labrador for scoring."""

from __future__ import annotations

from typing import Any

from guidealign.labrador.base import find_base, load_files
from guidealign.records import LABRADOR_MODEL, UNTRAINED_VERSION
from guidealign.registry import Registry
from guidealign.settings import Settings


def load_model(version: int, *, settings: Settings, registry: Registry) -> tuple[Any, Any]:
    """Model and tokenizer of a version (0: the untrained base), fp32, in evaluation mode.

    Raises:
        ConfigurationError: the base named in the settings is not there.
        ServiceUnavailableError: the registry does not answer.
    """
    if version == UNTRAINED_VERSION:
        return load_files(find_base(settings).folder)
    return load_files(registry.download(LABRADOR_MODEL, version))
