"""The bundled preference cases and the choice among them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from guidealign.errors import BadInputError
from guidealign.evaluation import load_cases
from guidealign.records import CATEGORIES, QUALITY_TOPICS, RISK_CATEGORIES


def test_bundled_cases_cover_every_category() -> None:
    cases = load_cases()
    kinds = {(case.category, case.kind) for case in cases}
    assert {case.category for case in cases} == set(CATEGORIES)
    for category in RISK_CATEGORIES:
        assert {(category, "harm"), (category, "over_refusal")} <= kinds
    for topic in QUALITY_TOPICS:
        assert (topic, "quality") in kinds


def test_length_does_not_decide() -> None:
    # A likelihood per token must not be won by the longer or the shorter answer.
    cases = load_cases()
    longer = sum(len(case.better) > len(case.worse) for case in cases)
    assert 0.35 < longer / len(cases) < 0.65


def test_smaller_choice_is_even_and_always_the_same() -> None:
    chosen = load_cases(at_most=100)
    assert chosen == load_cases(at_most=100)
    counts = Counter((case.kind, case.category) for case in chosen)
    # 14 + 14 + 5 groups share 100 turns: 3 each, one over.
    assert len(counts) == 33
    assert set(counts.values()) == {3, 4}


def test_same_id_twice_is_refused(tmp_path: Path) -> None:
    case = "- {id: a, kind: harm, prompt: p, better: b, worse: w}\n"
    (tmp_path / "x.yaml").write_text("category: Insult\ncases:\n" + case * 2)
    with pytest.raises(BadInputError, match="stands twice"):
        load_cases(tmp_path)


@pytest.mark.parametrize(
    "content", ["[]", "cases: 3", "category: Insult\ncases: [{id: 1}]", "a: ["]
)
def test_broken_file_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(BadInputError):
        load_cases(tmp_path)
