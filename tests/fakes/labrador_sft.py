"""A fine-tuning of the tiny model that can be killed: `labrador_sft.py FOLDER CHECKPOINTS PAUSE`.

Prints the step after each one, and at the end a line of JSON with its figures.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from guidealign.alignment import AlignedExample
from guidealign.labrador.base import load_files
from guidealign.labrador.examples import tokenize
from guidealign.labrador.loop import add_adapters, fit
from guidealign.settings import LabradorSettings
from guidealign.training import Checkpoint

SETTINGS = LabradorSettings(
    rank=4, learning_rate=1e-2, max_steps=12, batch_size=2, dropout=0.1, check_every=2,
    held_out_share=0.2, precision="float32",
)  # fmt: skip
EXAMPLES = [
    AlignedExample(input_id=i, prompt=f"Question {i}", response=f"Answer {i * 7 % 5}, be kind.")
    for i in range(12)
]


def main() -> None:
    folder, checkpoints, pause_s = sys.argv[1:]
    model, tokenizer = load_files(Path(folder))
    curve: dict[int, dict[str, float]] = {}

    def log_step(figures: dict[str, float], step: int) -> None:
        curve.setdefault(step, {}).update(figures)
        sys.stdout.write(f"{step}\n")
        sys.stdout.flush()
        time.sleep(float(pause_s))

    trained = fit(
        add_adapters(model, SETTINGS),
        tokenize(EXAMPLES, tokenizer, max_length=96).rows,
        SETTINGS,
        log_step,
        checkpoint=Checkpoint(Path(checkpoints)),
    )
    losses = [curve[step]["loss"] for step in sorted(curve)]
    sys.stdout.write(json.dumps({"losses": losses, "metrics": trained.metrics}) + "\n")


if __name__ == "__main__":
    main()
