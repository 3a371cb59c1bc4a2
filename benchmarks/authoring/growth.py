"""Growing inputs: unlike every kept one by ROUGE-L, against comparing with each of them.

All sides compute in one thread and are timed by the processor: others may use the machine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import LCSseq
from rouge_score.rouge_scorer import RougeScorer

from benchmarks._harness.report import Figure
from benchmarks.authoring.growth_inputs import real_prompts, starter_prompts, synthetic_prompts
from guidealign.authoring.augmentation.novelty import NoveltyIndex
from guidealign.authoring.augmentation.rouge import rouge_l, rouge_words

_THRESHOLD = 0.7
_CHECKED = 500
_LEAST_FACTOR = 50
_SCORER = RougeScorer(["rougeL"], use_stemmer=False)


def measure(full: bool) -> list[Figure]:
    """Candidates are judged one after the other until so many are kept."""
    n_kept = 10_000 if full else 1_000
    real = real_prompts()
    candidates, kept, ours_s = _grow(_candidates(real), n_kept)
    n_pairs = _pairs(kept)
    rouge_s, n_sample = _pairwise_rouge(candidates, 20_000 if full else 2_000)
    fuzz_kept, fuzz_s = _timed(_keep_by_pairs, candidates)
    bulk_kept, bulk_s = _timed(_keep_in_bulk, candidates)
    checked = candidates[:_CHECKED]
    differing = _differing(NoveltyIndex(_THRESHOLD).add_new(checked), _keep_by_rouge(checked))
    where = f"{min(len(real), len(candidates)):,} of them real prompts, the rest word chains"
    figures = [
        _seconds("ours", ours_s, len(candidates), f"{n_kept:,} kept of these candidates, {where}"),
        _seconds(
            "pairwise rouge_score",
            rouge_s * n_pairs,
            n_pairs,
            f"extrapolated: {rouge_s * 1e6:.1f} microseconds a pair on {n_sample:,} pairs drawn at"
            " random, each candidate with every text kept before it, as the official code does",
        ),
        Figure(
            figure="growth: ours against pairwise rouge_score",
            value=rouge_s * n_pairs / ours_s,
            unit="times faster",
            n=n_pairs,
            target=f">= {_LEAST_FACTOR}",
            met=rouge_s * n_pairs / ours_s >= _LEAST_FACTOR,
        ),
        _zero(f"kept otherwise than by rouge_score, {_CHECKED} inputs", differing, len(checked)),
        _seconds(
            "rapidfuzz pair by pair", fuzz_s, len(candidates), "words as numbers, ends at a match"
        ),
        _against("rapidfuzz pair by pair", fuzz_s / ours_s, len(candidates)),
        _seconds("rapidfuzz in bulk", bulk_s, len(candidates), "all pairs of a candidate in C++"),
        _against("rapidfuzz in bulk", bulk_s / ours_s, len(candidates)),
        _zero(
            "kept otherwise than by all pairs",
            _differing(kept, fuzz_kept) + _differing(kept, bulk_kept),
            len(candidates),
        ),
    ]
    if full:
        figures.append(_larger(real, 100_000))
    return figures


def _candidates(real: list[str]) -> Iterator[str]:
    return chain(real, synthetic_prompts([*real, *starter_prompts()]))


def _grow(candidates: Iterable[str], n_kept: int) -> tuple[list[str], list[bool], float]:
    """The candidates it took, which were kept, and the time for judging them."""
    index, taken, kept = NoveltyIndex(_THRESHOLD), [], []
    seconds = 0.0
    for text in candidates:
        started = time.process_time()
        kept += index.add_new([text])
        seconds += time.process_time() - started
        taken.append(text)
        if len(index) == n_kept:
            break
    return taken, kept, seconds


def _larger(real: list[str], n_kept: int) -> Figure:
    candidates, _, seconds = _grow(_candidates(real), n_kept)
    note = f"{n_kept:,} kept of these candidates"
    return _seconds(f"ours, {n_kept:,} kept", seconds, len(candidates), note)


def _pairs(kept: Sequence[bool]) -> int:
    """Comparisons of each candidate with all that were kept before it."""
    before = np.concatenate([[0], np.cumsum(kept)[:-1]])
    return int(before.sum())


def _pairwise_rouge(texts: Sequence[str], n: int) -> tuple[float, int]:
    """Seconds a pair, and how many pairs were timed."""
    draw = random.Random(7)  # noqa: S311
    pairs = [(draw.choice(texts), draw.choice(texts)) for _ in range(n)]
    started = time.process_time()
    for left, right in pairs:
        _SCORER.score(left, right)
    return (time.process_time() - started) / n, n


def _timed(
    keep: Callable[[Sequence[str]], list[bool]], texts: Sequence[str]
) -> tuple[list[bool], float]:
    started = time.process_time()
    kept = keep(texts)
    return kept, time.process_time() - started


def _keep_by_rouge(texts: Sequence[str]) -> list[bool]:
    kept: list[str] = []
    said = []
    for text in texts:
        new = all(_SCORER.score(other, text)["rougeL"].fmeasure <= _THRESHOLD for other in kept)
        kept += [text] if new else []
        said.append(new)
    return said


def _encoded(texts: Sequence[str]) -> Iterator[str]:
    """Each word as one character: what rapidfuzz compares quickest."""
    ids: dict[str, int] = {}
    for text in texts:
        yield "".join(chr(ids.setdefault(word, len(ids))) for word in rouge_words(text))


def _keep_by_pairs(texts: Sequence[str]) -> list[bool]:
    kept: list[str] = []
    said = []
    for text in _encoded(texts):
        new = True
        for other in kept:
            if rouge_l(LCSseq.similarity(text, other), len(other), len(text)) > _THRESHOLD:
                new = False
                break
        kept += [text] if new else []
        said.append(new)
    return said


def _keep_in_bulk(texts: Sequence[str]) -> list[bool]:
    kept: list[str] = []
    lengths: list[int] = []
    said = []
    for text in _encoded(texts):
        common = process.cdist([text], kept, scorer=LCSseq.similarity, dtype=np.int32)[0]
        # What the sum of lengths says; the few at the threshold are said by rouge_l.
        near = np.flatnonzero(2 * common > (_THRESHOLD - 1e-6) * (np.array(lengths) + len(text)))
        new = not any(rouge_l(int(common[at]), lengths[at], len(text)) > _THRESHOLD for at in near)
        if new:
            kept.append(text)
            lengths.append(len(text))
        said.append(new)
    return said


def _differing(left: Sequence[bool], right: Sequence[bool]) -> int:
    return sum(a != b for a, b in zip(left, right, strict=True))


def _seconds(name: str, value: float, n: int, note: str) -> Figure:
    return Figure(figure=f"growth: {name}", value=value, unit="CPU s", n=n, note=note)


def _against(name: str, value: float, n: int) -> Figure:
    return Figure(figure=f"growth: ours against {name}", value=value, unit="times faster", n=n)


def _zero(name: str, value: int, n: int) -> Figure:
    return Figure(
        figure=f"growth: {name}", value=value, unit="inputs", n=n, target="0", met=value == 0
    )
