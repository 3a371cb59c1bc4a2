"""Training: what counts as having learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guidealign.errors import IntegrityError
from guidealign.library import encoder_folder
from guidealign.retriever.batches import TrainingPair, lay_out
from guidealign.retriever.encode import TransformerEncoder, load_folder
from guidealign.retriever.fit import fit
from guidealign.retriever.model import LabelledInput, Prefixes
from guidealign.retriever.training_data import TrainingData
from guidealign.settings import RetrieverSettings
from guidealign.training import Checkpoint

pytestmark = pytest.mark.slow

ABOUT = ["taxes", "knives", "grief", "python code", "a neighbour", "medicine", "poems", "locks"]
GUIDELINES = {
    i: f"Care with {topic}: Say what is known of {topic}." for i, topic in enumerate(ABOUT)
}
INPUTS = [
    LabelledInput(i, f"Tell me about {topic}", (i,), "Insult", True, "chat", i)
    for i, topic in enumerate(ABOUT)
]


SMALL = {"epochs": 3, "batch_size": 4, "learning_rate": 5e-5, "max_length": 16}
DATA = TrainingData(inputs=INPUTS, guidelines=GUIDELINES)


def _encoder() -> TransformerEncoder:
    return load_folder(encoder_folder(RetrieverSettings().base_model), max_length=16)


def _weights(encoder: TransformerEncoder) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in encoder.model.state_dict().items()}


def test_what_is_learned_shows_on_the_same_pairs() -> None:
    figures = fit(_encoder(), DATA, RetrieverSettings(**SMALL), lambda *_: None)
    assert figures["loss_last"] < figures["loss_first"]
    # 3 epochs of 8 inputs in batches of 4.
    assert (figures["n_steps"], figures["n_pairs"], figures["n_epochs"]) == (6, 8, 3)
    assert "dev_recall_at_6" not in figures


def test_weights_that_stay_where_they_were_are_no_model() -> None:
    settings = RetrieverSettings(**SMALL | {"learning_rate": 1e-30})
    with pytest.raises(IntegrityError, match="learned nothing"):
        fit(_encoder(), DATA, settings, lambda *_: None)


class KilledError(Exception):
    pass


def test_bfloat16_learns_what_float32_does_and_leaves_float32() -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        encoder = _encoder()
        settings = RetrieverSettings(**SMALL | {"precision": precision})
        found[precision] = (encoder, fit(encoder, DATA, settings, lambda *_: None))
    (exact, expected), (rounded, figures) = found["float32"], found["bfloat16"]
    assert {value.dtype for value in rounded.model.parameters()} == {torch.float32}
    assert figures["loss_first"] == pytest.approx(expected["loss_first"], rel=0.02)
    assert figures["loss_last"] == pytest.approx(expected["loss_last"], rel=0.1)
    vectors = [each.encode(ABOUT, side="input") for each in (exact, rounded)]
    cosines = (vectors[0] * vectors[1]).sum(axis=1)
    assert 0.99 < cosines.min() < 1 - 1e-6


class _Counting(TransformerEncoder):
    """Counts the texts that it learns from."""

    n_learned = 0

    def forward(self, texts: list[str]) -> torch.Tensor:
        if torch.is_grad_enabled():
            self.n_learned += len(texts)
        return super().forward(texts)


def test_a_killed_training_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    settings = RetrieverSettings(**SMALL)
    whole = _encoder()
    expected = fit(whole, DATA, settings, lambda *_: None)

    def dies(_figures: dict[str, float], step: int) -> None:
        if step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        fit(_encoder(), DATA, settings, dies, checkpoint=Checkpoint(tmp_path))
    steps: list[int] = []
    base = _encoder()
    resumed = _Counting(base.tokenizer, base.model, max_length=base.max_length)
    figures = fit(
        resumed, DATA, settings, lambda _, step: steps.append(step), checkpoint=Checkpoint(tmp_path)
    )
    # Steps 1 and 2 were the first epoch, which was kept: they are logged again, and not made again.
    assert steps == [1, 2, 3, 4, 5, 6]
    # 2 epochs of 8 inputs, with a guideline each.
    assert resumed.n_learned == 2 * 2 * 8
    assert figures == expected
    after = _weights(resumed)
    assert all(torch.equal(value, after[name]) for name, value in _weights(whole).items())


def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"half of it")
    assert Checkpoint(tmp_path).load() is None
    Checkpoint(tmp_path).save({"counts": [1, 2], "best": {"w": torch.ones(2)}})
    kept = Checkpoint(tmp_path).load()
    assert kept is not None
    assert kept["counts"] == [1, 2]
    Checkpoint(tmp_path).drop()
    assert not tmp_path.exists()


def test_training_ends_when_the_dev_inputs_gain_no_more_and_keeps_the_best_epoch() -> None:
    # Of 6 and fewer guidelines every one is among the first 6: no epoch is better than the first.
    few = {i: GUIDELINES[i] for i in range(6)}
    data = TrainingData(inputs=INPUTS[:4], guidelines=few, dev=INPUTS[4:6])
    settings = RetrieverSettings(**SMALL | {"epochs": 9, "patience": 2})
    seen: list[dict[str, float]] = []
    encoder, short = _encoder(), _encoder()
    figures = fit(encoder, data, settings, lambda told, _: seen.append(told))
    assert (figures["n_epochs"], figures["dev_recall_at_6"]) == (3, 1.0)
    assert [told["dev_recall_at_6"] for told in seen if "dev_recall_at_6" in told] == [1.0] * 3
    # What is kept is the first epoch, which training with no patience stops behind.
    fit(short, data, RetrieverSettings(**SMALL | {"epochs": 9, "patience": 1}), lambda *_: None)
    kept = _weights(short)
    assert all(torch.equal(value, kept[name]) for name, value in _weights(encoder).items())


@given(
    st.lists(
        st.tuples(st.text(max_size=9), st.integers(0, 7)),
        min_size=1,
        max_size=12,
    )
)
def test_a_batch_is_laid_out_without_loss(rows: list[tuple[str, int]]) -> None:
    batch = [TrainingPair(text, own, frozenset({own})) for text, own in rows]
    layout = lay_out(batch, GUIDELINES, Prefixes("ask: ", "say: "))
    assert [layout.texts[place] for place in layout.inputs] == [
        f"ask: {pair.text}" for pair in batch
    ]
    assert [layout.texts[place] for place in layout.guidelines] == [
        f"say: {GUIDELINES[pair.guideline_id]}" for pair in batch
    ]
    assert len(set(layout.texts)) == len(layout.texts)
    assert [len(text) for text in layout.texts] == sorted(len(text) for text in layout.texts)


def test_parts_of_like_length_learn_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = RetrieverSettings(**SMALL | {"epochs": 1})
    parts, whole = _encoder(), _encoder()
    monkeypatch.setattr("guidealign.retriever.fit._PART", 3)
    in_parts = fit(parts, DATA, settings, lambda *_: None)
    monkeypatch.setattr("guidealign.retriever.fit._PART", 100)
    at_once = fit(whole, DATA, settings, lambda *_: None)
    assert in_parts["loss_last"] == pytest.approx(at_once["loss_last"], abs=1e-4)
    after = whole.encode(ABOUT, side="input")
    assert parts.encode(ABOUT, side="input") == pytest.approx(after, abs=1e-4)


def test_a_training_is_without_dropout_whose_rate_the_saved_configuration_keeps() -> None:
    encoder = _encoder()
    rate = encoder.model.config.hidden_dropout_prob
    fit(encoder, DATA, RetrieverSettings(**SMALL), lambda *_: None)
    first, second = (encoder.forward(ABOUT).detach() for _ in range(2))
    assert torch.equal(first, second)
    assert encoder.model.config.hidden_dropout_prob == rate > 0
