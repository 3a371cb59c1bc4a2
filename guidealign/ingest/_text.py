"""Normalising, hashing and masking of user text."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_KEPT_CONTROLS = {"\n", "\t"}
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n{3,}")

_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
    (re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE), "[url]"),
    (re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?\b"), "[iban]"),
    (re.compile(r"\b\d(?:[ -]?\d){12,18}\b"), "[card]"),
    (re.compile(r"\b\d{3}-\d{2}-\d{4}\b"), "[ssn]"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"), "[ip]"),
    (re.compile(r"(?<!\w)\+?\(?\d{2,4}\)?(?:[ ./-]?\d{2,4}){2,4}(?!\w)"), "[phone]"),
)


def normalize_text(text: str) -> str:
    """NFKC, no control or format characters, runs of blanks folded, ends trimmed.

    Normalising twice changes nothing more.
    """
    if _is_plain(text):
        return " ".join(text.split())
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # NFKC can bring back what was removed and the other way round, so the filter runs first:
    # no character that survives it composes to a control character.
    kept = "".join(c for c in text if c in _KEPT_CONTROLS or unicodedata.category(c)[0] != "C")
    composed = unicodedata.normalize("NFKC", kept)
    lines = (_SPACES.sub(" ", line).strip() for line in composed.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def fold_text(text: str) -> str:
    """Case and white space out: texts that fold alike are the same input."""
    if _is_plain(text):
        return " ".join(text.lower().split())
    return " ".join(normalize_text(text).casefold().split())


def _is_plain(text: str) -> bool:
    """One line of printable ASCII: most texts, and there is nothing to look up in them."""
    return text.isascii() and text.isprintable()


def text_hash(text: str) -> str:
    """SHA-256 (hex) of the folded text."""
    return hashlib.sha256(fold_text(text).encode()).hexdigest()


def redact_text(text: str) -> str:
    """Masks e-mail addresses, links, account and card numbers, addresses and phone numbers.

    Patterns find forms, not names: it lowers what leaks, it does not anonymise.
    """
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text
