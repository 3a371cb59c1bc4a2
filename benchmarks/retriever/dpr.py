"""The paper's recipe for its retriever, as a peer: two towers, DPR's loss, its learning rate."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guidealign.guidance import Side
from guidealign.retriever.encode import TransformerEncoder
from guidealign.retriever.model import LabelledInput

_BATCH = 32
_LEARNING_RATE = 1e-5
_EPOCHS = 10
_WARMUP_SHARE = 0.1
"""The paper's 1,000 steps are more than all steps on so few pairs."""


@dataclass(frozen=True)
class Towers:
    """An encoder for each side."""

    inputs: TransformerEncoder
    guidelines: TransformerEncoder

    def encode(self, texts: Sequence[str], *, side: Side) -> NDArray[np.float32]:
        """Vectors, (len(texts), dimensions), not normalised: DPR compares by inner product."""
        import torch

        tower = self.inputs if side == "input" else self.guidelines
        tower.model.eval()
        with torch.inference_mode():
            parts = [_forward(tower, list(texts[i : i + 64])) for i in range(0, len(texts), 64)]
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def train_dpr(
    base: TransformerEncoder, train: Sequence[LabelledInput], guidelines: dict[int, str], seed: int
) -> Towers:
    """The paper's retriever (arXiv 2403.11838): DPR (arXiv 2004.04906) on (input, guideline) pairs.

    Batch 32, in-batch negatives and one other a pair, 10 epochs, learning rate 1e-5 with linear
    warm-up and decay. Every pair is seen in every epoch; what else is right for an input counts
    as its negative, as there.
    """
    import torch

    towers = Towers(copy.deepcopy(base), copy.deepcopy(base))
    parameters = [*towers.inputs.model.parameters(), *towers.guidelines.model.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE)
    pairs = [(item, guideline) for item in train for guideline in item.guideline_ids]
    steps = _EPOCHS * (len(pairs) // _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    rng = random.Random(seed)  # noqa: S311 - order, not secrecy
    torch.manual_seed(seed)
    ids = sorted(guidelines)
    for _ in range(_EPOCHS):
        rng.shuffle(pairs)
        towers.inputs.model.train()
        towers.guidelines.model.train()
        for start in range(0, len(pairs) - _BATCH + 1, _BATCH):
            batch = pairs[start : start + _BATCH]
            others = [_other(item, ids, rng) for item, _ in batch]
            texts = [guidelines[g] for _, g in batch] + [guidelines[g] for g in others]
            left = _forward(towers.inputs, [item.text for item, _ in batch])
            scores = left @ _forward(towers.guidelines, texts).T  # (32, 64)
            torch.nn.functional.cross_entropy(scores, torch.arange(len(batch))).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 2.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return towers


def _other(item: LabelledInput, ids: Sequence[int], rng: random.Random) -> int:
    while (guideline := rng.choice(ids)) in item.guideline_ids:
        pass
    return guideline


def _forward(tower: TransformerEncoder, texts: list[str]) -> Any:
    """Mean-pooled, which the base was made for, where DPR takes BERT's first token."""
    batch = tower.tokenizer(
        texts, padding=True, truncation=True, max_length=512, return_tensors="pt"
    )
    hidden = tower.model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def _rate(step: int, steps: int) -> float:
    warmup = max(1, round(_WARMUP_SHARE * steps))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
