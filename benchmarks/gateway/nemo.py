"""NeMo Guardrails' server with the same library as its knowledge base.

The rail is its own retrieval: one embedding of the user's message, exact search over the
knowledge base, the nearest three chunks in the system message, one call of the model. Its default
engine, FastEmbed, runs the very ONNX file and tokenizer that the gateway serves with.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks._harness.peers import peer_folder, peer_python
from benchmarks._harness.servers import Server, free_port, running
from benchmarks._harness.stub import HOST, MODEL

_CONFIG_ID = "guidelines"
_ENCODER = "bench/encoder"
_GRAPH = "model.onnx"
# FastEmbed is told of the file, in which pooling is part of the graph. The server writes every step
# of every request to its output and cannot be told not to: without that it is several times faster.
_CONFIG_PY = f"""
import logging

from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

known = [model["model"] for model in TextEmbedding.list_supported_models()]
if "{_ENCODER}" not in known:
    TextEmbedding.add_custom_model(
        model="{_ENCODER}",
        pooling=PoolingType.DISABLED,
        normalization=False,
        sources=ModelSource(hf="{_ENCODER}"),
        dim=384,
        model_file="{_GRAPH}",
    )


def init(app):
    logging.getLogger("nemoguardrails").setLevel(logging.WARNING)
"""
_PROMPT = (
    "You are a helpful assistant. Keep to every guideline below that fits the request."
    "\n\n{{ relevant_chunks }}"
)


@contextmanager
def nemo(
    stub_url: str, library: Sequence[tuple[int, str, str]], encoder: Path
) -> Iterator[Server | None]:
    """The server in front of the stub; None where it cannot be installed.

    Args:
        stub_url: of the upstream.
        library: id, title and text of every guideline.
        encoder: folder with `model.onnx` and its tokenizer.
    """
    python = peer_python("nemo")
    if python is None:
        yield None
        return
    folder = peer_folder("nemo")
    _write_config(folder / "configs" / _CONFIG_ID, stub_url, library, _encoder(folder, encoder))
    port = free_port()
    command = [str(python.parent / "nemoguardrails"), "server", "--config", str(folder / "configs")]
    command += ["--port", str(port), "--default-config-id", _CONFIG_ID, "--disable-chat-ui"]
    env = {"OPENAI_API_KEY": "sk-bench", "DO_NOT_TRACK": "1"}
    base = f"http://{HOST}:{port}"
    with running("nemo", command, folder=folder, env=env, ready=f"{base}/healthz") as process:
        yield Server(name="NeMo Guardrails", base_url=f"{base}/v1", pid=process.pid)


def _encoder(folder: Path, source: Path) -> Path:
    """The encoder's folder as FastEmbed reads it."""
    target = folder / "encoder"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    tokens = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    for name, content in (
        ("config.json", {"pad_token_id": 0}),
        ("tokenizer_config.json", {"model_max_length": 256, **tokens}),
        ("special_tokens_map.json", tokens),
    ):
        (target / name).write_text(json.dumps(content), encoding="utf-8")
    return target


def _write_config(
    folder: Path, stub_url: str, library: Sequence[tuple[int, str, str]], encoder: Path
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "kb").mkdir(parents=True)
    provider = {
        "name": "default",
        "parameters": {
            "embedding_engine": "FastEmbed",
            "embedding_model": _ENCODER,
            "embedding_parameters": {"specific_model_path": str(encoder)},
            "use_batching": True,
        },
    }
    config = {
        "models": [
            {
                "type": "main",
                "engine": "openai",
                "model": MODEL,
                "parameters": {"base_url": stub_url},
            }
        ],
        "core": {"embedding_search_provider": provider},
        "knowledge_base": {"embedding_search_provider": provider},
        "prompts": [
            {
                "task": "general",
                "messages": [
                    {"type": "system", "content": _PROMPT},
                    "{{ history | to_chat_messages }}",
                ],
            }
        ],
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "config.py").write_text(_CONFIG_PY, encoding="utf-8")
    chunks = (f"# {title}\n\n{title}: {words}\n" for _, title, words in library)
    (folder / "kb" / "guidelines.md").write_text("\n".join(chunks), encoding="utf-8")
