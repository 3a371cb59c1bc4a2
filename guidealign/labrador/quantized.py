"""A base in 4 bits while adapters are trained on it (QLoRA, arXiv 2305.14314)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from guidealign.errors import ConfigurationError
from guidealign.platform import load_files
from guidealign.settings import LabradorSettings
from guidealign.training import compute_device, compute_precision

NF4_BYTES = (4 + 0.127) / 8
"""Of a weight: 4 bits and its share of the blocks' constants, which are quantised too (the paper's
section 3)."""


def load_base(folder: Path, settings: LabradorSettings) -> tuple[Any, Any]:
    """Model and tokenizer to train on: fp32, or with linear layers in 4 bits where that is set.

    Raises:
        ConfigurationError: the folder holds no causal language model, or bitsandbytes is missing.
    """
    if settings.quantization == "none":
        return load_files(folder)
    if find_spec("bitsandbytes") is None:
        raise ConfigurationError(
            "LABRADOR__QUANTIZATION=nf4 needs bitsandbytes: pip install 'guidealign[nf4]'"
        )
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, compute_precision(settings.precision)),
    )
    model, tokenizer = load_files(
        folder, quantization_config=config, device_map={"": compute_device()}
    )
    for module in model.modules():
        # With AVX512-BF16, a pass without gradients would repack the weights for inference for
        # good, and no gradient goes through them any more.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model, tokenizer


def on_full_weights(trained: Any, folder: Path) -> Any:
    """The trained adapters on the base as it is stored: what is merged, and what is served.

    Merged into 4-bit weights they would be rounded with them.
    """
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    adapters = {name: w.cpu() for name, w in get_peft_model_state_dict(trained).items()}
    full = get_peft_model(load_files(folder)[0], trained.peft_config["default"])
    set_peft_model_state_dict(full, adapters)
    return full.eval()
