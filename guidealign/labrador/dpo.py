"""Direct preference optimisation: the guided answer is to gain on the unguided one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guidealign.errors import IntegrityError
from guidealign.labrador.examples import RowPair, batches, split_by_tokens, split_held_out
from guidealign.labrador.likelihood import answer_log_likelihoods, free_cores
from guidealign.labrador.loop import LAST_RATE_SHARE, WARMUP_SHARE
from guidealign.settings import LabradorSettings
from guidealign.training import (
    Checkpoint,
    Course,
    LogStep,
    Training,
    autocast,
    compute_precision,
)

if TYPE_CHECKING:
    import torch

PREFIX = "dpo/"
_PROBE_PAIRS = 4


def fit_preferences(
    model: Any,
    pairs: Sequence[RowPair],
    settings: LabradorSettings,
    log_step: LogStep,
    *,
    checkpoint: Checkpoint | None = None,
) -> dict[str, float]:
    """Trains the adapters on pairs, with DPO (arXiv 2305.18290), and checks that they learned.

    The reference is the model as it comes, after what it learned from answers alone. What it
    finds likely is taken once before the first step, so that no second model is in memory.

    Args:
        model: with adapters that have learned from answers.
        pairs: a share of them is held out.
        settings: `dpo_beta`, `dpo_learning_rate`, `dpo_steps`, and the batch, which counts
            answers: half as many pairs.
        log_step: told the figures of each step, named `dpo/...`.
        checkpoint: of this training alone: one that was killed goes on there.

    Raises:
        IntegrityError: a loss is not finite, or the better answers did not gain on the worse.
    """
    learned, held_out = split_held_out(pairs, share=settings.held_out_share, seed=settings.seed)
    preferring = _Preferring(model, settings)
    probe = learned[:_PROBE_PAIRS]
    size = max(1, settings.batch_size // 2)
    steps = settings.dpo_steps
    course = Course(
        batches=batches(learned, size=size, steps=steps, seed=settings.seed),
        add_gradient=preferring.add_gradient,
        measure_before=lambda: preferring.mean(probe),
        evaluate=(lambda: preferring.mean(held_out)["loss"]) if held_out else None,
        steps=steps,
        evaluate_every=settings.check_every,
        patience=settings.patience,
        learning_rate=settings.dpo_learning_rate,
        warmup_steps=math.ceil(WARMUP_SHARE * steps),
        last_rate_share=LAST_RATE_SHARE,
        seed=settings.seed,
        prefix=PREFIX,
    )
    with free_cores():
        preferring.take_references(pairs)
        done = Training(model, course, log_step, checkpoint).run()
        after = preferring.mean(probe)
    metrics = {
        "probe_margin_before": done.before["reward_margin"],
        "probe_margin_after": after["reward_margin"],
        "probe_loss_before": done.before["loss"],
        "probe_loss_after": after["loss"],
        "steps": float(done.step),
        "train_seconds": done.seconds,
        "n_pairs": float(len(learned)),
        "n_held_out": float(len(held_out)),
    }
    check_preferred(metrics)
    return {PREFIX + name: value for name, value in metrics.items()}


def check_preferred(metrics: dict[str, float]) -> None:
    """Refuses a training that went wrong.

    Raises:
        IntegrityError: a figure is not finite, or the margin of rewards has not risen.
    """
    before, after = metrics["probe_margin_before"], metrics["probe_margin_after"]
    if not all(math.isfinite(value) for value in metrics.values()):
        raise IntegrityError(
            "preferences diverged (a figure is not finite): lower LABRADOR__DPO_LEARNING_RATE"
        )
    if after <= before:
        raise IntegrityError(
            f"preferences were not learned: the margin of rewards went from {before:.4f} to"
            f" {after:.4f}: change LABRADOR__DPO_LEARNING_RATE or LABRADOR__DPO_STEPS"
        )


@dataclass(frozen=True)
class _Likelihoods:
    """Of the answers of some pairs, (pairs,) each."""

    chosen: torch.Tensor
    rejected: torch.Tensor

    @property
    def margin(self) -> torch.Tensor:
        """By how much the better answers are likelier, (pairs,)."""
        return self.chosen - self.rejected


class _Preferring:
    """The loss over a model, and what its reference finds likely."""

    def __init__(self, model: Any, settings: LabradorSettings) -> None:
        self._model = model
        self._beta = settings.dpo_beta
        self._pass_tokens = settings.pass_tokens
        self._precision = compute_precision(settings.precision)
        self._references: dict[RowPair, float] = {}

    def take_references(self, pairs: Sequence[RowPair]) -> None:
        """Keeps how much likelier the model as it is finds each better answer."""
        import torch

        self._model.eval()
        with torch.inference_mode():
            for part in split_by_tokens(pairs, self._pass_tokens):
                margins = self._likelihoods(part).margin.tolist()
                self._references.update(zip(part, margins, strict=True))

    def add_gradient(self, batch: Sequence[RowPair]) -> dict[str, float]:
        """Adds the gradient of the batch's mean loss, a part at a time."""
        self._model.train()
        figures: dict[str, float] = {}
        for part in split_by_tokens(batch, self._pass_tokens):
            rewards = self._rewards(part)
            (_loss(rewards).sum() / len(batch)).backward()
            _add(figures, rewards.detach(), len(batch))
            del rewards  # as in `loop.gradient_of`
        n_tokens = sum(p.chosen.n_tokens + p.rejected.n_tokens for p in batch)
        return {**figures, "tokens": float(n_tokens)}

    def mean(self, pairs: Sequence[RowPair]) -> dict[str, float]:
        """Loss, margin of rewards and share of pairs in the right order, without dropout."""
        import torch

        self._model.eval()
        figures: dict[str, float] = {}
        with torch.inference_mode():
            for part in split_by_tokens(pairs, self._pass_tokens):
                _add(figures, self._rewards(part), len(pairs))
        return figures

    def _rewards(self, part: Sequence[RowPair]) -> torch.Tensor:
        """The margins of the implicit rewards, (pairs,)."""
        import torch

        reference = torch.tensor([self._references[pair] for pair in part])  # (pairs,)
        return self._beta * (self._likelihoods(part).margin - reference)

    def _likelihoods(self, part: Sequence[RowPair]) -> _Likelihoods:
        rows = [pair.chosen for pair in part] + [pair.rejected for pair in part]
        with autocast(self._precision):
            found = answer_log_likelihoods(self._model, rows)  # (2 * pairs,)
        return _Likelihoods(found[: len(part)], found[len(part) :])


def _loss(rewards: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood that the better answers win, (pairs,)."""
    import torch

    return -torch.nn.functional.logsigmoid(rewards)


def _add(figures: dict[str, float], rewards: torch.Tensor, n: int) -> None:
    """Adds a part's share to means over n pairs."""
    sums = {
        "loss": _loss(rewards).sum(),
        "reward_margin": rewards.sum(),
        "reward_accuracy": (rewards > 0).sum(),
    }
    for name, value in sums.items():
        figures[name] = figures.get(name, 0.0) + float(value) / n
