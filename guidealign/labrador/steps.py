"""Steps of a training: gradient, schedule, a checkpoint now and then, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import structlog

from guidealign.errors import IntegrityError
from guidealign.retriever import Checkpoint, Processes
from guidealign.settings import LabradorSettings

_WARMUP_SHARE = 0.1
_CLIP_NORM = 1.0
_ALONE = Processes()

LogStep = Callable[[dict[str, float], int], None]

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a training goes through."""

    batches: Iterator[Sequence[Any]]
    """One a step, the same ones in every process."""
    add_gradient: Callable[[Sequence[Any]], dict[str, float]]
    """Leaves a batch's gradient with the weights; gives its `loss`, `tokens` and more."""
    held_out_loss: Callable[[], float] | None
    """The same in every process. None: nothing is held out, and every step is made."""
    measure_before: Callable[[], dict[str, float]]
    """What is compared with after the last step; taken once, also if the training is killed; the
    same in every process."""
    steps: int
    learning_rate: float
    prefix: str = ""
    """Of the names of the step's figures."""


@dataclass
class Progress:
    """Where a training stands."""

    before: dict[str, float]
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    """The figures of each step, (step,)."""
    best_loss: float = math.inf
    best_step: int = 0
    n_worse: int = 0
    """Looks since the best."""
    stopped: bool = False


class Training:
    """One course over the weights of a model that take a gradient.

    Args:
        model: with adapters.
        course: what it goes through.
        settings: for the seed and the looks.
        log_step: told the figures of each step; those of a training that goes on, again.
        checkpoint: of this course alone; None: a killed training begins anew.
        processes: that make each step together; the first one logs, looks and keeps.
    """

    def __init__(
        self,
        model: Any,
        course: Course,
        settings: LabradorSettings,
        log_step: LogStep,
        checkpoint: Checkpoint | None = None,
        processes: Processes = _ALONE,
    ) -> None:
        import torch

        self._model = model
        self._course = course
        self._settings = settings
        self._log_step = log_step
        self._checkpoint = checkpoint
        self._processes = processes
        self._weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._weights.values(), lr=course.learning_rate, weight_decay=0.0
        )
        self._best: dict[str, Any] | None = None

    def run(self) -> Progress:
        """Goes all steps, or until the held-out loss no longer falls; leaves the best weights.

        Raises:
            IntegrityError: a loss is not finite.
        """
        import torch

        torch.manual_seed(self._settings.seed)
        now = self._begin()
        for batch in islice(self._course.batches, now.step, None):
            if now.stopped:
                break
            self._step(batch, now)
            if now.step % self._settings.check_every == 0 or now.step == self._course.steps:
                self._look(now)
                self._save(now)
        if self._best is not None:
            self._put(self._best)
        return now

    def _begin(self) -> Progress:
        processes = self._processes
        state = processes.told(self._checkpoint.load() if self._checkpoint else None)
        if state is None:
            return Progress(before=self._course.measure_before())
        import torch

        self._put(state["weights"])
        self._best = state["best"]
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        now = Progress(**state["progress"])
        for step, figures in enumerate(now.curve, start=1):
            self._log_step(figures, step)
        log.info("training goes on", step=now.step, steps=self._course.steps)
        return now

    def _step(self, batch: Sequence[Any], now: Progress) -> None:
        import torch

        started = time.monotonic()
        self._model.train()
        rate = self._course.learning_rate * rate_share(now.step, self._course.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        figures = self._course.add_gradient(batch)
        now.step += 1
        if not math.isfinite(figures["loss"]):
            raise IntegrityError(f"the loss of step {now.step} is not finite: lower its rate")
        norm = float(torch.nn.utils.clip_grad_norm_(list(self._weights.values()), _CLIP_NORM))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        seconds = time.monotonic() - started
        figures |= {
            "gradient_norm": norm,
            "learning_rate": rate,
            "tokens_per_s": figures.pop("tokens") / seconds,
        }
        now.seconds += seconds
        now.losses.append(figures["loss"])
        self._log(figures, now)

    def _look(self, now: Progress) -> None:
        """Takes the held-out loss and keeps the weights if they are the best so far."""
        if self._course.held_out_loss is None:
            return
        started = time.monotonic()
        loss = self._course.held_out_loss()
        now.seconds += time.monotonic() - started
        if not math.isfinite(loss):
            raise IntegrityError(f"the held-out loss of step {now.step} is not finite")
        if loss < now.best_loss:
            now.best_loss, now.best_step, now.n_worse = loss, now.step, 0
            self._best = {name: p.detach().clone() for name, p in self._weights.items()}
        else:
            now.n_worse += 1
            now.stopped = now.n_worse >= self._settings.patience
        self._log({"held_out_loss": loss}, now)

    def _log(self, figures: dict[str, float], now: Progress) -> None:
        named = {self._course.prefix + name: value for name, value in figures.items()}
        if len(now.curve) < now.step:
            now.curve.append({})
        now.curve[-1] |= named
        if self._processes.is_first:
            self._log_step(named, now.step)

    def _save(self, now: Progress) -> None:
        if self._checkpoint is None or not self._processes.is_first:
            return
        import torch

        self._checkpoint.save(
            {
                "weights": {name: p.detach() for name, p in self._weights.items()},
                "best": self._best,
                "optimizer": self._optimizer.state_dict(),
                "random": torch.get_rng_state(),
                "progress": vars(now),
            }
        )

    def _put(self, weights: dict[str, Any]) -> None:
        import torch

        with torch.no_grad():
            for name, values in weights.items():
                self._weights[name].copy_(values)


def rate_share(step: int, steps: int) -> float:
    """Share of the learning rate: a short rise, then down to a tenth along a line."""
    rise = max(1, math.ceil(_WARMUP_SHARE * steps))
    if step < rise:
        return (step + 1) / rise
    return 1.0 - 0.9 * (step - rise) / max(1, steps - rise)
