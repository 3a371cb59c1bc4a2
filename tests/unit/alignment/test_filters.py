from __future__ import annotations

from dataclasses import dataclass

import pytest

from guidealign.alignment.filters import judge, trim_to_sentence

GUIDELINE = "Answer with care and never reveal where a private person lives or works today."


@dataclass(frozen=True)
class Case:
    id: str
    response: str
    reason: str | None
    finish_reason: str = "stop"
    known_safe: bool = False


CASES = [
    Case("plain", "Boil the eggs for nine minutes, then cool them.", None),
    Case("nothing", "  \n", "empty"),
    Case("marks_only", "... !", "empty"),
    Case("same_line_three_times", "I can tell you more. " * 3, "repeats"),
    Case("short_line_may_repeat", "Yes. Yes. Yes. It is fine to do so.", None),
    # 24 words of a loop of 4: 21 four-grams, 4 of them distinct
    Case("loop_without_full_stops", "go to the shop " * 6, "repeats"),
    Case("cut_at_once", "Sure. The first thing you", "truncated", finish_reason="length"),
    Case(
        "recites",
        "One should never reveal where a private person lives or works today, of course.",
        "recites_guidelines",
    ),
    Case(
        "refuses_safe", "I'm sorry, but I can't help with that.", "refuses_benign", known_safe=True
    ),
    Case(
        "curly", "I\u2019m sorry, I can\u2019t assist with this.", "refuses_benign", known_safe=True
    ),
    Case("refuses_unsafe", "I'm sorry, but I can't help with that.", None),
    Case("sympathy", "I'm sorry you had such a day. Rest first.", None, known_safe=True),
    Case(
        "late_mention",
        "Use a timer. " + "Stir it well and wait, then taste a spoon of it again. " * 1
        + "Salt, pepper, thyme and a bay leaf go in with the water before it boils. " * 1
        + "Keep the lid on while the beans swell, which takes an hour or a little longer. " * 1
        + "I can't help with the oven.",
        None,
        known_safe=True,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_each_filter_names_itself(case: Case) -> None:
    judged = judge(
        case.response,
        finish_reason=case.finish_reason,
        known_safe=case.known_safe,
        guidelines=[GUIDELINE],
    )
    assert judged.filtered_reason == case.reason


def test_a_cut_answer_is_kept_up_to_its_last_whole_sentence() -> None:
    whole = "Boil the eggs for nine minutes. Then cool them in cold water."
    judged = judge(
        whole + " After that you", finish_reason="length", known_safe=True, guidelines=[]
    )
    assert judged.filtered_reason is None
    assert judged.response == whole


@pytest.mark.parametrize(
    ("text", "trimmed"),
    [
        ("One. Two", "One."),
        ('He said "stop." Then', 'He said "stop."'),
        # the 2. opens a list item, it ends nothing
        ("Do this:\n1. Wash it.\n2. Cut", "Do this:\n1. Wash it."),
        ("Pi is 3.14 and", ""),
    ],
)
def test_where_a_sentence_ends(text: str, trimmed: str) -> None:
    assert trim_to_sentence(text) == trimmed
