"""Estimates a training and then does it: `labrador_estimate.py FOLDER`; a line of JSON of both."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from guidealign.alignment import AlignedExample
from guidealign.labrador.base import load_files
from guidealign.labrador.estimate import estimate_rows
from guidealign.labrador.examples import tokenize
from guidealign.labrador.loop import add_adapters, fit
from guidealign.settings import LabradorSettings

SETTINGS = LabradorSettings(
    rank=8, learning_rate=1e-3, max_steps=8, batch_size=4, max_length=256, precision="float32",
    held_out_share=0.2, check_every=4,
)  # fmt: skip
EXAMPLES = [
    AlignedExample(input_id=i, prompt=f"Question {i} " * (1 + i % 8), response="Be kind. " * 8)
    for i in range(20)
]


def main() -> None:
    folder = Path(sys.argv[1])
    model, tokenizer = load_files(folder)
    rows = tokenize(EXAMPLES, tokenizer, max_length=256).rows
    del model
    estimate = estimate_rows(folder, rows, SETTINGS)
    model, _ = load_files(folder)
    trained = fit(add_adapters(model, SETTINGS), rows, SETTINGS, lambda *_: None)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    told = {"estimate": estimate.as_dict(), "metrics": trained.metrics, "peak_gb": peak_gb}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
