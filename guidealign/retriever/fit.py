"""Training of the dual encoder with in-batch negatives (DPR, arXiv 2004.04906)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from guidealign.errors import BadInputError, IntegrityError
from guidealign.retriever.encode import TransformerEncoder
from guidealign.retriever.model import LabelledInput
from guidealign.settings import RetrieverSettings

if TYPE_CHECKING:
    import torch


_PROBE_BATCHES = 4


@dataclass(frozen=True)
class TrainingPair:
    """One input with one of its guidelines; `known` are all of its guidelines."""

    text: str
    guideline_id: int
    known: frozenset[int]


def draw_pairs(inputs: Sequence[LabelledInput], rng: random.Random) -> list[TrainingPair]:
    """Each input once, with one of its guidelines drawn, in a drawn order.

    Over the epochs an input meets its other guidelines too; within a batch it stands once, so
    that fewer columns are wasted on false negatives.
    """
    pairs = [
        TrainingPair(item.text, rng.choice(item.guideline_ids), frozenset(item.guideline_ids))
        for item in inputs
    ]
    rng.shuffle(pairs)
    return pairs


def false_negatives(batch: Sequence[TrainingPair]) -> list[list[bool]]:
    """Which in-batch guidelines are no negatives of a row's input, (batch, batch).

    Another guideline of the same input, or the same guideline in another row, is right too;
    the row's own positive stays.
    """
    return [
        [row != column and other.guideline_id in pair.known for column, other in enumerate(batch)]
        for row, pair in enumerate(batch)
    ]


def masked_loss(
    inputs: torch.Tensor, guidelines: torch.Tensor, mask: torch.Tensor, temperature: float
) -> torch.Tensor:
    """InfoNCE over the batch with false negatives left out, both ways; a scalar in nats.

    Args:
        inputs: L2-normalised, (batch, dimensions).
        guidelines: L2-normalised, (batch, dimensions); row i is the positive of input i.
        mask: true where a guideline is no negative, (batch, batch).
        temperature: divides the similarities.
    """
    import torch

    scores = inputs @ guidelines.T / temperature  # (batch, batch)
    scores = scores.masked_fill(mask, float("-inf"))
    target = torch.arange(len(scores))
    to_guideline = torch.nn.functional.cross_entropy(scores, target)
    to_input = torch.nn.functional.cross_entropy(scores.T, target)
    return (to_guideline + to_input) / 2


def fit(
    encoder: TransformerEncoder,
    inputs: Sequence[LabelledInput],
    guidelines: Mapping[int, str],
    settings: RetrieverSettings,
    on_step: Callable[[dict[str, float], int], None],
) -> dict[str, float]:
    """Trains an encoder in place; the same seed gives the same weights.

    Returns:
        loss of the same pairs before and after (`loss_first`, `loss_last`, in nats), steps,
        pairs.

    Raises:
        BadInputError: there are too few inputs for one batch.
        IntegrityError: the loss is not finite, or has not fallen.
    """
    import torch

    if len(inputs) < settings.batch_size:
        raise BadInputError(
            f"{len(inputs)} inputs are fewer than a batch of {settings.batch_size}: author more"
            " inputs, or lower retriever.batch_size"
        )
    torch.manual_seed(settings.seed)
    steps = settings.epochs * (len(inputs) // settings.batch_size)
    optimizer = torch.optim.AdamW(
        encoder.model.parameters(), lr=settings.learning_rate, weight_decay=0.01
    )
    warmup = max(1, round(settings.warmup_ratio * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup)),
    )
    probe = list(islice(_batches(inputs, settings), _PROBE_BATCHES))
    before = _loss_of(encoder, probe, guidelines, settings)
    encoder.model.train()
    for step, batch in enumerate(_batches(inputs, settings)):
        loss = _batch_loss(encoder, batch, guidelines, settings)
        if not torch.isfinite(loss):
            raise IntegrityError(f"the loss of step {step} is not finite: lower the learning rate")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        on_step({"loss": loss.item()}, step)
    after = _loss_of(encoder, probe, guidelines, settings)
    if not after < before:
        raise IntegrityError(
            f"training learned nothing: the loss of the same pairs was {before:.3f} before and is"
            f" {after:.3f}: check retriever.learning_rate and retriever.epochs"
        )
    return {
        "loss_first": before,
        "loss_last": after,
        "n_steps": float(steps),
        "n_pairs": float(sum(len(item.guideline_ids) for item in inputs)),
    }


def _batch_loss(
    encoder: TransformerEncoder,
    batch: Sequence[TrainingPair],
    guidelines: Mapping[int, str],
    settings: RetrieverSettings,
) -> torch.Tensor:
    import torch

    left = encoder.forward([pair.text for pair in batch])
    right = encoder.forward([guidelines[pair.guideline_id] for pair in batch])
    mask = torch.tensor(false_negatives(batch))
    return masked_loss(left, right, mask, settings.temperature)


def _loss_of(
    encoder: TransformerEncoder,
    batches: Sequence[Sequence[TrainingPair]],
    guidelines: Mapping[int, str],
    settings: RetrieverSettings,
) -> float:
    """Mean loss of batches, without learning from them; the model is left in evaluation mode.

    Two batches of a run differ by more than a short training changes: only the loss of the same
    pairs says whether anything was learned.
    """
    import torch

    encoder.model.eval()
    with torch.inference_mode():
        losses = [_batch_loss(encoder, batch, guidelines, settings).item() for batch in batches]
    return sum(losses) / len(losses)


def _batches(
    inputs: Sequence[LabelledInput], settings: RetrieverSettings
) -> Iterator[list[TrainingPair]]:
    rng = random.Random(settings.seed)  # noqa: S311 - order, not secrecy
    size = settings.batch_size
    for _ in range(settings.epochs):
        pairs = draw_pairs(inputs, rng)
        for start in range(0, len(pairs) - size + 1, size):
            yield pairs[start : start + size]
