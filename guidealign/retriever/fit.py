"""Training of the dual encoder: in-batch negatives (DPR, arXiv 2004.04906)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from guidealign.errors import BadInputError, IntegrityError
from guidealign.retriever.batches import TrainingPair, draw_pairs, false_negatives, lay_out
from guidealign.retriever.encode import TransformerEncoder
from guidealign.retriever.metrics import mean_recall
from guidealign.retriever.training_data import TrainingData
from guidealign.settings import RetrieverSettings
from guidealign.training import (
    ALONE,
    Checkpoint,
    Course,
    LogStep,
    Processes,
    Training,
    autocast,
    compute_device,
    compute_precision,
)

if TYPE_CHECKING:
    import torch


_PART = 24
"""Texts of a forward pass on a CPU: a batch in parts of like length is padded less. On two cores a
step of 64 texts took least in three parts."""
_PROBE_BATCHES = 2
_DEV_CUTOFF = 6
_WEIGHT_DECAY = 0.01


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
    target = torch.arange(len(scores), device=scores.device)
    to_guideline = torch.nn.functional.cross_entropy(scores, target)
    to_input = torch.nn.functional.cross_entropy(scores.T, target)
    return (to_guideline + to_input) / 2


def fit(
    encoder: TransformerEncoder,
    data: TrainingData,
    settings: RetrieverSettings,
    log_step: LogStep,
    *,
    checkpoint: Checkpoint | None = None,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Trains an encoder in place; the same seed gives the same weights, also after a kill.

    Uses a GPU where there is one, and computes in `settings.precision`; the encoder is on the CPU
    when this returns, with the weights of the epoch that found most for the dev inputs.

    Args:
        encoder: the base.
        data: what to learn from and to stop by.
        settings: of the training.
        log_step: told the figures of each step.
        checkpoint: of this training alone; it goes on behind the last epoch there.
        processes: that train together: all call this with the same base, data and settings, and
            end with the same weights; the first one reports and keeps checkpoints.

    Returns:
        loss of the same pairs before and after (`loss_first`, `loss_last`, in nats), steps,
        pairs, epochs, and the dev inputs' recall@6 where there are any.

    Raises:
        BadInputError: there are too few inputs for one batch, or too many processes.
        IntegrityError: the loss is not finite, or has not fallen.
    """
    _check_sizes(len(data.inputs), settings, processes)
    learning = _Learning(encoder, data, settings, processes)
    epoch_steps = len(data.inputs) // settings.batch_size
    steps = settings.epochs * epoch_steps
    course = Course(
        batches=chain.from_iterable(learning.batches(epoch) for epoch in range(settings.epochs)),
        add_gradient=learning.add_gradient,
        measure_before=lambda: {"loss": learning.probe_loss()},
        evaluate=learning.dev_recall if data.dev else None,
        evaluation="dev_recall_at_6",
        higher_is_better=True,
        steps=steps,
        evaluate_every=epoch_steps,
        patience=settings.patience,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup_ratio * steps),
        weight_decay=_WEIGHT_DECAY,
        seed=settings.seed,
    )
    # Without dropout a step takes a third less, and the encoder found no less.
    encoder.model.eval()
    with _on_device(encoder):
        done = Training(encoder.model, course, log_step, checkpoint, processes).run()
        before, after = done.before["loss"], learning.probe_loss()
    if not after < before:
        raise IntegrityError(
            f"training learned nothing: the loss of the same pairs was {before:.3f} before and is"
            f" {after:.3f}: check retriever.learning_rate and retriever.epochs"
        )
    figures = {
        "loss_first": before,
        "loss_last": after,
        "n_steps": float(done.step),
        "n_epochs": float(done.step // epoch_steps),
        "n_pairs": float(sum(len(item.guideline_ids) for item in data.inputs)),
        "n_dev_inputs": float(len(data.dev)),
    }
    return figures | ({} if done.best is None else {"dev_recall_at_6": done.best})


def _check_sizes(n_inputs: int, settings: RetrieverSettings, processes: Processes) -> None:
    if n_inputs < settings.batch_size:
        raise BadInputError(
            f"{n_inputs} inputs are fewer than a batch of {settings.batch_size}: author more"
            " inputs, or lower retriever.batch_size"
        )
    if processes.n > settings.batch_size:
        raise BadInputError(
            f"{processes.n} processes are more than a batch of {settings.batch_size} texts: start"
            " fewer, or raise retriever.batch_size"
        )


@dataclass(frozen=True)
class _Learning:
    """Batches, their loss, and what the encoder finds for the dev inputs."""

    encoder: TransformerEncoder
    data: TrainingData
    settings: RetrieverSettings
    processes: Processes

    def batches(self, epoch: int) -> Iterator[list[TrainingPair]]:
        """Of one epoch; what does not fill a batch is left out."""
        rng = random.Random(f"{self.settings.seed}:{epoch}")  # noqa: S311 - order, not secrecy
        pairs = draw_pairs(self.data, rng)
        size = self.settings.batch_size
        for start in range(0, len(pairs) - size + 1, size):
            yield pairs[start : start + size]

    def add_gradient(self, batch: Sequence[TrainingPair]) -> dict[str, float]:
        """Of the loss over the whole batch, whichever process did what of it."""
        loss = self._loss(batch)
        loss.backward()
        self.processes.sum_gradients(self.encoder.model.parameters())
        return {"loss": loss.item()}

    def probe_loss(self) -> float:
        """Mean loss of the same few batches, without learning from them.

        Two batches of a run differ by more than a short training changes: only the loss of the
        same pairs says whether anything was learned.
        """
        import torch

        with torch.inference_mode():
            losses = [self._loss(batch).item() for batch in islice(self.batches(0), _PROBE_BATCHES)]
        return sum(losses) / len(losses)

    def dev_recall(self) -> float:
        """Mean recall@6 of the dev inputs."""
        dev, guidelines = self.data.dev, self.data.guidelines
        ids = sorted(guidelines)
        queries = self.encoder.encode([item.text for item in dev], side="input")
        documents = self.encoder.encode([guidelines[i] for i in ids], side="guideline")
        # Of one process: rounding that differs must not have some stop and others go on.
        return self.processes.broadcast(mean_recall(queries @ documents.T, ids, dev, _DEV_CUTOFF))

    def _loss(self, batch: Sequence[TrainingPair]) -> torch.Tensor:
        import torch

        layout = lay_out(batch, self.data.guidelines, self.encoder.prefixes)
        own = self.processes.share_of(layout.texts)
        size = _PART if self.encoder.model.device.type == "cpu" else len(own)
        with autocast(compute_precision(self.settings.precision)):
            parts = [
                self.encoder.forward(own[start : start + size])
                for start in range(0, len(own), size)
            ]
        vectors = self.processes.gather(torch.cat(parts).float(), len(layout.texts))
        return masked_loss(
            vectors[layout.inputs],
            vectors[layout.guidelines],
            torch.tensor(false_negatives(batch), device=vectors.device),
            self.settings.temperature,
        )


@contextmanager
def _on_device(encoder: TransformerEncoder) -> Iterator[None]:
    """Moves an encoder to the GPU, where there is one, for the length of the block."""
    encoder.model.to(compute_device())
    try:
        yield
    finally:
        encoder.model.to("cpu")
