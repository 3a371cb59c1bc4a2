"""The training loop: LoRA adapters, loss on answers only, checked before it counts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guidealign.errors import IntegrityError
from guidealign.labrador.examples import MASKED, Row, batches, split_by_tokens
from guidealign.labrador.precision import Precision, autocast, compute_precision
from guidealign.settings import LabradorSettings

if TYPE_CHECKING:
    import torch

_TOKENS_AT_ONCE = 512
"""Padded tokens per forward pass: bounds memory; a larger pass is no faster on a CPU."""
_WARMUP_SHARE = 0.1
_CLIP_NORM = 1.0
_PROBE_ROWS = 4
_LOOK_S = 0.5

LogStep = Callable[[dict[str, float], int], None]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The model with its adapters, and figures of the training."""

    model: Any
    metrics: dict[str, float]


def add_adapters(model: Any, settings: LabradorSettings) -> Any:
    """Wraps every linear layer but the output with LoRA (arXiv 2106.09685).

    The paper behind this project tunes all parameters; LoRA is a declared deviation.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def fit(model: Any, rows: Sequence[Row], settings: LabradorSettings, log_step: LogStep) -> Trained:
    """Trains the adapters and checks that something was learned.

    The loss of fixed rows is taken before and after, because the losses of single steps
    come from different rows and may rise by chance.

    Raises:
        IntegrityError: a loss is not finite, the loss has not fallen, or the adapters change
            nothing.
    """
    probe = [row for row in rows if row.n_learned][:_PROBE_ROWS]
    with _free_cores():
        before = mean_loss(model, probe)
        started = time.monotonic()
        losses = _run_steps(model, rows, settings, log_step)
        seconds = time.monotonic() - started
        after = mean_loss(model, probe)
    metrics = {
        "probe_loss_before": before,
        "probe_loss_after": after,
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "steps": float(len(losses)),
        "train_seconds": seconds,
        "logit_change": _logit_change(model, probe[0]),
    }
    check_learned(metrics)
    return Trained(model=model, metrics=metrics)


def check_learned(metrics: dict[str, float]) -> None:
    """Refuses a training that went wrong.

    Raises:
        IntegrityError: which of the signs of learning is missing.
    """
    before, after = metrics["probe_loss_before"], metrics["probe_loss_after"]
    if not all(math.isfinite(value) for value in metrics.values()):
        raise IntegrityError("training diverged (a loss is not finite): lower the learning rate")
    if metrics["logit_change"] == 0:
        raise IntegrityError("the trained adapters change no logit: nothing was learned")
    if after >= before:
        raise IntegrityError(
            f"training did not lower the loss ({before:.4f} before, {after:.4f} after):"
            " change the learning rate or the number of steps"
        )


def mean_loss(model: Any, rows: Sequence[Row]) -> float:
    """Mean negative log-likelihood per answer token, in nats, without dropout."""
    import torch

    model.eval()
    with torch.inference_mode():
        total = sum(
            float(_loss_sum(model, part)) for part in split_by_tokens(rows, _TOKENS_AT_ONCE)
        )
    return total / sum(row.n_learned for row in rows)


def _run_steps(
    model: Any, rows: Sequence[Row], settings: LabradorSettings, log_step: LogStep
) -> list[float]:
    import torch

    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=settings.learning_rate, weight_decay=0.0)
    steps = settings.max_steps
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    torch.manual_seed(settings.seed)
    model.train()
    losses: list[float] = []
    precision = compute_precision(settings)
    chosen = batches(rows, size=settings.batch_size, steps=steps, seed=settings.seed)
    for step, batch in enumerate(chosen, start=1):
        started = time.monotonic()
        loss = _accumulate(model, batch, precision)
        if not math.isfinite(loss):
            raise IntegrityError(
                f"the loss of step {step} is not finite: lower LABRADOR__LEARNING_RATE"
            )
        norm = float(torch.nn.utils.clip_grad_norm_(learned, _CLIP_NORM))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss)
        seconds = time.monotonic() - started
        tokens = sum(len(row.tokens) for row in batch)
        log_step(
            {
                "loss": loss,
                "gradient_norm": norm,
                "learning_rate": float(schedule.get_last_lr()[0]),
                "tokens_per_s": tokens / seconds,
            },
            step,
        )
        schedule.step()
    return losses


def _accumulate(model: Any, batch: Sequence[Row], precision: Precision) -> float:
    """Adds the gradient of the batch's mean loss, a part at a time; returns that loss."""
    n_learned = sum(row.n_learned for row in batch)
    loss = 0.0
    for part in split_by_tokens(batch, _TOKENS_AT_ONCE):
        with autocast(precision):
            part_loss = _loss_sum(model, part) / n_learned
        part_loss.backward()
        loss += float(part_loss.detach())
    return loss


def _loss_sum(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    """Summed negative log-likelihood of the answer tokens of some rows."""
    import torch

    width = max(len(row.tokens) for row in rows)
    tokens = torch.tensor([_pad(row.tokens, 0, width) for row in rows])  # (rows, width)
    mask = torch.tensor([_pad([1] * len(row.tokens), 0, width) for row in rows])
    labels = torch.tensor([_pad(row.labels, MASKED, width) for row in rows])[:, 1:]
    # The output layer is a third of a small model's work: it is run only where an answer
    # token is predicted.
    places = (labels != MASKED).any(dim=0).nonzero().squeeze(1)  # (places,)
    output = model(input_ids=tokens, attention_mask=mask, logits_to_keep=places)
    targets = labels[:, places]  # (rows, places)
    return torch.nn.functional.cross_entropy(
        output.logits.flatten(0, 1).float(), targets.flatten(), ignore_index=MASKED, reduction="sum"
    )


@contextmanager
def _free_cores() -> Iterator[None]:
    """Runs the block on as many cores as nobody else is using.

    Threads meet after every operation: with one thread more than there are free cores a
    step was measured at three times its length on a single thread.
    """
    import psutil
    import torch

    usual = torch.get_num_threads()
    free = 1.0 - psutil.cpu_percent(interval=_LOOK_S) / 100.0
    torch.set_num_threads(max(1, round(free * usual)))
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _pad(values: Sequence[int], filler: int, width: int) -> list[int]:
    return [*values, *[filler] * (width - len(values))]


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: a short rise, then down to a tenth along a line."""
    rise = max(1, math.ceil(_WARMUP_SHARE * steps))
    if step < rise:
        return (step + 1) / rise
    return 1.0 - 0.9 * (step - rise) / max(1, steps - rise)


def _logit_change(model: Any, row: Row) -> float:
    """Largest change that the adapters make to the last logits of a row."""
    import torch

    model.eval()
    with torch.inference_mode():
        tokens = torch.tensor([row.tokens])
        adapted = model(input_ids=tokens, logits_to_keep=1).logits
        with model.disable_adapter():
            plain = model(input_ids=tokens, logits_to_keep=1).logits
    return float((adapted - plain).abs().max())
