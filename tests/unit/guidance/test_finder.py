"""A conversation's guidelines: those of the turn at which its topic began."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.guidance import (
    Found,
    Live,
    Snapshot,
    TopicThresholds,
    asked_of_turns,
    find_all,
)
from guidealign.guidance.snapshot import Overlay, Texts
from guidealign.records import RetrievedGuideline
from tests.fakes.policies import policy, release

TOPICS = ("knives", "nicknames", "sums")
CATEGORIES = ("Physical_Harm", "Insult", "Quality_Maths")
PER_TOPIC = 3


class Topical:
    """An encoder that reads the topics that a text names, and how strongly."""

    thresholds = TopicThresholds()

    def __init__(self) -> None:
        self.n_texts = 0

    def encode(self, texts: Sequence[str], *, side: Any) -> Any:
        del side
        self.n_texts += len(texts)
        rows = np.array([[text.count(t) for t in TOPICS] for text in texts], dtype=np.float32)
        rows += np.array([[0.01 * (len(text) % 7)] * len(TOPICS) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def live(**changes: Any) -> Live:
    """Three guidelines for each topic; those of one topic are not equally near to it."""
    words = ["be kind", "ask a doctor twice", "show how numbers grow"]
    rows, ids, texts = [], [], []
    for topic in range(len(TOPICS)):
        for i in range(PER_TOPIC):
            row = np.full(len(TOPICS), 0.02 * i, dtype=np.float32)
            row[topic] = 1.0
            rows.append(row / np.linalg.norm(row))
            ids.append(10 * topic + i)
            texts.append(f"{words[i]} {TOPICS[topic]}")
    categories = tuple(c for c in CATEGORIES for _ in range(PER_TOPIC))
    snapshot = Snapshot(
        release=release(policy=policy(**changes)),
        guidelines=Texts(
            ids=np.array(ids, dtype=np.int64),
            titles=tuple("t" for _ in ids),
            texts=tuple(texts),
            categories=categories,
        ),
        vectors=np.array(rows, dtype=np.float32),
        in_memory=True,
        overlay=Overlay(),
    )
    return Live(snapshot=snapshot, encoder=Topical())


def find(held: Live, *turns: str) -> Found:
    asked = asked_of_turns(turns, held.release.policy)
    assert asked is not None
    return find_all(held, [asked])[0]


def chosen(found: Found) -> tuple[int, list[int]]:
    return found.turn, [guideline.guideline_id for guideline in found.guidelines]


KNIVES = "Tell me all about knives, knives and knives, will you?"
MORE_KNIVES = "Which knives are it that last, of all the knives there are?"
NAMES = "And now to nicknames: which nicknames are there for him?"


def test_a_topic_keeps_the_guidelines_of_its_first_turn() -> None:
    held = live()
    first = find(held, KNIVES)
    assert (first.turn, {g.category for g in first.guidelines}) == (0, {"Physical_Harm"})
    for later in (MORE_KNIVES, "And why?"):
        found = find(held, KNIVES, later)
        assert (found.turn, found.guidelines) == (0, first.guidelines)
    assert find(held, KNIVES, MORE_KNIVES, "And why?").turn == 0


def test_a_turn_on_another_topic_begins_anew() -> None:
    held = live()
    moved = find(held, KNIVES, MORE_KNIVES, NAMES)
    assert (moved.turn, moved.guidelines[0].category) == (2, "Insult")
    assert moved.guidelines == find(held, NAMES).guidelines
    back = find(held, KNIVES, NAMES, MORE_KNIVES)
    assert (back.turn, back.guidelines) == (2, find(held, MORE_KNIVES).guidelines)


def test_without_stickiness_each_turn_is_looked_up_by_itself() -> None:
    held = live(sticky=False)
    assert find(held, KNIVES, MORE_KNIVES).turn == 1
    assert find(held, KNIVES, MORE_KNIVES, NAMES).turn == 2


def test_what_was_chosen_once_needs_no_encoder() -> None:
    held = live()
    asked = asked_of_turns([KNIVES, MORE_KNIVES], held.release.policy)
    assert asked is not None
    assert not held.remembered(asked)
    found = find_all(held, [asked])[0]
    assert held.remembered(asked)
    assert held.find([asked], {})[0] == found


SAID = st.sampled_from([KNIVES, MORE_KNIVES, NAMES, "And why?", "Add two sums, and two sums"])


@given(st.lists(SAID, min_size=1, max_size=20))
def test_a_conversation_is_answered_as_if_it_had_been_asked_turn_by_turn(turns: list[str]) -> None:
    held = live()
    step_by_step = [find(held, *turns[: i + 1]) for i in range(len(turns))]
    assert chosen(step_by_step[-1]) == chosen(find(live(), *turns))
    # While a topic holds, its guidelines stay where they were put: the prefix of the prompt lasts.
    for number, (before, after) in enumerate(pairwise(step_by_step), start=1):
        if after.turn == before.turn:
            assert after.guidelines == before.guidelines
        else:
            assert after.turn == number
    asked = [asked_of_turns(turns[: i + 1], held.release.policy) for i in range(len(turns))]
    at_once = find_all(live(), [one for one in asked if one is not None])
    assert [chosen(one) for one in at_once] == [chosen(one) for one in step_by_step]


def test_more_conversations_at_once_than_are_remembered() -> None:
    held = live()
    find(held, KNIVES)
    asked = [asked_of_turns([f"{NAMES} {i}"], held.release.policy) for i in range(4_100)]
    asked = [asked_of_turns([KNIVES], held.release.policy), *asked]
    found = find_all(held, [one for one in asked if one is not None])
    assert len(found) == 4_101
    assert chosen(found[0]) == chosen(find(live(), KNIVES))


def test_what_is_not_in_memory_is_searched_elsewhere_and_found_alike() -> None:
    held = live()

    def far(
        one: Live, vectors: Any, k: int, categories: Sequence[str] | None
    ) -> list[RetrievedGuideline]:
        scores = one.snapshot.scores(vectors).max(axis=0)
        return one.snapshot.best(scores, k=k, risks=categories)

    asked = [asked_of_turns([text], held.release.policy) for text in (KNIVES, NAMES, "Add sums")]
    conversations = [one for one in asked if one is not None]
    elsewhere = find_all(held, conversations, far=far)
    assert [chosen(one) for one in elsewhere] == [
        chosen(one) for one in find_all(live(), conversations)
    ]


def test_nothing_said_is_nothing_asked() -> None:
    assert asked_of_turns([], policy()) is None
    with pytest.raises(KeyError):
        live().find([asked_of_turns([KNIVES], policy())], {})  # type: ignore[list-item]
