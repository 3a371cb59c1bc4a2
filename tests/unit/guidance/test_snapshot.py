"""Exact search of a snapshot against the plainest search there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guidealign.guidance import _disk
from guidealign.guidance.snapshot import Overlay, Snapshot, Texts
from guidealign.records import RISK_CATEGORIES
from tests.fakes.policies import release

CATEGORIES = RISK_CATEGORIES[:3]
RELEASE = release(release_id=3, library_version=2, retriever_version=1)


def snapshot(vectors: np.ndarray, overlay: Overlay, categories: Sequence[str]) -> Snapshot:
    n = len(vectors)
    texts = Texts(
        ids=np.arange(10, 10 + n, dtype=np.int64),
        titles=tuple(f"t{i}" for i in range(n)),
        texts=tuple(f"x{i}" for i in range(n)),
        categories=tuple(categories),
    )
    return Snapshot(
        release=RELEASE, guidelines=texts, vectors=vectors, in_memory=True, overlay=overlay
    )


def plainly(
    scores: Sequence[float], overlay: Overlay, categories: Sequence[str], k: int, risks: object
) -> list[int]:
    """Ids of the k best: one after the other, best first, then by id."""
    kept: list[int] = []
    for place in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        one = 10 + place
        fits = one not in overlay.retired and (risks is None or categories[place] in risks)  # type: ignore[operator]
        clash = any((min(one, o), max(one, o)) in overlay.conflicts for o in kept)
        if fits and not clash and len(kept) < k:
            kept.append(one)
    return kept


@st.composite
def libraries(draw: st.DrawFn) -> tuple[list[float], Overlay, list[str]]:
    # Few different scores, so that many are equal.
    scores = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75]), min_size=1, max_size=60))
    ids = st.integers(10, 9 + len(scores))
    pairs = st.tuples(ids, ids).filter(lambda pair: pair[0] < pair[1])
    overlay = Overlay(
        retired=frozenset(draw(st.sets(ids, max_size=5))),
        conflicts=frozenset(draw(st.sets(pairs, max_size=60))) if len(scores) > 1 else frozenset(),
    )
    categories = draw(
        st.lists(st.sampled_from(CATEGORIES), min_size=len(scores), max_size=len(scores))
    )
    return scores, overlay, categories


@settings(max_examples=300)
@given(libraries(), st.integers(1, 8), st.none() | st.sets(st.sampled_from(CATEGORIES), min_size=1))
def test_the_best_are_those_of_a_plain_search(
    library: tuple[list[float], Overlay, list[str]], k: int, risks: set[str] | None
) -> None:
    scores, overlay, categories = library
    held = snapshot(np.zeros((len(scores), 2), dtype=np.float32), overlay, categories)
    found = held.best(
        np.asarray(scores, dtype=np.float32), k=k, risks=None if risks is None else sorted(risks)
    )
    assert [g.guideline_id for g in found] == plainly(scores, overlay, categories, k, risks)
    assert [g.rank for g in found] == list(range(1, len(found) + 1))
    assert [g.score for g in found] == [scores[g.guideline_id - 10] for g in found]


def test_a_release_comes_back_from_disk_as_it_went(tmp_path) -> None:
    from guidealign.errors import IntegrityError

    vectors = np.eye(4, dtype=np.float32)
    overlay = Overlay(retired=frozenset({11}), conflicts=frozenset({(10, 12)}))
    held = snapshot(vectors, overlay, [CATEGORIES[0]] * 4)
    assert _disk.load(tmp_path / "kept", exact_up_to=10) is None
    for _ in range(2):  # another process of the gateway writes the same
        _disk.save(tmp_path / "kept", RELEASE, held.guidelines, vectors, overlay)
    for exact_up_to, in_memory in ((10, True), (3, False)):
        back = _disk.load(tmp_path / "kept", exact_up_to=exact_up_to)
        assert back is not None
        assert (back.release, back.overlay, back.in_memory) == (RELEASE, overlay, in_memory)
        assert back.guidelines.texts == held.guidelines.texts
        query = np.asarray([[0, 0, 1, 0]], dtype=np.float32)
        found = back.best(back.scores(query)[0], k=3)
        assert [g.guideline_id for g in found] == [12, 13]
    # What was decided since goes with it; of another release it is not this one's.
    decided = Overlay(retired=frozenset({12}), proven_for=frozenset({"small"}))
    _disk.update(tmp_path / "kept", RELEASE, decided)
    _disk.update(tmp_path / "kept", replace(RELEASE, release_id=99), overlay)
    back = _disk.load(tmp_path / "kept", exact_up_to=10)
    assert back is not None
    assert back.overlay == decided
    (folder,) = (tmp_path / "kept").glob("release-*")
    (folder / "vectors.npy").write_bytes(b"short")
    with pytest.raises(IntegrityError, match="has changed"):
        _disk.load(tmp_path / "kept", exact_up_to=10)
