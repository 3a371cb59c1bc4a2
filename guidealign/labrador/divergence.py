"""How far a distribution over next tokens lies from a teacher's, by its likeliest tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Target:
    """What a teacher finds of the next token at some places."""

    tokens: torch.Tensor
    """Its likeliest ones, (places, k)."""
    log_likelihoods: torch.Tensor
    """Of these, and at the end of all others together, (places, k + 1), in nats; (places, k) where
    k is the vocabulary."""


def target_of(logits: torch.Tensor, k: int) -> Target:
    """The teacher's side.

    Args:
        logits: (places, vocabulary).
        k: tokens to tell apart; at most all are.
    """
    tokens = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return Target(tokens, _grouped(logits, tokens))


def divergence(target: Target, logits: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence KL(teacher || student) at each place, (places,), in nats.

    It is that of the two distributions over the teacher's k likeliest tokens and everything else:
    never negative, never above that over the vocabulary, and equal to it where k is all of it.

    Args:
        target: of the teacher.
        logits: of the student, (places, vocabulary).
    """
    found = _grouped(logits, target.tokens)
    expected = target.log_likelihoods
    return (expected.exp() * (expected - found)).sum(dim=1)


def _grouped(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log-likelihoods of these tokens and of all others together, where there are others."""
    import torch

    full = logits.float()
    named = full.gather(1, tokens)
    if tokens.shape[1] < full.shape[1]:
        # Summed up, and not taken as what is missing to 1: that loses all digits near 0.
        others = full.scatter(1, tokens, -torch.inf).logsumexp(dim=1, keepdim=True)
        named = torch.cat([named, others], dim=1)
    return named.log_softmax(dim=1)
