"""Gradients of a large batch a chunk at a time (GradCache, arXiv 2101.06983)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from guidealign.retriever.encode import TransformerEncoder


def backward_in_chunks(
    encoder: TransformerEncoder,
    texts: Sequence[str],
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    chunk_size: int,
    precision: Callable[[], AbstractContextManager[Any]],
) -> float:
    """Adds the loss's gradients to the encoder's, holding the activations of one chunk at a time.

    All texts are embedded without a graph; the loss gives the gradient of each vector; then
    each chunk is embedded again, with the same dropout, and passes its part on to the weights.

    Args:
        encoder: in training mode.
        texts: of the whole batch.
        loss_of: the loss of vectors (texts, dimensions), a scalar; it may bring others' in.
        chunk_size: texts of a chunk.
        precision: the arithmetic of the forward passes.

    Returns:
        The loss.
    """
    import torch

    chunks = [list(texts[i : i + chunk_size]) for i in range(0, len(texts), chunk_size)]
    devices = [encoder.model.device] if encoder.model.device.type == "cuda" else []
    states, parts = [], []
    for chunk in chunks:
        states.append((torch.get_rng_state(), [torch.cuda.get_rng_state(d) for d in devices]))
        with torch.no_grad(), precision():
            parts.append(encoder.forward(chunk).float())
    vectors = torch.cat(parts).requires_grad_()  # (texts, dimensions)
    loss = loss_of(vectors)
    loss.backward()
    assert vectors.grad is not None  # noqa: S101 - a leaf that the loss depends on
    for number, (chunk, (cpu, cuda)) in enumerate(zip(chunks, states, strict=True)):
        gradient = vectors.grad[number * chunk_size :][: len(chunk)]
        with torch.random.fork_rng(devices=devices):
            torch.set_rng_state(cpu)
            for device, state in zip(devices, cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            with precision():
                again = encoder.forward(chunk).float()
        (again * gradient).sum().backward()
    return float(loss.item())
