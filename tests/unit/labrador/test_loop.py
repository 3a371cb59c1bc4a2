from __future__ import annotations

from typing import Any

import pytest

from guidealign.alignment import AlignedExample
from guidealign.errors import IntegrityError
from guidealign.labrador.examples import MASKED, Row, tokenize
from guidealign.labrador.loop import add_adapters, check_learned, fit, gradient_of, mean_loss
from guidealign.settings import LabradorSettings

pytestmark = pytest.mark.slow

# Not bfloat16, where the machine has it: it rounds a batch and its parts apart.
SETTINGS = LabradorSettings(
    rank=4, alpha=8, learning_rate=1e-2, max_steps=12, batch_size=2, max_length=96, dropout=0.0,
    precision="float32",
)  # fmt: skip
EXAMPLES = [
    AlignedExample(input_id=i, prompt=f"Question {i}", response=answer)
    for i, answer in enumerate(["Be kind.", "Be kind to all.", "Ask a doctor.", "No."])
]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_falls_and_every_step_is_reported(tiny: tuple[Any, Any], precision: str) -> None:
    import torch

    model, tokenizer = tiny
    settings = SETTINGS.model_copy(update={"precision": precision})
    rows = tokenize(EXAMPLES, tokenizer, max_length=96).rows
    steps: list[tuple[int, dict[str, float]]] = []
    trained = fit(
        add_adapters(model, settings), rows, settings, lambda m, step: steps.append((step, m))
    )
    assert {p.dtype for p in trained.model.parameters()} == {torch.float32}
    assert [step for step, _ in steps] == list(range(1, 13))
    assert steps[0][1]["loss"] == trained.metrics["loss_first"]
    assert trained.metrics["probe_loss_after"] < trained.metrics["probe_loss_before"] - 0.1
    assert trained.metrics["logit_change"] > 0
    # a tenth of 12 steps, rounded up to 2, is the rise
    rates = [m["learning_rate"] for _, m in steps]
    assert rates[:3] == pytest.approx([5e-3, 1e-2, 1e-2])
    assert rates[-1] < rates[2]


def test_the_same_seed_gives_the_same_model(tiny_folder: Any) -> None:
    from guidealign.platform import load_files

    losses = []
    for _ in range(2):
        model, tokenizer = load_files(tiny_folder)
        rows = tokenize(EXAMPLES, tokenizer, max_length=96).rows
        trained = fit(add_adapters(model, SETTINGS), rows, SETTINGS, lambda *_: None)
        losses.append(trained.metrics["probe_loss_after"])
    assert losses[0] == losses[1]


def test_tokens_of_the_prompt_and_of_padding_count_nothing(tiny: tuple[Any, Any]) -> None:
    """The mean over answer tokens, taken one row at a time from full logits, is the same."""
    import torch

    model, tokenizer = tiny
    rows = tokenize(EXAMPLES, tokenizer, max_length=96).rows
    total, n = 0.0, 0
    with torch.inference_mode():
        for row in rows:
            logits = model(input_ids=torch.tensor([row.tokens])).logits[0].log_softmax(-1)
            for place, label in enumerate(row.labels):
                if label != MASKED:
                    total -= float(logits[place - 1, label])
                    n += 1
    assert mean_loss(model, rows, SETTINGS) == pytest.approx(total / n, rel=1e-5)


def test_a_large_batch_in_parts_gives_the_gradient_of_the_whole(
    tiny: tuple[Any, Any],
) -> None:
    import torch

    model, tokenizer = tiny
    rows = tokenize(EXAMPLES, tokenizer, max_length=96).rows
    gradients = []
    for budget in (10_000, 1):
        model.zero_grad()
        settings = SETTINGS.model_copy(update={"pass_tokens": budget})
        loss = gradient_of(model, rows, settings)["loss"]
        gradients.append((loss, model.lm_head.weight.grad.clone()))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-5)
    assert torch.allclose(gradients[0][1], gradients[1][1], atol=1e-6)


def test_a_diverging_training_is_refused(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    rows = tokenize(EXAMPLES, tokenizer, max_length=96).rows
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(IntegrityError, match="not finite"):
        fit(add_adapters(model, wild), rows, wild, lambda *_: None)


GOOD = {"probe_loss_before": 2.0, "probe_loss_after": 1.5, "logit_change": 0.1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"probe_loss_after": 2.0}, "did not lower"),
        ({"probe_loss_after": float("nan")}, "not finite"),
        ({"logit_change": 0.0}, "change no logit"),
    ],
)
def test_each_missing_sign_of_learning_is_named(change: dict[str, float], words: str) -> None:
    check_learned(GOOD)
    with pytest.raises(IntegrityError, match=words):
        check_learned({**GOOD, **change})


def test_rows_without_an_answer_cannot_hide_among_others(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    rows = tokenize(EXAMPLES, tokenizer, max_length=96).rows
    silent = Row(tokens=rows[0].tokens, labels=(MASKED,) * len(rows[0].tokens))
    whole = mean_loss(model, rows, SETTINGS)
    assert mean_loss(model, [*rows, silent], SETTINGS) == pytest.approx(whole, rel=1e-5)
