"""How likely a model finds answers; on as many cores as are free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from guidealign.errors import IntegrityError
from guidealign.labrador.examples import MASKED, Row

if TYPE_CHECKING:
    import torch

_LOOK_S = 0.5
_PACKING_TOLERANCE = 1e-3
"""Of log-likelihoods in fp32, relative; rows that see one another differ by far more."""


def answer_log_likelihoods(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    """Summed log-likelihood of each row's answer tokens, in nats, (rows,)."""
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
    targets = labels[:, places]  # (rows, places)
    losses = torch.nn.functional.cross_entropy(
        output.logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=MASKED,
        reduction="none",
    )
    return -losses.view(targets.shape).sum(dim=1)


def packed_log_likelihoods(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    """What `answer_log_likelihoods` gives, with all rows behind one another in a single one.

    Positions begin anew with each row: transformers reads from them, where no mask is given and
    nothing is cached, that a token sees its own row alone (block-diagonal attention).

    Returns:
        In nats, (rows,).
    """
    import torch

    device = model.device
    tokens = torch.tensor(
        [[token for row in rows for token in row.tokens]], device=device
    )  # (1, tokens)
    positions = torch.tensor(
        [[place for row in rows for place in range(row.n_tokens)]], device=device
    )
    # The last token of a row predicts nothing: what follows it is another row.
    labels = torch.tensor(
        [label for row in rows for label in (*row.labels[1:], MASKED)], device=device
    )
    owners = torch.tensor([n for n, row in enumerate(rows) for _ in row.tokens], device=device)
    places = (labels != MASKED).nonzero().squeeze(1)  # (places,)
    output = model(input_ids=tokens, position_ids=positions, logits_to_keep=places, use_cache=False)
    losses = torch.nn.functional.cross_entropy(
        output.logits[0].float(), labels[places], reduction="none"
    )
    return losses.new_zeros(len(rows)).index_add(0, owners[places], -losses)


def check_packing(model: Any, rows: Sequence[Row]) -> None:
    """Refuses to pack for a model that lets packed rows see one another.

    Raises:
        IntegrityError: rows have other likelihoods side by side than one by one.
    """
    import torch

    model.eval()
    # Not in inference mode: what a sharded base gathers here, the training behind it uses again.
    with torch.no_grad():
        alone = torch.cat([answer_log_likelihoods(model, [row]) for row in rows])
        packed = packed_log_likelihoods(model, rows)
    if not torch.allclose(alone, packed, rtol=_PACKING_TOLERANCE, atol=_PACKING_TOLERANCE):
        raise IntegrityError(
            "this base does not keep packed answers apart: set LABRADOR__PACKING=false"
        )


@contextmanager
def free_cores() -> Iterator[None]:
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
