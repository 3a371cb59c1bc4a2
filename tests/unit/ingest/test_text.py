"""Properties of normalising, hashing, masking and near-copy search."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.ingest import fold_text, normalize_text, redact_text, text_hash
from guidealign.ingest._near import band_keys, jaccard, shingles


@given(st.text())
def test_normalising_twice_changes_nothing(words: str) -> None:
    once = normalize_text(words)
    assert normalize_text(once) == once


@given(st.text())
def test_no_control_character_is_left(words: str) -> None:
    left = {unicodedata.category(c) for c in normalize_text(words)} & {"Cc", "Cf", "Cs", "Co", "Cn"}
    assert left <= {"Cc"}
    assert not set(normalize_text(words)) & {chr(c) for c in range(32) if c != 10}


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_case_and_blanks_do_not_make_another_input(words: str) -> None:
    assert text_hash(words.upper()) == text_hash(f"  {words.lower()}\n")


def _one_by_one(words: str) -> str:
    """The definition, without a short cut."""
    words = words.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in words if c in "\n\t" or unicodedata.category(c)[0] != "C")
    lines = unicodedata.normalize("NFKC", kept).split("\n")
    joined = "\n".join(re.sub(r"[^\S\n]+", " ", line).strip() for line in lines)
    return re.sub(r"\n{3,}", "\n\n", joined).strip()


@given(st.text() | st.text(alphabet=st.characters(codec="ascii")) | st.text(alphabet="aB  ~!"))
def test_short_cut_for_plain_texts_changes_nothing(words: str) -> None:
    assert normalize_text(words) == _one_by_one(words)
    assert fold_text(words) == " ".join(_one_by_one(words).casefold().split())


@given(st.text(max_size=40), st.text(max_size=40))
def test_jaccard_is_symmetric_and_bounded(left: str, right: str) -> None:
    a, b = shingles(left), shingles(right)
    assert jaccard(a, b) == jaccard(b, a)
    assert 0.0 <= jaccard(a, b) <= 1.0
    assert (jaccard(a, a), len(band_keys(a))) == (1.0, 16)


def test_jaccard_by_hand() -> None:
    # "abcdef" -> abcde, bcdef; "abcdex" -> abcde, bcdex: 1 shared of 3.
    assert jaccard(shingles("abcdef"), shingles("abcdex")) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        ("write to jo.do@mail.example.org today", "write to [email] today"),
        ("see https://a.example/x?y=1 now", "see [url] now"),
        ("call +44 20 7946 0958 please", "call [phone] please"),
        ("host 192.168.10.4 is down", "host [ip] is down"),
        ("card 4111 1111 1111 1111 ok", "card [card] ok"),
        ("In 2024 we sold 1500 units in 12 months", "In 2024 we sold 1500 units in 12 months"),
    ],
)
def test_personal_data_is_masked(words: str, masked: str) -> None:
    assert redact_text(words) == masked


def test_fold_ignores_width_and_case() -> None:
    assert fold_text("\uff28ello\u200b  World") == "hello world"
