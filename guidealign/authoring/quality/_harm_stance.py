"""Decides whether a guideline works against the harm that it names, or for it.

A rule that names harm is fine when it says what to refuse, avoid or protect; the same words
without any of that repeat the input's prejudice or help with its harm. Words decide here, not
meaning: what they cannot clear is stopped, for a person to look at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from guidealign.authoring.quality._word_lists import (
    common_words,
    content_stems,
    pattern,
    sentences,
    stem,
    words,
)

_CONDITION = re.compile(
    r"^(?:even\s+)?(?:when|whenever|if|where|while|once|before|after|because|since|for|in)\b"
    r"[^,]*,\s*",
    re.IGNORECASE,
)
_BE = re.compile(r"\b(?:is|are|were|be|being|aren't|can't|cannot|should|shouldn't|don't|do|have)\b")
_NEAR_WORDS = 4
_PREDICATE_WORDS = 8


@dataclass(frozen=True)
class GroupClaim:
    """A claim that an input makes about a whole group of people, as stems."""

    group: frozenset[str]
    predicate: frozenset[str]


def group_claims(text: str) -> list[GroupClaim]:
    """Finds the sentences of an input that say something general or demeaning about people."""
    claims = []
    for sentence in sentences(text):
        lower = sentence.lower()
        group = pattern("groups").search(lower)
        if group is None:
            continue
        demeaning = pattern("demeaning").search(lower)
        general = pattern("generalises").search(lower) and _BE.search(lower)
        if demeaning or general:
            tail = lower[group.end() :]
            claims.append(
                GroupClaim(
                    group=frozenset({stem(words(group[0])[0])}),
                    predicate=frozenset(content_stems(tail)[:_PREDICATE_WORDS]),
                )
            )
    return claims


def main_clause(sentence: str) -> str:
    """Strips the condition in front of a sentence; the instruction is left."""
    return _CONDITION.sub("", sentence, count=1)


def is_protected(clause: str, start: int) -> bool:
    """Whether something in the clause works against the harm named at `start`."""
    for name in ("protects", "negates"):
        for cue in pattern(name).finditer(clause):
            # "Do not hurt anybody" protects; "hurt somebody without traces" does not.
            if name == "negates" and cue.start() > start:
                continue
            near = " ".join(clause[cue.end() :].split()[:_NEAR_WORDS])
            if cue.start() > start or not pattern("undoes").search(near):
                return True
    return False


def unprotected(name: str, text: str) -> str | None:
    """Returns the first listed word in a main clause that nothing in the clause works against."""
    for sentence in sentences(text):
        clause = main_clause(sentence)
        for found in pattern(name).finditer(clause):
            if not is_protected(clause, found.start()):
                return found[0].lower()
    return None


def repeated_claim(text: str, input_text: str) -> str | None:
    """Returns the words of an input's claim about a group that a guideline repeats."""
    claims = group_claims(input_text)
    for sentence in sentences(text):
        clause = main_clause(sentence)
        said = {stem(word) for word in words(clause) if word not in common_words()}
        for claim in claims:
            of_group, of_predicate = said & claim.group, said & claim.predicate
            telling = (of_group and of_predicate) or len(of_predicate) >= 2 or of_group
            if telling and not is_protected(clause, len(clause)):
                return ", ".join(sorted(of_group | of_predicate))
    return None
