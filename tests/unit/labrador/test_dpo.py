from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from guidealign.alignment import PreferencePair
from guidealign.errors import BadInputError, IntegrityError
from guidealign.labrador.dpo import _Preferring, check_preferred, fit_preferences
from guidealign.labrador.examples import MASKED, Row, RowPair, tokenize_pairs
from guidealign.labrador.loop import add_adapters
from guidealign.settings import LabradorSettings
from guidealign.training import Checkpoint

pytestmark = pytest.mark.slow

SETTINGS = LabradorSettings(
    rank=4, objective="sft_dpo", dpo_learning_rate=5e-3, dpo_steps=8, dpo_beta=0.5, batch_size=4,
    precision="float32", held_out_share=0.0, check_every=2,
)  # fmt: skip
PAIRS = [
    PreferencePair(
        input_id=i, prompt=f"Question {i}", chosen="Ask a doctor.", rejected=f"Just do it, {i}."
    )
    for i in range(4)
]


@pytest.fixture
def pairs(tiny: tuple[Any, Any]) -> tuple[RowPair, ...]:
    return tokenize_pairs(PAIRS, tiny[1], max_length=96)


def test_the_better_answers_gain_on_the_worse_and_every_step_says_so(
    tiny: tuple[Any, Any], pairs: tuple[RowPair, ...]
) -> None:
    steps: list[dict[str, float]] = []
    model = add_adapters(tiny[0], SETTINGS)
    metrics = fit_preferences(model, pairs, SETTINGS, lambda m, _: steps.append(m))
    assert len(steps) == 8
    # Before anything is learned model and reference are one: each reward is 0, sigmoid(0) is 1/2.
    assert steps[0]["dpo/loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert metrics["dpo/probe_margin_before"] == pytest.approx(0, abs=1e-5)
    assert metrics["dpo/probe_margin_after"] > 0.1
    assert metrics["dpo/probe_loss_after"] < math.log(2)
    assert steps[-1]["dpo/reward_accuracy"] == 1


def _row_likelihood(model: Any, row: Row) -> float:
    import torch

    logits = model(input_ids=torch.tensor([row.tokens])).logits[0].log_softmax(-1)
    return sum(
        float(logits[place - 1, label]) for place, label in enumerate(row.labels) if label != MASKED
    )


def test_loss_and_rewards_are_the_formula_taken_a_row_at_a_time(
    tiny: tuple[Any, Any], pairs: tuple[RowPair, ...]
) -> None:
    """-log sigmoid(beta ((log p(w) - log p(l)) - (log r(w) - log r(l)))), full logits, no batch."""
    import torch

    model = add_adapters(tiny[0], SETTINGS)
    preferring = _Preferring(model, SETTINGS)
    preferring.take_references(pairs)
    margins = []
    with torch.inference_mode():
        before = [
            _row_likelihood(model, p.chosen) - _row_likelihood(model, p.rejected) for p in pairs
        ]
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.05)
        for pair, reference in zip(pairs, before, strict=True):
            now = _row_likelihood(model, pair.chosen) - _row_likelihood(model, pair.rejected)
            margins.append(0.5 * (now - reference))
    found = preferring.mean(pairs)
    assert max(map(abs, margins)) > 0.01
    assert found["reward_margin"] == pytest.approx(sum(margins) / 4, rel=1e-3, abs=1e-5)
    losses = [math.log1p(math.exp(-m)) for m in margins]
    assert found["loss"] == pytest.approx(sum(losses) / 4, rel=1e-4)
    assert found["reward_accuracy"] == sum(m > 0 for m in margins) / 4


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(
    tiny: tuple[Any, Any], pairs: tuple[RowPair, ...]
) -> None:
    import torch

    model = tiny[0]
    gradients = []
    for budget in (10_000, 1):
        settings = SETTINGS.model_copy(update={"pass_tokens": budget})
        preferring = _Preferring(model, settings)
        preferring.take_references(pairs)
        model.zero_grad()
        figures = preferring.add_gradient(pairs)
        gradients.append((figures, model.lm_head.weight.grad.clone()))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-4, abs=1e-5)
    assert torch.allclose(gradients[0][1], gradients[1][1], atol=1e-6)


def test_preferences_cut_short_go_on_against_the_same_reference(
    tiny_folder: Path, tmp_path: Path
) -> None:
    from guidealign.platform import load_files

    def learn(folder: Path, dies_at: int | None) -> dict[str, float]:
        model, tokenizer = load_files(tiny_folder)
        pairs = tokenize_pairs(PAIRS, tokenizer, max_length=96)

        def log_step(_: dict[str, float], step: int) -> None:
            if step == dies_at:
                raise KeyboardInterrupt

        return fit_preferences(
            add_adapters(model, SETTINGS), pairs, SETTINGS, log_step, checkpoint=Checkpoint(folder)
        )

    whole = learn(tmp_path / "one", None)
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "two", 5)
    again = learn(tmp_path / "two", None)
    for name in ("dpo/probe_margin_after", "dpo/probe_loss_after", "dpo/steps"):
        assert again[name] == pytest.approx(whole[name], rel=1e-4)


def test_pairs_of_which_one_answer_is_cut_are_left_out(tiny: tuple[Any, Any]) -> None:
    long = PreferencePair(input_id=9, prompt="Q", chosen="Yes.", rejected="No. " * 40)
    assert len(tokenize_pairs([*PAIRS, long], tiny[1], max_length=96)) == 4
    with pytest.raises(BadInputError, match="none of 1 preference pairs"):
        tokenize_pairs([long], tiny[1], max_length=96)


GOOD = {"probe_margin_before": 0.0, "probe_margin_after": 0.1}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"probe_margin_after": 0.0}, "not learned"), ({"probe_loss": math.inf}, "diverged")],
)
def test_each_missing_sign_of_preference_is_named(change: dict[str, float], words: str) -> None:
    check_preferred(GOOD)
    with pytest.raises(IntegrityError, match=words):
        check_preferred({**GOOD, **change})
