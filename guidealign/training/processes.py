"""Several processes that train one model: each does its part of a batch, all take one step.

Of an encoder, a batch's loss is over all its vectors, so it is the same on any number of processes:
vectors are gathered, every process works out the whole loss and passes the gradient of its own
vectors on to its weights; summed over the processes, that is the gradient of the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from guidealign.errors import IntegrityError
from guidealign.training.precision import compute_device
from guidealign.training.register import TrainResult

if TYPE_CHECKING:
    import torch

_T = TypeVar("_T")


@dataclass(frozen=True)
class Processes:
    """This process's place among those that train together; by default it is alone."""

    rank: int = 0
    n: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one reports, keeps checkpoints and registers."""
        return self.rank == 0

    def share_of(self, items: Sequence[_T]) -> list[_T]:
        """What this one does of a batch: items by length are dealt out in turns."""
        return list(items[self.rank :: self.n])

    def gather(self, own: torch.Tensor, n_texts: int) -> torch.Tensor:
        """Vectors of all texts in their order, (n_texts, dimensions); gradients reach one's own.

        Args:
            own: of `share_of(texts)`, (share, dimensions).
            n_texts: of the whole batch.
        """
        if self.n == 1:
            return own
        import torch

        # Processes exchange tensors of one size.
        most = -(-n_texts // self.n)
        sent = own.new_zeros(most, own.shape[1])
        sent[: len(own)] = own.detach()
        received = [torch.empty_like(sent) for _ in range(self.n)]
        torch.distributed.all_gather(received, sent)
        received[self.rank] = torch.cat([own, sent[len(own) :]])
        # Dealt out in turns: text i is the (i // n)-th of process i % n.
        return torch.stack(received, dim=1).flatten(0, 1)[:n_texts]

    def sum(self, value: float) -> float:
        """The sum of all processes' values."""
        if self.n == 1:
            return value
        import torch

        total = torch.tensor(value, dtype=torch.float64, device=compute_device())
        torch.distributed.all_reduce(total)
        return float(total)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Every process gets the sum of all processes' gradients."""
        if self.n == 1:
            return
        import torch

        learned = [p for p in parameters if p.requires_grad]
        # One message for all: a small model has a hundred small tensors.
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learned]
        )
        torch.distributed.all_reduce(flat)
        for parameter, part in zip(learned, flat.split([p.numel() for p in learned]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def broadcast(self, value: _T) -> _T:
        """The first process's value; the others' own does not matter."""
        if self.n == 1:
            return value
        import torch

        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]


ALONE = Processes()


@contextmanager
def together() -> Iterator[Processes]:
    """The processes that `torchrun` or `accelerate launch` has started, or this one alone."""
    n = int(os.environ.get("WORLD_SIZE", "1"))
    if n == 1:
        yield ALONE
        return
    import torch

    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield Processes(torch.distributed.get_rank(), n)
    finally:
        torch.distributed.destroy_process_group()


def assist(processes: Processes, data: type[_T], fit: Callable[[_T], object]) -> TrainResult:
    """What a process beside the first does: it fits what the first one broadcasts, and no more.

    Args:
        processes: that train together.
        data: the type of what is learned from; a result in its place: nothing is to be trained.
        fit: trains on it, with the others.

    Raises:
        IntegrityError: the first process broadcast no result.
    """
    received: object = processes.broadcast(None)
    if isinstance(received, data):
        fit(received)
        received = processes.broadcast(None)
    if not isinstance(received, TrainResult):
        raise IntegrityError("the first process sent no result of its training: see its error")
    return received
