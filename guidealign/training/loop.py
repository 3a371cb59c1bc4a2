"""Takes a training's steps: gradient, schedule, checkpoints, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import structlog

from guidealign.errors import IntegrityError
from guidealign.training.checkpoint import Checkpoint
from guidealign.training.processes import ALONE, Processes

_CLIP_NORM = 1.0

LogStep = Callable[[dict[str, float], int], None]
"""Told figures and the number of their step, from 1."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a training goes through. All that is called is called in every process."""

    batches: Iterator[Sequence[Any]]
    """One a step, the same ones in every process."""
    add_gradient: Callable[[Sequence[Any]], dict[str, float]]
    """Leaves a batch's gradient with the weights; gives its `loss`, and more to be logged."""
    measure_before: Callable[[], dict[str, float]]
    """What is compared with after the last step; taken once, also if the training is killed; the
    same in every process."""
    evaluate: Callable[[], float] | None
    """On what is held out, the same in every process. None: nothing is, and every step is made."""
    evaluation: str = "held_out_loss"
    """Names the figure of `evaluate`."""
    higher_is_better: bool = False
    """Of that figure."""
    steps: int
    evaluate_every: int
    """Steps between evaluations, and between checkpoints."""
    patience: int
    """Evaluations in a row without a better one that end the training."""
    learning_rate: float
    """The highest: it rises to it along a line, and falls along another one."""
    warmup_steps: int
    last_rate_share: float = 0.0
    """Of the learning rate, at the end."""
    weight_decay: float = 0.0
    seed: int
    prefix: str = ""
    """Of the names of the step's figures."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """Tensors beside the weights that `add_gradient` changes in place; checkpoints keep them."""

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rise = max(1, self.warmup_steps)
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        fallen = (step - rise) / max(1, self.steps - rise)
        return self.learning_rate * (1.0 - (1.0 - self.last_rate_share) * fallen)


@dataclass
class Progress:
    """Where a training stands."""

    before: dict[str, float]
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    """The figures of each step, (step,)."""
    best: float | None = None
    """Of the evaluations; None: there was none yet."""
    best_step: int = 0
    n_worse: int = 0
    """Evaluations since the best."""
    stopped: bool = False


class Training:
    """One course over the weights of a model that take a gradient.

    Args:
        model: on the device that it is trained on.
        course: what it goes through.
        log_step: told the figures of each step; those of a training that goes on, again.
        checkpoint: of this course alone; None: a killed training begins anew.
        processes: that make each step together; the first one logs and keeps checkpoints.
    """

    def __init__(
        self,
        model: Any,
        course: Course,
        log_step: LogStep,
        checkpoint: Checkpoint | None = None,
        processes: Processes = ALONE,
    ) -> None:
        import torch

        self._course = course
        self._log_step = log_step
        self._checkpoint = checkpoint
        self._processes = processes
        self._weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._weights.values(),
            lr=course.rate(0),
            weight_decay=course.weight_decay,
            fused=True,
        )
        self._best: dict[str, Any] | None = None

    def run(self) -> Progress:
        """Makes all steps, or until evaluations gain no more; leaves the best weights.

        Raises:
            IntegrityError: a loss is not finite.
        """
        import torch

        torch.manual_seed(self._course.seed)
        now = self._begin()
        for batch in islice(self._course.batches, now.step, None):
            if now.stopped:
                break
            self._step(batch, now)
            if now.step % self._course.evaluate_every == 0 or now.step == self._course.steps:
                self._evaluate(now)
                self._save(now)
        if self._best is not None:
            self._put(self._best)
        return now

    def _begin(self) -> Progress:
        processes = self._processes
        state = processes.broadcast(self._checkpoint.load() if self._checkpoint else None)
        if state is None:
            return Progress(before=self._course.measure_before())
        import torch

        self._put(state["weights"])
        self._best = state["best"]
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        # A checkpoint of an earlier version has none.
        for name, values in state.get("course", {}).items():
            self._course.state[name].copy_(values)
        now = Progress(**state["progress"])
        if processes.is_first:
            for step, figures in enumerate(now.curve, start=1):
                self._log_step(figures, step)
        log.info("training goes on", step=now.step, steps=self._course.steps)
        return now

    def _step(self, batch: Sequence[Any], now: Progress) -> None:
        import torch

        started = time.monotonic()
        rate = self._course.rate(now.step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        figures = self._course.add_gradient(batch)
        now.step += 1
        if not math.isfinite(figures["loss"]):
            raise IntegrityError(
                f"the loss of step {now.step} is not finite: lower the learning rate"
            )
        norm = float(torch.nn.utils.clip_grad_norm_(list(self._weights.values()), _CLIP_NORM))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        seconds = time.monotonic() - started
        figures |= {"gradient_norm": norm, "learning_rate": rate}
        if "tokens" in figures:
            figures["tokens_per_s"] = figures.pop("tokens") / seconds
        now.seconds += seconds
        now.losses.append(figures["loss"])
        self._log(figures, now)

    def _evaluate(self, now: Progress) -> None:
        """Keeps the weights if they are the best so far."""
        course = self._course
        if course.evaluate is None:
            return
        started = time.monotonic()
        value = course.evaluate()
        now.seconds += time.monotonic() - started
        if not math.isfinite(value):
            raise IntegrityError(f"{course.evaluation} of step {now.step} is not finite")
        if now.best is None or (value > now.best if course.higher_is_better else value < now.best):
            now.best, now.best_step, now.n_worse = value, now.step, 0
            self._best = {name: p.detach().clone() for name, p in self._weights.items()}
        else:
            now.n_worse += 1
        now.stopped = now.n_worse >= course.patience
        self._log({course.evaluation: value}, now)

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
                "course": dict(self._course.state),
                "progress": vars(now),
            }
        )

    def _put(self, weights: dict[str, Any]) -> None:
        import torch

        with torch.no_grad():
            for name, values in weights.items():
                self._weights[name].copy_(values)
