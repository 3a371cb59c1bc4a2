"""Turns conversations into token rows in which only the answer is learned."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from guidealign.alignment import AlignedExample
from guidealign.errors import BadInputError, ConfigurationError

MASKED = -100
"""The label that a loss leaves out."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One example as tokens; `labels` is MASKED wherever nothing is learned."""

    tokens: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def n_learned(self) -> int:
        """Tokens that the loss counts."""
        return sum(label != MASKED for label in self.labels)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What can be learned from, and what the length limit took away."""

    rows: tuple[Row, ...]
    n_truncated: int
    """Answers that were cut at the limit, and so end without an end mark."""
    n_dropped: int
    """Examples of which the prompt alone fills the limit."""


def tokenize(examples: Sequence[AlignedExample], tokenizer: Any, *, max_length: int) -> Rows:
    """Applies the model's chat template; prompt and answer are tokenised apart.

    Raises:
        ConfigurationError: the tokenizer has no chat template, or one that rewrites the
            prompt once the answer is known.
        BadInputError: no example has an answer left within `max_length` tokens.
    """
    rows: list[Row] = []
    n_truncated = n_dropped = 0
    for example in examples:
        prompt, answer = _parts(example, tokenizer)
        if len(prompt) >= max_length:
            n_dropped += 1
            continue
        n_truncated += len(prompt) + len(answer) > max_length
        tokens = (*prompt, *answer)[:max_length]
        labels = (*[MASKED] * len(prompt), *answer)[:max_length]
        rows.append(Row(tokens=tokens, labels=labels))
    if not any(row.n_learned for row in rows):
        raise BadInputError(
            f"none of {len(examples)} examples has an answer within {max_length} tokens:"
            " raise LABRADOR__MAX_LENGTH or shorten the inputs"
        )
    return Rows(rows=tuple(rows), n_truncated=n_truncated, n_dropped=n_dropped)


def _parts(example: AlignedExample, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Tokens of the prompt up to where the model speaks, and of the answer with its end mark."""
    if not tokenizer.chat_template:
        raise ConfigurationError("the base model has no chat template: use an instruct model")
    messages = example.messages()
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    if not whole.startswith(prompt):
        raise ConfigurationError("the base model's chat template changes a prompt afterwards")
    # Nobody generates the line break that templates put behind the end mark.
    answer = whole[len(prompt) :].rstrip("\n")
    encode = (
        tokenizer(prompt, add_special_tokens=False),
        tokenizer(answer, add_special_tokens=False),
    )
    return encode[0]["input_ids"], encode[1]["input_ids"]


def batches(rows: Sequence[Row], *, size: int, steps: int, seed: int) -> Iterator[list[Row]]:
    """`steps` batches of rows of like length, in a new random order each time round."""
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    by_length = sorted(rows, key=lambda row: len(row.tokens))
    cuts = [by_length[i : i + size] for i in range(0, len(by_length), size)]
    waiting: list[list[Row]] = []
    for _ in range(steps):
        if not waiting:
            waiting = rng.sample(cuts, len(cuts))
        yield waiting.pop()


def split_by_tokens(batch: Sequence[Row], budget: int) -> Iterator[list[Row]]:
    """Parts of a batch of at most `budget` padded tokens each, one row at least."""
    part: list[Row] = []
    for row in sorted(batch, key=lambda row: len(row.tokens)):
        if part and len(row.tokens) * (len(part) + 1) > budget:
            yield part
            part = []
        part.append(row)
    if part:
        yield part
