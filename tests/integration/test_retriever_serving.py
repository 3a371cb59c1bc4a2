"""What serves a retriever version: registered with it, found without MLflow, made when it lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from guidealign.errors import ConfigurationError, IntegrityError
from guidealign.guidance import TopicThresholds
from guidealign.library import install_starter
from guidealign.records import RETRIEVER_MODEL
from guidealign.registry import Registry
from guidealign.retriever import (
    ServingEncoder,
    load_serving_encoder,
    prepare_base,
    train_challenger,
)
from guidealign.retriever._cache import exported_base
from guidealign.retriever.encode import load_folder
from guidealign.retriever.model import Prefixes
from guidealign.settings import PlatformSettings, RetrieverSettings, Settings
from tests.fakes.mlflow_store import local_registry
from tests.fakes.tiny_encoder import WIDTH, write_tiny_encoder

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["how many otters live in spring", "where do moths live near roads", "b"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A tiny random base, and a cache of the test's own."""
    base = tmp_path / "base"
    write_tiny_encoder(base)
    return Settings(
        retriever=RetrieverSettings(
            base_model=str(base), epochs=2, batch_size=8, max_length=48, learning_rate=1e-3
        ),
        platform=PlatformSettings(cache=tmp_path / "cache"),
    )


def _starter(folder: Path) -> Path:
    folder.mkdir()
    for category, unsafe, start in (
        ("Insult", "true", "mock"),
        ("Physical_Harm", "true", "hurt"),
        ("Quality_Coding", "false", "write code about"),
    ):
        lines = [f"category: {category}", "authors: tests", "license: Apache-2.0", "guidelines:"]
        lines.append(f'  - {{id: g, title: About {start}, text: "Mind what {category} asks for."}}')
        lines.append("inputs:")
        for i in range(48):
            word = "".join(chr(97 + (i * step) % 26) for step in (1, 3, 5, 7, 11, 17))
            lines.append(f'  - {{text: "{start} {word} {i}", unsafe: {unsafe}, guidelines: [g]}}')
        (folder / f"{category}.yaml").write_text("\n".join(lines) + "\n")
    return folder


def _loads_alone(code: str) -> set[str]:
    """The top-level modules of a fresh process that ran the code."""
    code += "\nimport sys; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_a_trained_version_carries_what_serves_it(
    engine: Engine, tmp_path: Path, settings: Settings
) -> None:
    install_starter(engine=engine, settings=settings, folder=_starter(tmp_path / "starter"))
    with local_registry(tmp_path) as registry:
        trained = train_challenger(engine=engine, settings=settings, registry=registry)
        encoder = load_serving_encoder(trained.version, settings=settings, registry=registry)
        folder = registry.local_copy(RETRIEVER_MODEL, trained.version)
        tags = registry.version_tags(RETRIEVER_MODEL, trained.version)
    assert folder is not None
    vectors = encoder.encode(TEXTS, side="input")
    exact = load_folder(folder, max_length=48).encode(TEXTS, side="input")
    if encoder.form == "float32":
        np.testing.assert_allclose(vectors, exact, atol=1e-5)
    assert (vectors * exact).sum(axis=1).min() > 0.97

    assert tags["serving_form"] == encoder.form
    assert trained.metrics["serving/float32/recall_at_6"] <= 1
    # 96 unsafe inputs, a quarter held out by cluster: enough for a 95% recall.
    thresholds = encoder.thresholds
    assert thresholds.cosine == trained.metrics["abstention/cosine/threshold"]
    assert thresholds.risk == trained.metrics["abstention/risk/threshold"]
    assert (tags["threshold"], tags["topic_rule"]) == (f"{thresholds.cosine:.4f}", thresholds.rule)
    assert tags["abstention_target"] in {"reached", "not reached"}
    assert thresholds.probe is not None
    assert thresholds.probe.risk(vectors).shape == (len(TEXTS),)
    card = (folder / "README.md").read_text()
    assert f"Form: **{encoder.form}**" in card
    assert "| probability that the input is unsafe |" in card

    # MLflow knows what goes in and comes out, and loads it by itself.
    import mlflow
    import pandas as pd

    loaded = mlflow.pyfunc.load_model(str(folder))
    assert loaded.metadata.signature.inputs.input_names() == ["text"]
    assert loaded.metadata.signature.outputs.inputs[0].shape == (-1, WIDTH)
    example = json.loads((folder / "input_example.json").read_text())
    given = loaded.predict(pd.DataFrame(**example))
    assert given.shape == (len(example["data"]), WIDTH)
    np.testing.assert_allclose(
        loaded.predict(pd.DataFrame({"text": TEXTS})),
        encoder.encode(TEXTS, side="input"),
        atol=1e-6,
    )

    # A gateway starts from the copy here: no MLflow, no torch.
    modules = _loads_alone(
        "from guidealign.registry import Registry\n"
        "from guidealign.retriever import load_serving_encoder\n"
        "from guidealign.settings import Settings\n"
        f"registry = Registry({registry.tracking_uri!r})\n"
        f"parts = {{'settings': Settings(), 'registry': registry}}\n"
        f"encoder = load_serving_encoder({trained.version}, **parts)\n"
        "assert encoder.encode(['a'], side='input').shape[0] == 1"
    )
    assert not {"torch", "transformers", "mlflow"} & modules


