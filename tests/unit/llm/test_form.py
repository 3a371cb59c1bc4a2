"""Reading typed answers as models give them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from guidealign.llm import ChatResult
from guidealign.llm._form import Form, UnreadableError


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    verdict: bool
    why: str = ""


def said(text: str, finish_reason: str = "stop") -> ChatResult:
    return ChatResult(
        text=text,
        finish_reason=finish_reason,
        model="m",
        prompt_tokens=1,
        completion_tokens=1,
        latency_ms=1.0,
    )


@dataclass(frozen=True)
class Case:
    id: str
    text: str
    value: Answer


CASES = [
    Case("bare", '{"verdict": true}', Answer(verdict=True)),
    Case("fence", 'Sure:\n```json\n{"verdict": true}\n```\nDone.', Answer(verdict=True)),
    Case("braces-in-prose", 'In {short}: {"verdict": false} {ok}', Answer(verdict=False)),
    Case(
        "last-object-counts",
        'Not {"verdict": true} but {"verdict": false}',
        Answer(verdict=False),
    ),
    Case(
        "what-fits-counts",
        '{"verdict": true} and {"confidence": 3}',
        Answer(verdict=True),
    ),
    Case("line-break", '{"verdict": true, "why": "a\nb"}', Answer(verdict=True, why="a\nb")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_answer_in_wrapping_is_read(case: Case) -> None:
    assert Form(Answer).read(said(case.text)) == case.value


@pytest.mark.parametrize(
    ("text", "finish_reason", "problem"),
    [
        ("no idea", "stop", "there is no JSON object"),
        ('{"verdict": "perhaps"}', "stop", "verdict: Input should be a valid boolean"),
        # The inner object would fit, but it is part of an answer that was cut off.
        ('{"first": {"verdict": true}, "second": {', "stop", "there is no JSON object"),
        ('{"verdict": true, "why": "beca', "length", "cut off"),
        ('[{"verdict": 3}]', "stop", "verdict"),
    ],
    ids=["prose", "wrong-type", "broken", "cut-off", "list"],
)
def test_the_problem_is_named(text: str, finish_reason: str, problem: str) -> None:
    with pytest.raises(UnreadableError, match=problem):
        Form(Answer).read(said(text, finish_reason))


@given(
    before=st.text(alphabet=st.characters(exclude_characters="{")),
    after=st.text(alphabet=st.characters(exclude_characters="{")),
    why=st.text(),
)
def test_words_around_an_answer_change_nothing(before: str, after: str, why: str) -> None:
    text = before + json.dumps({"verdict": True, "why": why}) + after
    assert Form(Answer).read(said(text)) == Answer(verdict=True, why=why)


def yes_or_no(text: str) -> Answer:
    word = text.strip().lower()
    if word not in {"yes", "no"}:
        raise ValueError("say yes or no")
    return Answer(verdict=word == "yes")


def test_plain_words_are_read_where_they_can_be() -> None:
    form = Form(Answer, yes_or_no)
    assert form.read(said(" Yes\n")).verdict is True
    assert form.read(said('{"verdict": false}')).verdict is False
    with pytest.raises(UnreadableError, match="say yes or no"):
        form.read(said("perhaps"))


def test_a_prompt_for_plain_words_stays_as_it_is() -> None:
    ask = [{"role": "user", "content": "Is it safe?"}]
    assert Form(Answer, yes_or_no).request(ask, schemas=False) == {"messages": ask}
    in_words = Form(Answer).request(ask, schemas=False)["messages"]
    assert in_words[0]["content"].startswith("Is it safe?\n\nAnswer with one JSON object")
