"""Training of the dual encoder with in-batch negatives (DPR, arXiv 2004.04906)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guidealign.errors import BadInputError, IntegrityError
from guidealign.retriever.encode import TransformerEncoder
from guidealign.retriever.model import LabelledInput
from guidealign.settings import RetrieverSettings

if TYPE_CHECKING:
    import torch


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
        first and last loss (means over a tenth of the steps, in nats), steps, pairs.

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
    encoder.model.train()
    losses: list[float] = []
    for step, batch in enumerate(_batches(inputs, settings)):
        left = encoder.forward([pair.text for pair in batch])
        right = encoder.forward([guidelines[pair.guideline_id] for pair in batch])
        mask = torch.tensor(false_negatives(batch))
        loss = masked_loss(left, right, mask, settings.temperature)
        if not torch.isfinite(loss):
            raise IntegrityError(f"the loss of step {step} is not finite: lower the learning rate")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        on_step({"loss": losses[-1]}, step)
    encoder.model.eval()
    return _summary(losses, sum(len(item.guideline_ids) for item in inputs))


def _batches(
    inputs: Sequence[LabelledInput], settings: RetrieverSettings
) -> Iterator[list[TrainingPair]]:
    rng = random.Random(settings.seed)  # noqa: S311 - order, not secrecy
    size = settings.batch_size
    for _ in range(settings.epochs):
        pairs = draw_pairs(inputs, rng)
        for start in range(0, len(pairs) - size + 1, size):
            yield pairs[start : start + size]


def _summary(losses: list[float], n_pairs: int) -> dict[str, float]:
    tenth = max(1, len(losses) // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    if len(losses) >= 10 and last >= first:
        raise IntegrityError(
            f"training learned nothing: loss {first:.3f} at first, {last:.3f} last"
        )
    return {
        "loss_first": first,
        "loss_last": last,
        "n_steps": float(len(losses)),
        "n_pairs": float(n_pairs),
    }
