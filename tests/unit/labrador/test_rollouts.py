"""Answers that the tiny models sample, against the same without a cache."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from guidealign.labrador.rollouts import _draw, sample_answers
from guidealign.platform import load_files

pytestmark = pytest.mark.slow

TEXTS = ["Question 1", "Why?", "A question that is longer than the others"]


@pytest.fixture
def prompts(tiny: tuple[Any, Any]) -> list[tuple[int, ...]]:
    return [tuple(tiny[1](text)["input_ids"]) for text in TEXTS]


def test_an_answer_is_the_same_one_in_any_batch(
    tiny: tuple[Any, Any], prompts: list[tuple[int, ...]]
) -> None:
    shape: dict[str, Any] = {"temperature": 1.0, "max_tokens": 12, "end_tokens": ()}
    together = sample_answers(tiny[0], prompts, [1, 2, 3], **shape)
    alone = [sample_answers(tiny[0], [p], [s], **shape)[0] for s, p in enumerate(prompts, 1)]
    assert together == alone
    assert [len(answer) for answer in together] == [12, 12, 12]
    assert sample_answers(tiny[0], prompts, [4, 5, 6], **shape) != together
    assert sample_answers(tiny[0], [], [], **shape) == []


def test_near_temperature_0_each_token_is_the_likeliest(
    tiny: tuple[Any, Any], prompts: list[tuple[int, ...]]
) -> None:
    found = sample_answers(
        tiny[0], prompts, [1, 2, 3], temperature=1e-4, max_tokens=6, end_tokens=()
    )
    for prompt, answer in zip(prompts, found, strict=True):
        tokens = list(prompt)
        with torch.inference_mode():
            for _ in range(6):
                tokens.append(int(tiny[0](input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
        assert tuple(tokens[len(prompt) :]) == answer


def test_an_answer_ends_with_its_mark_or_where_it_is_cut(guided_folder: Path) -> None:
    model, tokenizer = load_files(guided_folder)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Question 1"}], add_generation_prompt=True, tokenize=False
    )
    prompt = tuple(tokenizer(asked)["input_ids"])
    shape: dict[str, Any] = {"temperature": 0.1, "end_tokens": {tokenizer.eos_token_id}}
    (whole,) = sample_answers(model, [prompt], [1], max_tokens=20, **shape)
    assert tokenizer.decode(whole) == "Yes.<|im_end|>"
    (cut,) = sample_answers(model, [prompt], [1], max_tokens=2, **shape)
    assert tokenizer.decode(cut) == "Ye"


def test_tokens_come_as_often_as_they_are_likely() -> None:
    likely = torch.tensor([0.5, 0.0, 0.3, 0.2])
    n = 4000
    generators = [torch.Generator().manual_seed(seed) for seed in range(n)]
    drawn = Counter(_draw(likely.log().expand(n, 4), generators).tolist())
    assert drawn[1] == 0
    for token, share in enumerate(likely.tolist()):
        assert drawn[token] / n == pytest.approx(share, abs=0.03)
