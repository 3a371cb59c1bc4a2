"""Loads a version of Labrador for scoring."""

from __future__ import annotations

from typing import Any

from guidealign.platform import find_base, load_files
from guidealign.records import LABRADOR_MODEL, UNTRAINED_VERSION
from guidealign.registry import Registry
from guidealign.settings import Settings
from guidealign.training import Precision


def load_model(
    version: int, *, settings: Settings, registry: Registry, precision: Precision = "float32"
) -> tuple[Any, Any]:
    """Model and tokenizer of a version (0: the untrained base), in evaluation mode.

    Args:
        version: of `guidealign-labrador`.
        settings: where the base is.
        registry: where the versions are.
        precision: of the weights in memory; the files hold fp32.

    Raises:
        ConfigurationError: the base named in the settings is not there.
        ServiceUnavailableError: the registry does not answer.
    """
    trained = version != UNTRAINED_VERSION
    folder = registry.download(LABRADOR_MODEL, version) if trained else find_base(settings).folder
    model, tokenizer = load_files(folder)
    return (model.bfloat16() if precision == "bfloat16" else model), tokenizer
