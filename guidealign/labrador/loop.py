"""The training loop: LoRA adapters, loss on answers only, checked before it counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from guidealign.errors import IntegrityError
from guidealign.labrador.examples import Row, batches, split_by_tokens, split_held_out
from guidealign.labrador.likelihood import answer_log_likelihoods, free_cores
from guidealign.labrador.sharded import shard_base
from guidealign.settings import LabradorSettings
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

PROBE_ROWS = 4
"""Fixed rows of which the loss is taken before and after."""
WARMUP_SHARE = 0.1
"""Of the steps, in which the learning rate rises."""
LAST_RATE_SHARE = 0.1


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


def fit(
    model: Any,
    rows: Sequence[Row],
    settings: LabradorSettings,
    log_step: LogStep,
    *,
    checkpoint: Checkpoint | None = None,
    processes: Processes = ALONE,
) -> Trained:
    """Trains the adapters and checks that something was learned.

    The loss of fixed rows is taken before and after, because the losses of single steps
    come from different rows and may rise by chance.

    Args:
        model: with adapters.
        rows: of all examples; a share of them is held out.
        settings: of the training.
        log_step: told the figures of each step.
        checkpoint: of this training alone: one that was killed goes on there.
        processes: that train together, each on the same rows.

    Raises:
        IntegrityError: no label is learned, a loss is not finite, the loss has not fallen, or
            the adapters change nothing.
    """
    learnable = [row for row in rows if row.n_learned]
    if not learnable:
        raise IntegrityError("all labels are masked: there is no answer token to learn")
    learned, held_out = split_held_out(learnable, share=settings.held_out_share, seed=settings.seed)
    probe = learned[:PROBE_ROWS]
    if settings.shard_base:
        shard_base(model, processes)
    model.to(compute_device())
    size, steps = settings.batch_size, settings.max_steps
    course = course_of(
        settings,
        batches=batches(learned, size=size, steps=steps, seed=settings.seed),
        add_gradient=lambda batch: gradient_of(model, batch, settings, processes),
        measure_before=lambda: {"probe_loss": mean_loss(model, probe, settings, processes)},
        evaluate=(lambda: mean_loss(model, held_out, settings, processes)) if held_out else None,
    )
    made = learn(model, course, probe[0], log_step, checkpoint, processes)
    made.metrics["n_held_out"] = float(len(held_out))
    return made


def course_of(settings: LabradorSettings, **parts: Any) -> Course:
    """A course by the settings' steps and rates; `parts` is the rest of it."""
    return Course(
        steps=settings.max_steps,
        evaluate_every=settings.check_every,
        patience=settings.patience,
        learning_rate=settings.learning_rate,
        warmup_steps=math.ceil(WARMUP_SHARE * settings.max_steps),
        last_rate_share=LAST_RATE_SHARE,
        seed=settings.seed,
        **parts,
    )


def learn(
    model: Any,
    course: Course,
    row: Row,
    log_step: LogStep,
    checkpoint: Checkpoint | None,
    processes: Processes,
) -> Trained:
    """Goes through a course, and checks that something was learned.

    Args:
        model: with adapters, on the device that it is trained on.
        course: of which `measure_before` gives a `probe_loss`, which is taken after it, too.
        row: whose logits the adapters are to change.
        log_step: told the figures of each step.
        checkpoint: of this course alone, or None.
        processes: that train together.

    Raises:
        IntegrityError: as `fit`.
    """
    with free_cores():
        done = Training(model, course, log_step, checkpoint, processes).run()
        after = course.measure_before()["probe_loss"]
    metrics = {
        "probe_loss_before": done.before["probe_loss"],
        "probe_loss_after": after,
        "loss_first": done.losses[0],
        "loss_last": done.losses[-1],
        "steps": float(done.step),
        "train_seconds": done.seconds,
        "logit_change": _logit_change(model, row),
    }
    if done.best is not None:
        metrics |= {course.evaluation: done.best, "best_step": float(done.best_step)}
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


def mean_loss(
    model: Any, rows: Sequence[Row], settings: LabradorSettings, processes: Processes = ALONE
) -> float:
    """Mean negative log-likelihood per answer token, in nats, without dropout.

    Args:
        model: with adapters or without.
        rows: to look at; several processes deal them out, and all call this.
        settings: for the tokens of a pass.
        processes: that hold the model.
    """
    import torch

    model.eval()
    total = 0.0
    with torch.no_grad():
        for part, counts in _own_parts(rows, processes, settings.pass_tokens):
            total -= counts * float(answer_log_likelihoods(model, part).sum())
    return processes.sum(total) / sum(row.n_learned for row in rows)


def gradient_of(
    model: Any,
    batch: Sequence[Row],
    settings: LabradorSettings,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Adds the gradient of the batch's mean loss, a part at a time.

    The loss is a sum over rows, so several processes that each do some of them and add their
    gradients up take the step that one would.
    """
    model.train()
    n_learned = sum(row.n_learned for row in batch)
    precision = compute_precision(settings.precision)
    loss = 0.0
    for part, counts in _own_parts(batch, processes, settings.pass_tokens):
        with autocast(precision):
            part_loss = -counts * answer_log_likelihoods(model, part).sum() / n_learned
        part_loss.backward()
        loss += float(part_loss.detach())
        # Its graph, empty by now, lies between what the pass gave back: while it is there, the next
        # pass is given new memory (a tenth more at the peak).
        del part_loss
    processes.sum_gradients(model.parameters())
    tokens = float(sum(len(row.tokens) for row in batch))
    return {"loss": processes.sum(loss), "tokens": tokens}


def _own_parts(
    rows: Sequence[Row], processes: Processes, budget: int
) -> list[tuple[list[Row], int]]:
    """What this process passes through the model, and 1 for a part that counts.

    All make as many passes: where layers are gathered for each, one that has nothing left to do
    still gives its share of the weights, in a pass that counts 0.
    """
    ordered = sorted(rows, key=lambda row: row.n_tokens)
    shares = [
        list(split_by_tokens(other.share_of(ordered), budget))
        for other in (replace(processes, rank=rank) for rank in range(processes.n))
    ]
    own = shares[processes.rank]
    idle = max(len(parts) for parts in shares) - len(own)
    return [(part, 1) for part in own] + [(ordered[:1], 0)] * idle


def _logit_change(model: Any, row: Row) -> float:
    """Largest change that the adapters make to the last logits of a row."""
    import torch

    model.eval()
    with torch.inference_mode():
        tokens = torch.tensor([row.tokens], device=model.device)
        adapted = model(input_ids=tokens, logits_to_keep=1).logits
        with model.disable_adapter():
            plain = model(input_ids=tokens, logits_to_keep=1).logits
    return float((adapted - plain).abs().max())
