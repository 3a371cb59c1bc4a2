"""What a dry run says, against the training itself: a model of 26 million weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guidealign.alignment import AlignedExample
from guidealign.labrador import estimate as estimating
from guidealign.labrador import peak_resident_gb
from guidealign.labrador.estimate import estimate_rows
from guidealign.labrador.examples import tokenize
from guidealign.labrador.loop import add_adapters
from guidealign.settings import LabradorSettings
from tests.fakes.tiny_model import write_tiny_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tests" / "fakes" / "labrador_estimate.py"
EXAMPLES = [AlignedExample(input_id=i, prompt="Q" * i, response="Be kind.") for i in range(8)]


def test_memory_is_estimated_near_what_the_training_takes(tmp_path: Path) -> None:
    """Rather too much than too little; how near the time comes, the benchmark tells."""
    write_tiny_model(tmp_path, width=512, layers=12)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    estimate = told["estimate"]
    assert estimate["fits"]
    assert 1 / 1.3 < estimate["memory_gb"] / told["peak_gb"] < 2
    assert estimate["train_seconds"] > estimate["steps"] * 1e-3


def test_parameters_are_counted_as_they_are_trained(
    tiny_folder: Path, tiny: tuple[Any, Any]
) -> None:
    settings = LabradorSettings(rank=4, max_steps=3, batch_size=2)
    rows = tokenize(EXAMPLES, tiny[1], max_length=96).rows
    told = estimate_rows(tiny_folder, rows, settings)
    weights = sum(p.numel() for p in tiny[0].parameters())
    adapted = add_adapters(tiny[0], settings)
    assert told.parameters == weights
    assert told.trained_parameters == sum(
        p.numel() for p in adapted.parameters() if p.requires_grad
    )
    assert (told.n_examples, told.steps) == (8, 3)


def test_what_does_not_fit_is_not_loaded(
    tiny_folder: Path, tiny: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(*_: object) -> None:
        raise AssertionError("the base was loaded")

    monkeypatch.setattr(estimating, "load_base", loads)
    monkeypatch.setattr(estimating, "_FLOAT_BYTES", 1e9)
    rows = tokenize(EXAMPLES, tiny[1], max_length=96).rows
    told = estimate_rows(tiny_folder, rows, LabradorSettings())
    assert not told.fits
    assert told.train_seconds is None


def test_a_large_parent_is_no_part_of_a_programs_peak() -> None:
    held = b"1" * 600_000_000
    script = "from guidealign.labrador import peak_resident_gb; print(peak_resident_gb())"
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert float(told.stdout) < 0.5 < peak_resident_gb()
    del held
