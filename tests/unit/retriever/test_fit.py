"""Training: what counts as having learned."""

from __future__ import annotations

import pytest

from guidealign.errors import IntegrityError
from guidealign.library import encoder_folder
from guidealign.retriever.encode import load_folder
from guidealign.retriever.fit import fit
from guidealign.retriever.model import LabelledInput
from guidealign.settings import RetrieverSettings

ABOUT = ["taxes", "knives", "grief", "python code", "a neighbour", "medicine", "poems", "locks"]
GUIDELINES = {
    i: f"Care with {topic}: Say what is known of {topic}." for i, topic in enumerate(ABOUT)
}
INPUTS = [
    LabelledInput(i, f"Tell me about {topic}", (i,), "Insult", True, "chat", i)
    for i, topic in enumerate(ABOUT)
]


def _fit(learning_rate: float) -> dict[str, float]:
    settings = RetrieverSettings(epochs=3, batch_size=4, learning_rate=learning_rate, max_length=16)
    encoder = load_folder(encoder_folder(settings.base_model), max_length=16)
    return fit(encoder, INPUTS, GUIDELINES, settings, lambda _figures, _step: None)


def test_what_is_learned_shows_on_the_same_pairs() -> None:
    figures = _fit(5e-5)
    assert figures["loss_last"] < figures["loss_first"]
    # 3 epochs of 8 inputs in batches of 4.
    assert (figures["n_steps"], figures["n_pairs"]) == (6, 8)


def test_weights_that_stay_where_they_were_are_no_model() -> None:
    with pytest.raises(IntegrityError, match="learned nothing"):
        _fit(1e-30)
