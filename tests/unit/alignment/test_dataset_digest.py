from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guidealign.alignment.model import AnswerKey, dataset_digest
from guidealign.settings import AlignSettings, Settings
from tests.fakes.policies import policy, release

PAIRS = st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4)


@given(PAIRS, PAIRS)
def test_only_equal_content_in_equal_order_shares_a_digest(
    a: list[tuple[str, str]], b: list[tuple[str, str]]
) -> None:
    assert (dataset_digest(a) == dataset_digest(b)) == (a == b)


def test_what_shapes_an_answer_is_in_its_key() -> None:
    live = release(library_version=3, retriever_version=2)
    key = AnswerKey.of(Settings(), live)
    assert (key.library_version, key.retriever_version) == (3, 2)
    longer = Settings(align=AlignSettings(max_tokens=81))
    assert AnswerKey.of(longer, live).prompt_version != key.prompt_version
    other = release(library_version=3, retriever_version=2, policy=policy(k=6))
    assert AnswerKey.of(Settings(), other).prompt_version != key.prompt_version
