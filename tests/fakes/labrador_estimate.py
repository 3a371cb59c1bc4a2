"""Estimates a training and then does it: `labrador_estimate.py FOLDER`; a line of JSON of both."""

from __future__ import annotations

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from guidealign.alignment import AlignedExample
from guidealign.labrador import peak_resident_gb
from guidealign.labrador.estimate import estimate_rows
from guidealign.labrador.examples import tokenize
from guidealign.labrador.loop import add_adapters, fit
from guidealign.platform import load_files
from guidealign.settings import LabradorSettings

SETTINGS = LabradorSettings(
    rank=8, learning_rate=1e-3, max_steps=8, batch_size=4, max_length=256, precision="float32",
    held_out_share=0.2, check_every=4,
)  # fmt: skip
EXAMPLES = [
    AlignedExample(input_id=i, prompt=f"Question {i} " * (1 + i % 8), response="Be kind. " * 8)
    for i in range(20)
]


def _estimated(folder: Path) -> dict[str, Any]:
    model, tokenizer = load_files(folder)
    rows = tokenize(EXAMPLES, tokenizer, max_length=256).rows
    del model
    return estimate_rows(folder, rows, SETTINGS).as_dict()


def main() -> None:
    folder = Path(sys.argv[1])
    # In a process of its own: what it leaves in memory is no part of the training's peak.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        estimate = pool.submit(_estimated, folder).result()
    model, tokenizer = load_files(folder)
    rows = tokenize(EXAMPLES, tokenizer, max_length=256).rows
    trained = fit(add_adapters(model, SETTINGS), rows, SETTINGS, lambda *_: None)
    told = {"estimate": estimate, "metrics": trained.metrics, "peak_gb": peak_resident_gb()}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
