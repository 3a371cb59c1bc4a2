"""A training that can be killed: `labrador_sft.py FOLDER CHECKPOINTS PAUSE [TEACHER]`.

Prints the step after each one, and at the end a line of JSON with its figures. With a teacher it
learns on-policy.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from guidealign.alignment import AlignedExample
from guidealign.labrador.examples import tokenize
from guidealign.labrador.lessons import tokenize_lessons
from guidealign.labrador.loop import add_adapters, fit
from guidealign.labrador.on_policy import fit_on_policy
from guidealign.platform import load_files
from guidealign.settings import LabradorSettings
from guidealign.training import Checkpoint
from tests.fakes.tiny_guided import EXAMPLES as GUIDED

SETTINGS = LabradorSettings(
    rank=4, learning_rate=1e-2, max_steps=12, batch_size=2, dropout=0.1, check_every=2,
    held_out_share=0.2, precision="float32",
)  # fmt: skip
EXAMPLES = [
    AlignedExample(input_id=i, prompt=f"Question {i}", response=f"Answer {i * 7 % 5}, be kind.")
    for i in range(12)
]


def main() -> None:
    folder, checkpoints, pause_s, *teacher = sys.argv[1:]
    model, tokenizer = load_files(Path(folder))
    curve: dict[int, dict[str, float]] = {}

    def log_step(figures: dict[str, float], step: int) -> None:
        curve.setdefault(step, {}).update(figures)
        sys.stdout.write(f"{step}\n")
        sys.stdout.flush()
        time.sleep(float(pause_s))

    checkpoint = Checkpoint(Path(checkpoints))
    if teacher:
        own = {"objective": "on_policy", "rollout_tokens": 8, "teacher": teacher[0]}
        settings = SETTINGS.model_copy(update=own)
        lessons = tokenize_lessons(GUIDED, tokenizer, settings)
        adapted = add_adapters(model, settings)
        trained = fit_on_policy(adapted, lessons, settings, log_step, checkpoint=checkpoint)
    else:
        rows = tokenize(EXAMPLES, tokenizer, max_length=96).rows
        adapted = add_adapters(model, SETTINGS)
        trained = fit(adapted, rows, SETTINGS, log_step, checkpoint=checkpoint)
    losses = [curve[step]["loss"] for step in sorted(curve)]
    sys.stdout.write(json.dumps({"losses": losses, "metrics": trained.metrics}) + "\n")


if __name__ == "__main__":
    main()
