"""Training of the dual encoder: in-batch negatives (DPR, arXiv 2004.04906)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidealign.errors import BadInputError, IntegrityError
from guidealign.precision import autocast, compute_device, compute_precision
from guidealign.retriever._checkpoint import Checkpoint
from guidealign.retriever._processes import Processes
from guidealign.retriever.batches import (
    TrainingPair,
    draw_pairs,
    false_negatives,
    lay_out,
)
from guidealign.retriever.encode import TransformerEncoder
from guidealign.retriever.metrics import mean_recall
from guidealign.retriever.training_data import TrainingData
from guidealign.settings import RetrieverSettings

if TYPE_CHECKING:
    import torch


_PART = 24
"""Texts of a forward pass on a CPU: a batch in parts of like length is padded less. On two cores a
step of 64 texts took least in three parts."""
_PROBE_BATCHES = 2
_DEV_CUTOFF = 6
_ALONE = Processes()
OnStep = Callable[[dict[str, float], int], None]


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
    on_step: OnStep,
    *,
    checkpoints: Path | None = None,
    processes: Processes = _ALONE,
) -> dict[str, float]:
    """Trains an encoder in place; the same seed gives the same weights, also after a kill.

    Uses a GPU where there is one, and computes in `settings.precision`; the encoder is on the CPU
    when this returns, with the weights of the epoch that found most for the dev inputs.

    Args:
        encoder: the base.
        data: what to learn from and to stop by.
        settings: of the training.
        on_step: told figures and the number of the step.
        checkpoints: a folder of this training alone; it goes on behind the last epoch there.
        processes: that train together: all call this with the same base, data and settings, and
            end with the same weights; the first one reports and keeps checkpoints.

    Returns:
        loss of the same pairs before and after (`loss_first`, `loss_last`, in nats), steps,
        pairs, epochs, and the dev inputs' recall@6 where there are any.

    Raises:
        BadInputError: there are too few inputs for one batch, or too many processes.
        IntegrityError: the loss is not finite, or has not fallen.
    """
    if len(data.inputs) < settings.batch_size:
        raise BadInputError(
            f"{len(data.inputs)} inputs are fewer than a batch of {settings.batch_size}: author"
            " more inputs, or lower retriever.batch_size"
        )
    if processes.n > settings.batch_size:
        raise BadInputError(
            f"{processes.n} processes are more than a batch of {settings.batch_size} texts: start"
            " fewer, or raise retriever.batch_size"
        )
    training = _Training(encoder, data, settings, on_step, processes)
    with _on_device(encoder):
        before = training.probe_loss()
        training.run(Checkpoint(checkpoints) if checkpoints else None)
        after = training.probe_loss()
    if not after < before:
        raise IntegrityError(
            f"training learned nothing: the loss of the same pairs was {before:.3f} before and is"
            f" {after:.3f}: check retriever.learning_rate and retriever.epochs"
        )
    figures = {
        "loss_first": before,
        "loss_last": after,
        "n_steps": float(training.n_steps),
        "n_epochs": float(training.n_epochs),
        "n_pairs": float(sum(len(item.guideline_ids) for item in data.inputs)),
        "n_dev_inputs": float(len(data.dev)),
    }
    return figures | ({"dev_recall_at_6": training.best_recall} if data.dev else {})


def _unheard(_figures: dict[str, float], _step: int) -> None:
    """What processes beside the first report."""


class _Training:
    """Epochs over a batch at a time, and which of them was the best."""

    def __init__(
        self,
        encoder: TransformerEncoder,
        data: TrainingData,
        settings: RetrieverSettings,
        on_step: OnStep,
        processes: Processes,
    ) -> None:
        import torch

        # Without dropout a step takes a third less, and the encoder found no less.
        encoder.model.eval()
        self._encoder, self._data, self._settings = encoder, data, settings
        self._on_step = on_step if processes.is_first else _unheard
        self._processes = processes
        self._precision = compute_precision(settings.precision)
        steps = settings.epochs * (len(data.inputs) // settings.batch_size)
        self._optimizer = torch.optim.AdamW(
            encoder.model.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True
        )
        warmup = max(1, round(settings.warmup_ratio * steps))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup)),
        )
        self.n_steps = self.n_epochs = 0
        self.best_recall, self._best_epoch = -1.0, 0
        self._best: dict[str, torch.Tensor] = {}
        """Of the epoch that the dev inputs gained most by; empty without any."""

    def run(self, checkpoint: Checkpoint | None) -> None:
        """Trains to the end, or until the dev inputs gain no more."""
        state = self._processes.told(checkpoint.load() if checkpoint else None)
        if state is not None:
            self._load(state)
        while self.n_epochs < self._settings.epochs and not self._is_over():
            self._epoch()
            self._judge()
            if checkpoint is not None and self._processes.is_first:
                checkpoint.save(self._state())
        if self._best:
            self._encoder.model.load_state_dict(self._best)

    def probe_loss(self) -> float:
        """Mean loss of the same few batches, without learning from them.

        Two batches of a run differ by more than a short training changes: only the loss of the
        same pairs says whether anything was learned.
        """
        import torch

        with torch.inference_mode():
            losses = [
                self._loss(batch).item() for batch in islice(self._batches(0), _PROBE_BATCHES)
            ]
        return sum(losses) / len(losses)

    def _epoch(self) -> None:
        import torch

        for batch in self._batches(self.n_epochs):
            step_loss = self._loss(batch)
            step_loss.backward()
            loss = step_loss.item()
            if not math.isfinite(loss):
                raise IntegrityError(
                    f"the loss of step {self.n_steps} is not finite: lower the learning rate"
                )
            self._processes.add_up_gradients(self._encoder.model.parameters())
            torch.nn.utils.clip_grad_norm_(self._encoder.model.parameters(), 1.0)
            self._optimizer.step()
            self._schedule.step()
            self._optimizer.zero_grad()
            self._on_step({"loss": loss}, self.n_steps)
            self.n_steps += 1
        self.n_epochs += 1

    def _judge(self) -> None:
        """Keeps the weights if the dev inputs find more than ever."""
        dev, guidelines = self._data.dev, self._data.guidelines
        if not dev:
            return
        ids = sorted(guidelines)
        queries = self._encoder.encode([item.text for item in dev], side="input")
        documents = self._encoder.encode([guidelines[i] for i in ids], side="guideline")
        # Of one process: rounding that differs must not have some stop and others go on.
        recall = self._processes.told(mean_recall(queries @ documents.T, ids, dev, _DEV_CUTOFF))
        self._on_step({"dev_recall_at_6": recall}, self.n_steps - 1)
        if recall > self.best_recall:
            self.best_recall, self._best_epoch = recall, self.n_epochs
            state = self._encoder.model.state_dict()
            self._best = {name: value.detach().clone() for name, value in state.items()}

    def _is_over(self) -> bool:
        waited = self.n_epochs - self._best_epoch
        return bool(self._data.dev) and waited >= self._settings.patience and self.n_epochs > 0

    def _loss(self, batch: Sequence[TrainingPair]) -> torch.Tensor:
        import torch

        layout = lay_out(batch, self._data.guidelines, self._encoder.prefixes)
        own = self._processes.share_of(layout.texts)
        size = _PART if self._encoder.model.device.type == "cpu" else len(own)
        with autocast(self._precision):
            parts = [
                self._encoder.forward(own[start : start + size])
                for start in range(0, len(own), size)
            ]
        vectors = self._processes.gather(torch.cat(parts).float(), len(layout.texts))
        return masked_loss(
            vectors[layout.inputs],
            vectors[layout.guidelines],
            torch.tensor(false_negatives(batch), device=vectors.device),
            self._settings.temperature,
        )

    def _batches(self, epoch: int) -> Iterator[list[TrainingPair]]:
        rng = random.Random(f"{self._settings.seed}:{epoch}")  # noqa: S311 - order, not secrecy
        pairs = draw_pairs(self._data, rng)
        size = self._settings.batch_size
        for start in range(0, len(pairs) - size + 1, size):
            yield pairs[start : start + size]

    def _state(self) -> dict[str, Any]:
        return {
            "model": self._encoder.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": {"last_epoch": self._schedule.last_epoch},
            "counts": [self.n_steps, self.n_epochs, self._best_epoch],
            "best_recall": self.best_recall,
            "best": self._best,
        }

    def _load(self, state: dict[str, Any]) -> None:
        self._encoder.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.last_epoch = state["schedule"]["last_epoch"]
        self.n_steps, self.n_epochs, self._best_epoch = state["counts"]
        self.best_recall, self._best = state["best_recall"], state["best"]


@contextmanager
def _on_device(encoder: TransformerEncoder) -> Iterator[None]:
    """Moves an encoder to the GPU, where there is one, for the length of the block."""
    encoder.model.to(compute_device())
    try:
        yield
    finally:
        encoder.model.to("cpu")
