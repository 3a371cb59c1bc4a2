"""How likely a model finds answers; on as many cores as are free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from guidealign.labrador.examples import MASKED, Row

if TYPE_CHECKING:
    import torch

_MEASURE_S = 0.5


def answer_log_likelihoods(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    """Summed log-likelihood of each row's answer tokens, in nats, (rows,)."""
    import torch

    logits, targets = _predicted(model, rows)
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=MASKED,
        reduction="none",
    )
    return -losses.view(targets.shape).sum(dim=1)


def answer_logits(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    """Where each answer token is predicted, row by row, (answer tokens, vocabulary)."""
    logits, targets = _predicted(model, rows)
    return logits[targets != MASKED]


def _predicted(model: Any, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels wherever some row has an answer token, (rows, places, ...)."""
    import torch

    width = max(len(row.tokens) for row in rows)
    device = model.device
    tokens = torch.tensor([_pad(r.tokens, 0, width) for r in rows], device=device)  # (rows, width)
    mask = torch.tensor([_pad([1] * len(r.tokens), 0, width) for r in rows], device=device)
    labels = torch.tensor([_pad(r.labels, MASKED, width) for r in rows], device=device)[:, 1:]
    # The output layer is a third of a small model's work: it is run only where an answer
    # token is predicted.
    places = (labels != MASKED).any(dim=0).nonzero().squeeze(1)  # (places,)
    output = model(input_ids=tokens, attention_mask=mask, logits_to_keep=places, use_cache=False)
    return output.logits, labels[:, places]


@contextmanager
def free_cores() -> Iterator[None]:
    """Runs the block on as many cores as nobody else is using.

    Threads meet after every operation: with one thread more than there are free cores a
    step was measured at three times its length on a single thread.
    """
    import psutil
    import torch

    usual = torch.get_num_threads()
    free = 1.0 - psutil.cpu_percent(interval=_MEASURE_S) / 100.0
    torch.set_num_threads(max(1, round(free * usual)))
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _pad(values: Sequence[int], filler: int, width: int) -> list[int]:
    return [*values, *[filler] * (width - len(values))]
