"""Properties of normalising, hashing, masking and near-copy search."""

from __future__ import annotations

import hashlib
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guidealign.ingest import fold_text, normalize_text, redact_text, text_hash
from guidealign.ingest._near import band_keys, jaccard, shingles

_PINNED = "c36f4b54e81e8965639206d76d035abcf44ee69bb990e0e60d0516cb9434acfd"


@given(st.text() | st.text(alphabet="a \u3000\u200d\u200c\u0645\n\U0001f3f4\U000e0067\U000e007f"))
def test_normalising_twice_changes_nothing(words: str) -> None:
    once = normalize_text(words)
    assert normalize_text(once) == once


@given(st.text(st.characters() | st.sampled_from("\u200b\u202e\ufeff\x85\u2028\U000e0041\ud83d")))
def test_nothing_that_is_unsafe_or_unseen_is_left(words: str) -> None:
    left = normalize_text(words)
    assert not set(left) & {chr(c) for c in (*range(32), *range(0x7F, 0xA0)) if c != 10}
    assert not set(left) & set("\u200b\u202e\ufeff\u2028\ufffe\uffff\U000e0041")
    assert "Cs" not in {unicodedata.category(c) for c in left}


@pytest.mark.parametrize(
    "words",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian with a joiner
        "\u0915\u094d\u200d\u0937",  # Hindi with a joiner
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
        "\U0001fae8",  # newer than the tables of Python 3.11
        "10\u207b\u00b3 mg, 10\u2076 cells, 2\u00bd tablets, E=mc\u00b2",
        "\uff28\uff49",
    ],
)
def test_what_carries_meaning_stays(words: str) -> None:
    assert normalize_text(words) == words


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("one\x85two\x0bthree\u2028four", "one\ntwo\nthree\nfour"),
        ("b\u200dom\u200cb", "bomb"),  # nothing to join: it only hides the word
        ("safe\U000e0068\U000e0069", "safe"),  # tags outside a flag
        ("a\x00b\ud83d", "ab"),
    ],
)
def test_what_hides_words_goes(words: str, kept: str) -> None:
    assert normalize_text(words) == kept


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10\u2076", "106"),
        ("2\u00bd", "21/2"),
        ("10\u207b\u00b3", "10-3"),
        ("what? \U0001fae8", "what?"),
    ],
)
def test_texts_of_another_meaning_are_other_inputs(one: str, other: str) -> None:
    assert text_hash(one) != text_hash(other)


@given(st.text())
def test_what_is_stored_has_the_hash_of_what_was_said(words: str) -> None:
    assert text_hash(normalize_text(words)) == text_hash(words)


@given(st.text())
def test_rows_of_before_keep_their_hash(words: str) -> None:
    # Until revision 0023 texts were stored in NFKC and without characters of class C; their hash
    # was that of the casefolded text.
    stored = _stored_before(words)
    before = " ".join(stored.casefold().split())
    assert text_hash(stored) == hashlib.sha256(before.encode()).hexdigest()


def test_hashes_are_those_of_every_python() -> None:
    # Python 3.12 composes and orders these, which Python 3.11 does not know.
    words = "x\U0001e030y \U00010efd\u0301 \U0001fae8 \u01c5 \uff21"
    assert text_hash(words) == _PINNED


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_case_and_blanks_do_not_make_another_input(words: str) -> None:
    assert text_hash(words.upper()) == text_hash(f"  {words.lower()}\n")


def _stored_before(words: str) -> str:
    words = words.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in words if c in "\n\t" or unicodedata.category(c)[0] != "C")
    lines = unicodedata.normalize("NFKC", kept).split("\n")
    joined = "\n".join(re.sub(r"[^\S\n]+", " ", line).strip() for line in lines)
    return re.sub(r"\n{3,}", "\n\n", joined).strip()


@given(st.text(alphabet=st.characters(codec="ascii")) | st.text(alphabet="aB  ~!"))
def test_short_cut_for_plain_texts_changes_nothing(words: str) -> None:
    plain = re.sub(r"[^\n\t -~]", "", re.sub(r"\r\n|[\r\x0b\x0c]", "\n", words))
    assert normalize_text(words) == _stored_before(plain)
    assert fold_text(words) == " ".join(_stored_before(plain).casefold().split())


# The first call brings scipy in.
@settings(deadline=None)
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
