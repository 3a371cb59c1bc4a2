"""Training on a base in 4 bits: what is kept is the base in full with the adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guidealign.alignment import AlignedExample
from guidealign.errors import ConfigurationError
from guidealign.labrador import quantized
from guidealign.labrador.estimate import estimate_rows
from guidealign.labrador.examples import Row, tokenize
from guidealign.labrador.loop import add_adapters, fit
from guidealign.labrador.quantized import load_base, on_full_weights
from guidealign.platform import load_files
from guidealign.settings import LabradorSettings

pytestmark = pytest.mark.slow

SETTINGS = LabradorSettings(
    rank=4, learning_rate=1e-2, max_steps=6, batch_size=2, precision="float32", quantization="nf4",
    held_out_share=0.2, check_every=2,
)  # fmt: skip
EXAMPLES = [
    AlignedExample(input_id=i, prompt=f"Question {i}", response="Be kind.") for i in range(10)
]


@pytest.fixture
def rows(tiny: tuple[Any, Any]) -> tuple[Row, ...]:
    return tokenize(EXAMPLES, tiny[1], max_length=96).rows


def test_adapters_learned_on_four_bits_go_onto_the_base_in_full(
    tiny_folder: Path, rows: tuple[Row, ...]
) -> None:
    import torch

    base, _ = load_base(tiny_folder, SETTINGS)
    packed = base.model.layers[0].mlp.up_proj.weight
    assert packed.dtype == torch.uint8
    assert packed.numel() == base.config.intermediate_size * base.config.hidden_size // 2
    trained = fit(add_adapters(base, SETTINGS), rows, SETTINGS, lambda *_: None)
    assert trained.metrics["probe_loss_after"] < trained.metrics["probe_loss_before"] - 0.1

    full = on_full_weights(trained.model, tiny_folder)
    layer = full.base_model.model.model.layers[0].mlp.up_proj
    stored = load_files(tiny_folder)[0].model.layers[0].mlp.up_proj.weight
    assert torch.equal(layer.base_layer.weight, stored)
    learned = layer.get_delta_weight("default").detach()
    assert float(learned.abs().max()) > 1e-3
    merged = full.merge_and_unload().model.layers[0].mlp.up_proj.weight
    assert torch.allclose(merged, stored + learned, atol=1e-6)


def test_a_dry_run_measures_on_four_bits(tiny_folder: Path, rows: tuple[Row, ...]) -> None:
    told = estimate_rows(tiny_folder, rows, SETTINGS)
    assert told.fits
    assert told.train_seconds


def test_without_bitsandbytes_it_says_what_to_install(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'guidealign\[nf4\]'"):
        load_base(tiny_folder, SETTINGS)
