"""A LoRA adapter as llama.cpp reads it: the served base stays one file for all versions."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from guidealign.errors import ConfigurationError, IntegrityError

_FACTOR = re.compile(r"base_model\.model\.(?P<weight>.+)\.lora_(?P<side>[AB])\.weight")
_ARCHITECTURES = ("qwen2", "qwen3", "gemma3")
"""Whose rows llama.cpp keeps in transformers' order; others' queries and keys are permuted."""


def write_adapter_gguf(adapter: Path, base: Path, target: Path) -> None:
    """Writes a PEFT adapter's factors under the names that llama.cpp gives to the base's weights.

    Args:
        adapter: folder with `adapter_config.json` and `adapter_model.safetensors`.
        base: GGUF file of the base it was trained on.
        target: the file to write, whole or not at all.

    Raises:
        ConfigurationError: the base's architecture is not one that this can name.
        IntegrityError: the adapter holds what no weight of the base fits.
    """
    import gguf
    from safetensors.numpy import load_file

    architecture, n_blocks = _kind_of(base)
    if architecture not in _ARCHITECTURES:
        raise ConfigurationError(
            f"an adapter for {architecture} cannot be served by the embedded server: serve the"
            " merged weights with vLLM"
        )
    kind = next(k for k, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(kind, n_blocks)
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    target.parent.mkdir(parents=True, exist_ok=True)
    number, staging = tempfile.mkstemp(prefix=".adapter-", dir=target.parent)
    os.close(number)
    try:
        writer = gguf.GGUFWriter(staging, architecture)
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
        for name, factor in sorted(load_file(adapter / "adapter_model.safetensors").items()):
            found = _FACTOR.fullmatch(name)
            weight = names.get_name(f"{found['weight']}.weight", (".weight",)) if found else None
            if found is None or weight is None:
                raise IntegrityError(f"the adapter's {name} fits no weight of {base.name}")
            writer.add_tensor(f"{weight}.lora_{found['side'].lower()}", factor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        Path(staging).replace(target)
    finally:
        Path(staging).unlink(missing_ok=True)


def _kind_of(base: Path) -> tuple[str, int]:
    """Architecture of a GGUF file and its number of layers."""
    import gguf

    reader = gguf.GGUFReader(base)
    field = reader.get_field("general.architecture")
    architecture = str(field.contents()) if field else "unknown"
    blocks = reader.get_field(f"{architecture}.block_count")
    return architecture, int(blocks.contents()) if blocks else 0