def test_each_side_is_read_with_its_prefix(
    engine: Engine, tmp_path: Path, settings: Settings
) -> None:
    settings.retriever.input_prefix = "query: "
    install_starter(engine=engine, settings=settings, folder=_starter(tmp_path / "starter"))
    with local_registry(tmp_path) as registry:
        parts = {"engine": engine, "settings": settings, "registry": registry}
        version = train_challenger(**parts).version
        folder = registry.local_copy(RETRIEVER_MODEL, version)
        served = load_serving_encoder(version, settings=settings, registry=registry)
        untrained = load_serving_encoder(0, settings=settings, registry=registry)
    assert folder is not None
    # What trained and what serves read the same, also where nobody knows the settings any more.
    assert load_folder(folder, max_length=48).prefixes == Prefixes("query: ", "")
    for encoder in (served, untrained):
        read = [f"query: {words}" for words in TEXTS]
        np.testing.assert_allclose(
            encoder.encode(TEXTS, side="input"), encoder.encode(read, side="guideline"), atol=1e-6
        )
        apart = encoder.encode(TEXTS, side="guideline") - encoder.encode(TEXTS, side="input")
        assert np.abs(apart).max() > 1e-3


def _register_plain(registry: Registry, base: str, tmp_path: Path) -> int:
    """As versions were before there was a serving form."""
    folder = tmp_path / "plain"
    encoder = load_folder(base, max_length=48)
    encoder.model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    with registry.run("test", "t", tags={}) as run:
        return registry.register(RETRIEVER_MODEL, folder, run, tags={}, description="test")


def test_a_version_without_one_is_exported_once_by_another_process(
    tmp_path: Path, settings: Settings
) -> None:
    base = settings.retriever.base_model
    with local_registry(tmp_path) as registry:
        version = _register_plain(registry, base, tmp_path)
        prepare_base(settings)
        encoder = load_serving_encoder(version, settings=settings, registry=registry)
        # The base is the same files: what is exported for one is found for the other.
        (export,) = (tmp_path / "cache" / "encoders").glob("[!.]*")
        made = (export / "model.onnx").stat().st_mtime_ns
        untrained = load_serving_encoder(0, settings=settings, registry=registry)
        assert (export / "model.onnx").stat().st_mtime_ns == made
    assert (encoder.form, encoder.thresholds) == ("float32", TopicThresholds())
    exact = load_folder(base, max_length=48).encode(TEXTS, side="input")
    for found in (encoder, untrained):
        np.testing.assert_allclose(found.encode(TEXTS, side="input"), exact, atol=1e-5)

    # What is damaged in a cache is made again.
    (export / "model.onnx").write_bytes(b"cut off")
    assert exported_base(base, cache=export.parent, max_length=48) == export
    assert ServingEncoder(export).dimensions == WIDTH


def test_a_damaged_copy_of_a_version_is_refused(tmp_path: Path, settings: Settings) -> None:
    with local_registry(tmp_path) as registry:
        version = _register_plain(registry, settings.retriever.base_model, tmp_path)
        copy = registry.local_copy(RETRIEVER_MODEL, version)
        assert copy is not None
        (copy / "config.json").unlink()
        (copy / "config.json").write_text("{}")
        with pytest.raises(IntegrityError, match=r"config\.json is missing or differs"):
            load_serving_encoder(version, settings=settings, registry=registry)
        # From the server it comes whole again.
        registry.fetch(RETRIEVER_MODEL, version)
        assert registry.local_copy(RETRIEVER_MODEL, version) is not None


def test_what_cannot_be_exported_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="could not be exported"):
        exported_base(str(folder), cache=tmp_path / "cache", max_length=48)
    assert not list((tmp_path / "cache").glob("[!.]*"))
