"""Packed rows: the likelihoods and gradients of rows by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from guidealign.alignment import AlignedExample
from guidealign.errors import IntegrityError
from guidealign.labrador.examples import MASKED, Row, split_by_tokens, tokenize
from guidealign.labrador.likelihood import (
    answer_log_likelihoods,
    check_packing,
    packed_log_likelihoods,
)
from guidealign.labrador.loop import add_adapters, fit, gradient_of
from guidealign.settings import LabradorSettings

SETTINGS = LabradorSettings(
    rank=4, alpha=8, learning_rate=1e-2, max_steps=4, batch_size=3, precision="float32",
    packing=True,
)  # fmt: skip
EXAMPLES = [
    AlignedExample(input_id=i, prompt="Why? " * (1 + i), response=answer)
    for i, answer in enumerate(["Be kind.", "Be kind to all, always.", "Ask a doctor.", "No."])
]


@pytest.fixture
def rows(tiny: tuple[Any, Any]) -> tuple[Row, ...]:
    """Of 4 lengths, the last one with nothing to learn."""
    made = tokenize(EXAMPLES, tiny[1], max_length=96).rows
    silent = Row(tokens=made[0].tokens, labels=(MASKED,) * made[0].n_tokens)
    return (*made, silent)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_each_answer_is_as_likely_packed_as_by_itself(
    tiny: tuple[Any, Any], rows: tuple[Row, ...], attention: str
) -> None:
    import torch

    model = tiny[0]
    model.set_attn_implementation(attention)
    with torch.inference_mode():
        alone = torch.cat([answer_log_likelihoods(model, [row]) for row in rows[:-1]])
        packed = packed_log_likelihoods(model, rows)
        turned = packed_log_likelihoods(model, rows[::-1])
    assert torch.allclose(packed[:-1], alone, rtol=1e-5)
    assert torch.allclose(turned.flip(0), packed, rtol=1e-5)
    assert float(packed[-1]) == 0.0


def test_the_gradient_of_packed_rows_is_that_of_padded_ones(
    tiny: tuple[Any, Any], rows: tuple[Row, ...]
) -> None:
    import torch

    model = add_adapters(tiny[0], SETTINGS)
    # A whole first step: untouched adapters are zero on one side, and so are half the gradients.
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    found = []
    # 100 tokens: packed and padded parts hold other rows
    for packing, budget in ((False, 10_000), (True, 10_000), (True, 100)):
        settings = SETTINGS.model_copy(update={"packing": packing, "pass_tokens": budget})
        model.zero_grad()
        loss = gradient_of(model, rows, settings)["loss"]
        found.append((loss, {n: p.grad for n, p in model.named_parameters() if p.requires_grad}))
    (loss, expected), *others = found
    assert max(float(g.abs().max()) for g in expected.values()) > 1e-2
    for other_loss, gradients in others:
        assert other_loss == pytest.approx(loss, rel=1e-5)
        for name, gradient in expected.items():
            assert torch.allclose(gradients[name], gradient, atol=1e-5), name


def test_packed_training_ends_where_padded_training_does(
    tiny_folder: Any, rows: tuple[Row, ...]
) -> None:
    from guidealign.labrador.base import load_files

    after = []
    for packing in (False, True):
        settings = SETTINGS.model_copy(update={"packing": packing})
        model = add_adapters(load_files(tiny_folder)[0], settings)
        trained = fit(model, rows, settings, lambda *_: None)
        after.append(trained.metrics["probe_loss_after"])
    assert after[1] == pytest.approx(after[0], rel=1e-3)


class _Leaky:
    """A model that takes a packed row for one text, as one without position ids would."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.device = model.device

    def eval(self) -> None:
        self._model.eval()

    def __call__(self, **asked: Any) -> Any:
        asked.pop("position_ids", None)
        return self._model(**asked)


def test_a_base_that_lets_rows_see_one_another_is_refused(
    tiny: tuple[Any, Any], rows: tuple[Row, ...]
) -> None:
    check_packing(tiny[0], rows)
    with pytest.raises(IntegrityError, match="does not keep packed answers apart"):
        check_packing(_Leaky(tiny[0]), rows)


def test_packed_parts_are_filled_by_their_own_lengths() -> None:
    rows = [Row(tokens=(1,) * n, labels=(MASKED,) * n) for n in (2, 3, 5)]
    # padded to 5, three rows would be 15 tokens
    assert [len(part) for part in split_by_tokens(rows, 10, packing=True)] == [3]
    assert [len(part) for part in split_by_tokens(rows, 10)] == [2, 1]
