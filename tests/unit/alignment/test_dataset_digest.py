from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guidealign.alignment.model import AnswerKey, dataset_digest
from guidealign.records import Release
from guidealign.settings import AlignSettings, Settings

PAIRS = st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4)


@given(PAIRS, PAIRS)
def test_only_equal_content_in_equal_order_shares_a_digest(
    a: list[tuple[str, str]], b: list[tuple[str, str]]
) -> None:
    assert (dataset_digest(a) == dataset_digest(b)) == (a == b)


def test_what_shapes_an_answer_is_in_its_key() -> None:
    release = Release(
        release_id=1, library_version=3, retriever_version=2, labrador_version=0, prompt_version="x"
    )
    key = AnswerKey.of(Settings(), release)
    assert (key.library_version, key.retriever_version) == (3, 2)
    longer = Settings(align=AlignSettings(max_tokens=81))
    assert AnswerKey.of(longer, release).prompt_version != key.prompt_version
