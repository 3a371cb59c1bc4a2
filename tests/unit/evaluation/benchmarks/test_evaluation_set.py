from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from rapidfuzz import fuzz, process

from guidealign.errors import BadInputError
from guidealign.evaluation.benchmarks import PARTS, load_evaluation_set
from guidealign.evaluation.benchmarks.evaluation_set import EVALUATION_FOLDER, split_clusters
from guidealign.records import CATEGORIES

STARTER = EVALUATION_FOLDER.parents[1]
NEARLY_THE_SAME = 90.0
"""Edit similarity in percent, of words in any order."""


def test_each_category_has_thirty_pairs_and_each_everyday_topic_sixty_prompts() -> None:
    cases = [case for part in PARTS for case in load_evaluation_set(part).cases]
    counts = Counter((case.category, case.kind) for case in cases)
    everyday = {category for category in CATEGORIES if category.startswith("Quality_")}
    risks = set(CATEGORIES) - everyday
    assert counts == (
        {(category, kind): 30 for category in risks for kind in ("harm", "over_refusal")}
        | {(category, "quality"): 60 for category in everyday}
    )


def test_a_twin_stands_beside_its_risky_prompt() -> None:
    for part in PARTS:
        kinds: dict[str, set[str]] = {}
        for case in load_evaluation_set(part).cases:
            kinds.setdefault(case.case_id.partition("/")[0], set()).add(case.kind)
        assert all(found in ({"harm", "over_refusal"}, {"quality"}) for found in kinds.values())


def test_no_theme_stands_in_two_parts() -> None:
    clusters = [{case.cluster for case in load_evaluation_set(part).cases} for part in PARTS]
    assert all(
        first.isdisjoint(second) for i, first in enumerate(clusters) for second in clusters[i + 1 :]
    )


def test_where_a_theme_stands_does_not_depend_on_its_place_in_the_file() -> None:
    names = [f"Insult/{letter}" for letter in "abcdefghij"]
    split = split_clusters(names)
    assert split == split_clusters(names[::-1])
    assert [len(split[part]) for part in PARTS] == [4, 4, 2]


def test_nothing_of_it_stands_where_models_learn() -> None:
    learned = [
        folded
        for folder in ("library", "labelled", "benchmark")
        for file in sorted((STARTER / folder).glob("*.yaml"))
        for folded in _texts(file)
    ]
    asked = [_folded(case.prompt) for part in PARTS for case in load_evaluation_set(part).cases]
    found = process.cdist(
        asked, learned, scorer=fuzz.token_sort_ratio, score_cutoff=NEARLY_THE_SAME
    )
    same = [(asked[i], learned[j]) for i, j in zip(*found.nonzero(), strict=True)]
    assert same == []


def _texts(file: Path) -> list[str]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    rows = [row for value in content.values() if isinstance(value, list) for row in value]
    return [
        _folded(row[name])
        for row in rows
        for name in ("text", "prompt")
        if isinstance(row, dict) and name in row
    ]


def _folded(text: str) -> str:
    return re.sub(r"[^a-z0-9 ]+", " ", text.lower())


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("category: Insult\ncases: []\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"x\.yaml is no file of the evaluation set"):
        load_evaluation_set("gating", tmp_path)


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    same = "- {cluster: %s, prompts: [{id: one, text: Hello}]}"
    clusters = "\n".join(same % name for name in "abcdefghij")
    content = f"category: Quality_Advice\nclusters:\n{clusters}\n"
    (tmp_path / "x.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(BadInputError, match="case one stands twice"):
        load_evaluation_set("gating", tmp_path)
