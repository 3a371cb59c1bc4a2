"""Answers that a model samples, a batch at a time, each by a seed of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def sample_answers(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    seeds: Sequence[int],
    *,
    temperature: float,
    max_tokens: int,
    end_tokens: Collection[int],
) -> list[tuple[int, ...]]:
    """The tokens of one answer for each prompt, with its end mark unless it is cut.

    An answer depends on weights, prompt and seed, not on what else is in the batch (up to the
    order of sums). What each layer has computed of earlier tokens is kept (KV cache).

    Args:
        model: a causal language model of transformers; it answers without dropout.
        prompts: as tokens.
        seeds: one for each prompt.
        temperature: above 0.
        max_tokens: after which an answer is cut.
        end_tokens: of which each ends an answer.
    """
    import torch

    if not prompts:
        return []
    width = max(map(len, prompts))
    device = model.device
    # Filled up on the left: all answers go on in the last column.
    n_filled = [width - len(prompt) for prompt in prompts]
    filled = [[*[0] * n, *prompt] for n, prompt in zip(n_filled, prompts, strict=True)]
    tokens = torch.tensor(filled, device=device)  # (prompts, width)
    mask = torch.tensor([[0] * n + [1] * (width - n) for n in n_filled], device=device)
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    answers: list[list[int]] = [[] for _ in prompts]
    unfinished = set(range(len(prompts)))
    cache = None
    model.eval()
    with torch.no_grad():
        for _ in range(max_tokens):
            output = model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = output.past_key_values
            chosen = _draw(output.logits[:, -1] / temperature, generators)
            for index, token in enumerate(chosen.tolist()):
                if index in unfinished:
                    answers[index].append(token)
                    if token in end_tokens:
                        unfinished.discard(index)
            if not unfinished:
                break
            tokens = chosen.unsqueeze(1)
            mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
            places = places[:, -1:] + 1
    return [tuple(answer) for answer in answers]


def _draw(logits: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """One token by the likelihoods of each row, (rows,), from one number of its generator."""
    import torch

    mass = logits.double().softmax(dim=1).cumsum(dim=1)  # (rows, vocabulary)
    drawn = [torch.rand(1, generator=g, dtype=torch.float64) for g in generators]
    wanted = torch.stack(drawn).to(mass.device) * mass[:, -1:]  # (rows, 1)
    found = torch.searchsorted(mass, wanted, right=True)
    return found.clamp(max=mass.shape[1] - 1).squeeze(1)
