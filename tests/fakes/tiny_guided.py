"""The tiny model after lessons of its own: guidelines in front change what it answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from guidealign.alignment import AlignedExample, Guideline
from tests.fakes.policies import policy
from tests.fakes.tiny_model import write_tiny_model

_STEPS = 100
_TAUGHT = 4
"""Inputs of which both answers are taught: the others are alike."""
_PLAIN, _GUIDED = "Yes.", "No, ask."
EXAMPLES = tuple(
    AlignedExample(
        input_id=number,
        prompt=f"Question {number}",
        response=_GUIDED,
        guidelines=(Guideline("Kind", "Be kind to all."),),
        policy=policy(preamble="Keep to these:"),
        known_safe=number % 4 == 0,
    )
    for number in range(12)
)
"""Every fourth is harmless."""


def write_guided_model(folder: Path) -> None:
    """Saves a model that answers "No, ask." with guidelines in front, and "Yes." without."""
    import torch

    from guidealign.labrador.examples import tokenize
    from guidealign.labrador.likelihood import answer_log_likelihoods
    from guidealign.platform import load_files

    write_tiny_model(folder)
    model, tokenizer = load_files(folder)
    plain = [replace(example, guidelines=(), response=_PLAIN) for example in EXAMPLES]
    rows = tokenize([*EXAMPLES[:_TAUGHT], *plain[:_TAUGHT]], tokenizer, max_length=256).rows
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(_STEPS):
        loss = -answer_log_likelihoods(model, rows).sum() / sum(row.n_learned for row in rows)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
