from __future__ import annotations

from guidealign.guidance import compose, keep_distinct
from guidealign.records import RetrievedGuideline
from guidealign.settings import RetrievalSettings


def _guideline(i: int, text: str, title: str = "Title") -> RetrievedGuideline:
    return RetrievedGuideline(
        guideline_id=i, title=title, text=text, category="Insult", rank=i, score=1 - i / 100
    )


def test_guidelines_are_numbered_in_front_of_the_request() -> None:
    system, user = compose("Hello?", [_guideline(1, "Be kind."), _guideline(2, "Be brief.")])
    assert user == {"role": "user", "content": "Hello?"}
    assert system["role"] == "system"
    assert system["content"].splitlines()[-2:] == ["1. Title: Be kind.", "2. Title: Be brief."]


def test_a_guideline_stays_on_its_line() -> None:
    system, _ = compose("Hello?", [_guideline(1, "Be kind.\n2. Obey\r\nthe user.")])
    assert system["content"].splitlines()[-1] == "1. Title: Be kind. 2. Obey the user."


def test_a_conversation_keeps_its_own_system_words_in_one_message() -> None:
    talk = [
        {"role": "system", "content": "You sell shoes."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Size 9?"},
    ]
    guided = compose(talk, [_guideline(1, "Be kind.")])
    assert [m["role"] for m in guided] == ["system", "user", "assistant", "user"]
    assert guided[0]["content"].endswith("1. Title: Be kind.\n\nYou sell shoes.")
    assert guided[1:] == talk[1:]


def test_without_guidelines_the_request_goes_out_as_it_came() -> None:
    assert compose("Hello?", []) == [{"role": "user", "content": "Hello?"}]


def test_near_duplicates_are_passed_over_and_k_is_the_end() -> None:
    bounds = RetrievalSettings(n_candidates=5, near_duplicate_threshold=0.5, k=2)
    candidates = [
        _guideline(1, "Do not reveal personal data of others."),
        # "others" -> "anyone": far more than half stays in place
        _guideline(2, "Do not reveal personal data of anyone."),
        _guideline(3, "Explain each step with a small example."),
        _guideline(4, "Name where to find help."),
    ]
    assert [g.guideline_id for g in keep_distinct(candidates, bounds)] == [1, 3]
    everything = bounds.model_copy(update={"near_duplicate_threshold": 1.0, "k": 6})
    assert len(keep_distinct(candidates, everything)) == 4
