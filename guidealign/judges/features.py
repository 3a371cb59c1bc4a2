"""What a head reads of a prompt and an answer: frozen vectors, word counts, and a few figures."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from guidealign.guidance import Encoder
from guidealign.judges.model import Asked, JudgeTask
from guidealign.judges.refusal_rules import why_refused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

FEATURES_VERSION = 1
"""Counts up with every change of what is read: heads of another version are not loaded."""
_WORDS = 4_096
_READ_AS_WORD = r"[a-z']+|[?!]"
_OPENING_WORDS = 25
_END = re.compile(r"(?<=[.!?])\s+|\n+")
_SENTENCES = 12


class TextVectors:
    """Vectors of texts, each text encoded once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Matrix] = {}

    def of(self, texts: Sequence[str]) -> Matrix:
        """L2-normalised vectors, (len(texts), dimensions)."""
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._encoder.encode(new, side="input"), strict=True))
        return np.stack([self._known[text] for text in texts])


def features(task: JudgeTask, rows: Sequence[Asked], vectors: TextVectors) -> Matrix:
    """What the head of a task reads, (len(rows), features).

    Blocks are scaled to about the same length, so that one penalty fits all of them.
    """
    import numpy as np

    prompts = [row.prompt.strip() for row in rows]
    p = vectors.of(prompts)
    if task == "risky":
        return np.hstack([5 * p, 3 * _words(prompts)])
    answers = [row.answer.strip() for row in rows]
    read = [sentences(answer) for answer in answers]
    a, first = vectors.of(answers), vectors.of([some[0] for some in read])
    each = [vectors.of(some) for some in read]
    near = np.array([_nearness(own, some) for own, some in zip(p, each, strict=True)])
    begun = [" ".join(answer.split()[:_OPENING_WORDS]) for answer in answers]
    blocks = [
        *(5 * p, 5 * a, 5 * first, 5 * vectors.of([some[-1] for some in read])),
        *(5 * np.stack([some.max(axis=0) for some in each]), 80 * p * a),
        *(3 * _words(begun), 3 * _words(answers), 3 * _words(prompts)),
        np.stack([(p * a).sum(axis=1), (p * first).sum(axis=1)], axis=1),
        *(near, np.array([_figures(*pair) for pair in zip(prompts, answers, strict=True)])),
    ]
    if task == "keeps":
        g = vectors.of(["\n".join(row.guidelines) for row in rows])
        blocks += [5 * g, 80 * g * a, (g * a).sum(axis=1, keepdims=True)]
    return np.hstack(blocks).astype(np.float32)


def sentences(text: str) -> list[str]:
    """The first twelve; one at least. Whether an answer declines is often said in one of them."""
    found = [part.strip() for part in _END.split(text)]
    return [part for part in found if part][:_SENTENCES] or [""]


def _nearness(prompt: Matrix, answer: Matrix) -> tuple[float, ...]:
    """How near the sentences of an answer, (sentences, dimensions), are to its prompt."""
    near = answer @ prompt
    return float(near.max()), float(near.min()), float(near.mean()), len(near) / 10


def _words(texts: Sequence[str]) -> Matrix:
    """Hashed words and pairs of words, L2-normalised, (len(texts), 4096)."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer

    reader = HashingVectorizer(
        n_features=_WORDS,
        ngram_range=(1, 2),
        alternate_sign=False,
        token_pattern=_READ_AS_WORD,
        dtype="float32",
    )
    counted = reader.transform([text.casefold().replace("\u2019", "'") for text in texts])
    return np.asarray(counted.toarray(), dtype=np.float32)


def _figures(prompt: str, answer: str) -> tuple[float, ...]:
    return (
        float(why_refused(answer) is not None),
        float(answer.endswith("?")),
        math.log1p(len(answer)) / 5,
        math.log1p(len(prompt)) / 5,
    )
