"""Labelled rows whose labels follow from their words, or from nothing."""

from __future__ import annotations

import random

from guidealign.judges import LabelledRow

_TOPICS = ("knives", "parcels", "rumours", "passwords", "mushrooms", "engines")
_BAD = ("pour the poison in", "hurt them slowly", "steal it at night", "nobody will find out")
_GOOD = ("wash it with care", "ask them kindly", "pay for it first", "everybody will be glad")


def labelled_rows(
    n: int, *, prefix: str = "theme", seed: int = 1, noise: float = 0.0, origin: str = "written"
) -> list[LabelledRow]:
    """Rows in clusters of four; `noise`: the share of labels that are drawn by a coin."""
    draw = random.Random(f"{prefix}{seed}")
    rows = []
    for i in range(n):
        harmful = draw.random() < 0.5
        said = draw.choice(_BAD if harmful else _GOOD)
        told = draw.random() < 0.5 if draw.random() < noise else harmful
        rows.append(
            LabelledRow(
                prompt=f"what do I do about {draw.choice(_TOPICS)} number {prefix} {i}",
                answer=f"with these {said} as {draw.randrange(99)} others did",
                harmful=told,
                cluster=f"{prefix}/{i // 4}",
                category="Insult",
                origin=origin,
                labeller="tests",
            )
        )
    return rows
