"""Prompts in a real MLflow store: each text once, under the version that results carry."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from guidealign.authoring import register_prompts
from tests.fakes.mlflow_store import local_registry


def test_the_packaged_prompts_are_registered_once(tmp_path: Path) -> None:
    with local_registry(tmp_path) as registry:
        first = register_prompts(registry)
        assert register_prompts(registry) == first
        client = MlflowClient(registry.tracking_uri)
        kept = client.get_prompt_version("guidealign-safety", 1)
        assert kept is not None
        assert "=== system" in str(kept.template)
        assert kept.tags["guidealign_version"] in first
        assert {name.rsplit("-", 1)[0] for name in first} == {"safety", "quality", "screen"}
        assert set(first.values()) == {1}


def test_another_text_is_another_version_and_an_old_one_keeps_its_number(tmp_path: Path) -> None:
    with local_registry(tmp_path) as registry:
        numbers = [
            registry.register_prompt("guidealign-safety", text, version=version)
            for text, version in (
                ("say {{ x }}", "safety-1"),
                ("tell {{ x }}", "safety-2"),
                ("say {{ x }}", "safety-1"),
            )
        ]
        assert numbers == [1, 2, 1]
        client = MlflowClient(registry.tracking_uri)
        second = client.get_prompt_version("guidealign-safety", 2)
        assert second is not None
        assert (second.template, second.tags["guidealign_version"]) == ("tell {{ x }}", "safety-2")
