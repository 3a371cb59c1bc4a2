"""Under which names guidance is proven for the models that requests name."""

from __future__ import annotations

from pathlib import Path

import pytest

from guidealign.guidance import guided_model
from guidealign.platform import PACKAGES
from guidealign.settings import EndpointSettings, LabradorSettings, PlatformSettings, Settings

_BUNDLED = Path(PACKAGES["base"].file).stem


@pytest.mark.parametrize(
    ("name", "version", "settings", "expected"),
    [
        ("gpt", 3, Settings(), "gpt"),
        ("guidealign-labrador", 3, Settings(), "guidealign-labrador@3"),
        # Of another file than the endpoint `base` serves: what holds for that one is not its.
        ("guidealign-labrador", 0, Settings(base=EndpointSettings(model="gpt")), _BUNDLED),
        ("guidealign-labrador", 0,
         Settings(platform=PlatformSettings(base_gguf=Path("/m/own.gguf"))), "own"),
        ("guidealign-labrador", 0,
         Settings(labrador=LabradorSettings(base_gguf=Path("/m/its.gguf"))), "its"),
        ("guidealign-labrador", 0,
         Settings(labrador=LabradorSettings(base_model="org/model")), "org/model"),
        ("ours", 2, Settings(labrador_server=EndpointSettings(model="ours")),
         "guidealign-labrador@2"),
    ],
)  # fmt: skip
def test_a_version_of_labrador_is_a_model_of_its_own(
    name: str, version: int, settings: Settings, expected: str
) -> None:
    assert guided_model(name, settings=settings, labrador_version=version) == expected
