"""Under which names guidance is proven for the models that requests name."""

from __future__ import annotations

from pathlib import Path

import pytest

from guidealign.guidance import guided_model, unproven_models
from guidealign.platform import PACKAGES
from guidealign.settings import (
    EndpointSettings,
    LabradorSettings,
    PlatformSettings,
    ServeSettings,
    Settings,
    UpstreamSettings,
)
from tests.fakes.policies import release

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


def test_models_behind_the_gateway_are_unproven_until_they_are_proven() -> None:
    here = "http://here"
    behind = [
        UpstreamSettings(base_url=here, models=["small", "guidealign-labrador"]),
        UpstreamSettings(base_url=here, models=["gpt-*"]),
        UpstreamSettings(base_url=here, models=["any", "other"], model="large"),
    ]
    settings = Settings(serve=ServeSettings(upstreams=behind))

    def unproven(*proven: str) -> tuple[str, ...]:
        return unproven_models(release(labrador_version=2), proven, settings)

    assert unproven() == ("small", "guidealign-labrador@2", "gpt-*", "large")
    assert unproven("guidealign-labrador@1", "any", "small") == (
        "guidealign-labrador@2", "gpt-*", "large",
    )  # fmt: skip
    assert unproven("small", "guidealign-labrador@2", "gpt-5", "large") == ()
    # Of Labrador the live version answers under a pattern, and no other does.
    any_ = Settings(serve=ServeSettings(upstreams=[UpstreamSettings(base_url=here)]))
    live = release(labrador_version=2)
    assert unproven_models(live, ("guidealign-labrador@1",), any_) == ("*",)
    assert unproven_models(live, ("guidealign-labrador@2",), any_) == ()
    own = Settings(base=EndpointSettings(model="b", base_url=here), safety=EndpointSettings())
    assert unproven_models(release(), (), own) == ("b",)
