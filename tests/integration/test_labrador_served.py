"""Labrador behind the embedded server: real weights, a real registry, releases that change."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.numpy import load_file, save_file
from sqlalchemy import Engine

from guidealign.errors import ConfigurationError, IntegrityError
from guidealign.labrador.adapter_gguf import write_adapter_gguf
from guidealign.labrador.served import Follower
from guidealign.platform import ModelServer
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from tests.fakes.mlflow_store import local_registry
from tests.fakes.policies import add_release
from tests.fakes.tiny_gguf import write_tiny_gguf
from tests.fakes.tiny_model import write_tiny_model
from tests.integration.promotion_fixture import empty_library, registered

KEY = "a-key"
PROMPT = "Be kind to all."
SAME = 2e-3
"""Of a log-likelihood: float32 in both, summed in another order."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder, width=64)
    write_tiny_gguf(folder, folder / "tiny.gguf")
    return folder


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every linear layer is changed, each in its own way."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), config)
    folder = tmp_path_factory.mktemp("package")
    model.save_pretrained(folder / "adapter", save_embedding_layers=False)
    return folder / "adapter"


@pytest.fixture
def server(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    monkeypatch.setenv("GUIDEALIGN_MODEL_API_KEY", KEY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ModelServer(
        gguf=tiny / "tiny.gguf", aliases=frozenset({LABRADOR_MODEL}), port=port, slots=1,
        context_tokens=128, threads=1,
    )  # fmt: skip


def _by_transformers(tiny: Path, adapter: Path | None) -> dict[int, float]:
    """Log-likelihoods of the token behind the prompt."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    tokens = AutoTokenizer.from_pretrained(tiny)(PROMPT, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = model(input_ids=tokens).logits[0, -1]
    return dict(enumerate(torch.log_softmax(logits, dim=0).tolist()))


def _by_server(tiny: Path, server: ModelServer) -> dict[int, float]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    asked = {
        "prompt": tokenizer(PROMPT)["input_ids"],
        "n_predict": 1,
        "n_probs": 20,
        # A byte that is no whole letter is told without likelihoods, which are those before this.
        "logit_bias": [[tokenizer.convert_tokens_to_ids("A"), 1_000]],
    }
    answer = _post(server, "/completion", asked)
    return {
        int(likely["id"]): float(likely["logprob"])
        for likely in answer["completion_probabilities"][0]["top_logprobs"]
    }


def _post(server: ModelServer, path: str, asked: dict[str, Any]) -> Any:
    answer = httpx.post(
        f"http://127.0.0.1:{server.port}{path}", json=asked, timeout=30,
        headers={"authorization": f"Bearer {KEY}"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer.json()


def _names(server: ModelServer) -> set[str]:
    answer = httpx.get(
        f"http://127.0.0.1:{server.port}/v1/models", headers={"authorization": f"Bearer {KEY}"}
    ).json()
    (model,) = answer["data"]
    return {model["id"], *model["aliases"]}


def _differs(one: dict[int, float], other: dict[int, float]) -> float:
    return max(abs(value - other[token]) for token, value in one.items())


def test_served_with_its_adapter_it_is_the_model_that_was_trained(
    tiny: Path, adapter: Path, server: ModelServer, tmp_path: Path
) -> None:
    write_adapter_gguf(adapter, server.gguf, tmp_path / "adapter.gguf")
    bare, adapted = _by_transformers(tiny, None), _by_transformers(tiny, adapter)
    assert _differs(bare, adapted) > 100 * SAME
    running = server.start()
    try:
        assert _differs(_by_server(tiny, server), bare) < SAME
    finally:
        del running
    running = ModelServer(**{**vars(server), "adapter": tmp_path / "adapter.gguf"}).start()
    try:
        assert _differs(_by_server(tiny, server), adapted) < SAME
    finally:
        del running


def test_an_adapter_that_does_not_fit_leaves_no_file(
    tiny: Path, adapter: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "adapter_config.json").write_text((adapter / "adapter_config.json").read_text())
    factors = load_file(adapter / "adapter_model.safetensors")
    name, factor = next(iter(factors.items()))
    save_file({name.replace(".0.", ".9."): factor}, wrong / "adapter_model.safetensors")
    with pytest.raises(IntegrityError, match=r"fits no weight of tiny\.gguf"):
        write_adapter_gguf(wrong, tiny / "tiny.gguf", tmp_path / "out" / "adapter.gguf")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_base_whose_weights_would_be_mixed_up_is_refused(tmp_path: Path, adapter: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "llama.gguf", "llama")
    writer.add_block_count(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ConfigurationError, match="llama cannot be served"):
        write_adapter_gguf(adapter, tmp_path / "llama.gguf", tmp_path / "adapter.gguf")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("GUIDEALIGN_HOME", str(tmp_path))
    with local_registry(tmp_path) as made:
        yield made


def _release(engine: Engine, labrador: int) -> None:
    empty_library(engine)
    with engine.begin() as connection:
        add_release(connection, labrador=labrador)


def test_it_follows_the_release_and_serves_on_where_it_cannot(
    engine: Engine, registry: Registry, server: ModelServer, tiny: Path, adapter: Path
) -> None:
    good = registered(registry, adapter.parent)
    broken = adapter.parent.parent / "broken"
    (broken / "adapter").mkdir(parents=True)
    (broken / "adapter" / "adapter_config.json").write_text(json.dumps({"lora_alpha": 1}))
    save_file({"other": load_file(adapter / "adapter_model.safetensors").popitem()[1]},
              broken / "adapter" / "adapter_model.safetensors")  # fmt: skip
    bad = registered(registry, broken)
    follower = Follower(engine, registry, server)
    bare, adapted = _by_transformers(tiny, None), _by_transformers(tiny, adapter)
    try:
        follower.follow()
        assert _names(server) == {LABRADOR_MODEL}
        assert _differs(_by_server(tiny, server), bare) < SAME
        _release(engine, good)
        follower.follow()
        assert _names(server) == {LABRADOR_MODEL, f"{LABRADOR_MODEL}-{good}"}
        assert _differs(_by_server(tiny, server), adapted) < SAME
        _release(engine, bad)
        follower.follow()
        assert f"{LABRADOR_MODEL}-{good}" in _names(server)
        _release(engine, 0)
        follower.follow()
        assert _differs(_by_server(tiny, server), bare) < SAME
    finally:
        follower.stop()


def test_a_first_version_that_cannot_be_served_leaves_the_base_under_its_own_name(
    engine: Engine, registry: Registry, server: ModelServer
) -> None:
    _release(engine, 7)
    follower = Follower(engine, registry, server)
    try:
        follower.follow()
        assert _names(server) == {LABRADOR_MODEL}
        assert follower.version == 0
    finally:
        follower.stop()
