"""Rules about a guideline's form: length, marks, quotation, personal data, addressee.

Each returns what is wrong, for people, or None."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from guidealign.authoring.prompts import QUALITY_PROMPT, SAFETY_PROMPT, load_prompt
from guidealign.authoring.quality._word_lists import (
    common_words,
    content_stems,
    given_names,
    sentences,
    telling_words,
    words,
)
from guidealign.ingest import redact_text

_TITLE_CHARS = (3, 90)
_TEXT_CHARS = (30, 420)
_LEAST_WORDS = 6
_QUOTED_WORDS = 6
_QUOTED_CONTENT = 3
_MARKED_WORDS = 3
"""Of a quotation in its marks, which need not be long to be one."""
_OVERLAP = 0.5
_OVERLAP_LEAST = 4
_COPY_OVERLAP = 0.75

_MARKS = re.compile(
    r"</?\s*input\b|input-[0-9a-z]{2,}|<\||\|>|\[/?INST\]|<</?SYS|\bunsafe_content\b"
    r"|\bmay_trigger_unsafe\b|\{\"|\"\s*:\s*[\[{\"]",
    re.IGNORECASE,
)
_OVERRIDE = re.compile(
    r"^(?:please\s+|always\s+|now\s+)?(?:ignore|disregard|forget|override|bypass)\s+(?:\w+\s+){0,3}"
    r"(?:instruction|rule|guideline|polic|prompt|safety|filter|restriction|above)"
    r"|^(?:you are now|act as if (?:you|there))"
    r"|^(?:mark|classify|label|rate|treat)\s+(?:\w+\s+){1,3}as (?:safe|harmless)\b"
    r"|\b(?:comply with|obey) (?:every|all|any|whatever)\b"
    # "Follow every statement with an example" is no such order.
    r"|\bfollow (?:every|all|any|whatever) (?:\w+\s+){0,2}"
    r"(?:wish|whim|order|command|demand|instruct|direct|request|word|user|they|he|she|is)",
    re.IGNORECASE,
)
_FIRST_PERSON = re.compile(r"\b(?:I|I'm|I'll|I've|I'd|me|my|mine|myself)\b")
_SECOND_PERSON = re.compile(
    r"\byou(?:'re| are not alone| deserve| feel| mentioned| said| asked| want to| may want"
    r"| might want| could| can also|'ve| have been)\b"
    r"|\byour (?:question|message|request|problem|pain|feelings|friends?|family|doctor|colleagues?"
    r"|neighbou?rs?|loss|situation|child|boss|landlord|partner|blog|code|writing|arguments?|points?"
    r"|audience|strengths|skills|experience|doses?|health)\b"
    r"|\b(?:to|for|with) you\b|\b(?:you (?:should|must)|(?:can|do|did|have|are) you)\b|\?$"
    r"|^(?:sorry|thank you|hello|hi|dear)\b"
    r"|^(?:seek|get|find|consult|contact|see|call|visit|talk to|reach out to|speak to|ask)\s+"
    r"(?:\w+\s+){0,2}"
    r"(?:professional|therapist|doctor|physician|pharmacist|friend|counsel|lawyer|police)",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"^(?:the (?:correct )?answer (?:is|to)|here(?:'s| is| are)|sure\b|certainly\b|yes\b|no,"
    r"|to (?:\w+\s+){1,6},)"
    r"|```|\bstep 1\b|\b\d+(?:\.\d+)?\s?(?:mg|ml|grams?|tablets?|kg|%|euros?|dollars?)\b"
    r"|[=\u00d7\u00f7]\s*\d",
    re.IGNORECASE,
)
# "Say that the answer is 144", but not "say how sure the answer is".
_ANSWER_GIVEN = re.compile(
    r"\bthe (?:correct |right |final )?(?:answer|result|solution) is "
    r"(?:about |roughly )?[\d\"\u201cA-Z]"
)
_POINTS_AT_INPUT = re.compile(
    r"\b(?:this|these) (?:specific |particular |exact )?(?:message|input|request|question|user"
    r"|person|poem|post|text|conversation|case|example|blog|letter|problem|task)\b"
    r"|\bthe (?:message|input|text|request|example|prompt) (?:above|below|given|shown|provided)\b"
    r"|\bas (?:mentioned|described|stated|shown) (?:above|before|earlier)\b"
    r"|\bthe given (?:message|input)\b|\bin the message\b"
    r"|\bthe (?:user|message) (?:is asking|asked|mentioned|said)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![.!?:;\"'\n])(?<!^)\s([A-Z][a-z]{2,})\b")
_CAPITALISED = re.compile(r"\b[A-Z][a-z]+\b")
_TITLED = re.compile(
    r"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Madam|Herr|Frau|Monsieur|Madame)\b\.?\s+"
    r"[A-Z][a-z]+"
)
_DEFINITE = re.compile(r"\b(?:the|this|that) (?=([a-z]{3,})\b)", re.IGNORECASE)
_KNOWN_NAMES = frozenset((
    "python", "java", "javascript", "typescript", "excel", "google", "linux", "windows",
    "english", "german", "french", "spanish", "italian", "wikipedia", "january", "february",
    "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
    "internet",
))  # fmt: skip
_POSTAL = re.compile(
    r"\b\d{1,5}[a-z]?,?\s+(?:[A-Z][\w'-]+\s+){1,3}"
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Square|Boulevard|Court|Close|Way|Terrace)\b"
    r"|\b[A-Z]\w+(?:stra\u00dfe|strasse|str\.|weg|gasse|platz|allee)\s+\d{1,4}\b"
    r"|\b(?:[Rr]ue|[Cc]alle|[Vv]ia|[Pp]iazza)\s+(?:\w+\s+){0,3}[A-Z]\w+,?\s+\d{1,4}\b"
    r"|\bP\.?\s?O\.?\s[Bb]ox\s+\d+"
)
_IN_QUOTES = re.compile(r"[\"\u201c\u00ab]([^\"\u201d\u00bb]{3,})[\"\u201d\u00bb]")
_SHOULD = re.compile(
    r"\b(?:should|must|ought to|is to|are to|needs? to|never|do not)\b", re.IGNORECASE
)


def length_problem(title: str, text: str) -> tuple[str, str] | None:
    """Finds a guideline too short or too long; returns the rule's name and the detail."""
    if (
        len(title) < _TITLE_CHARS[0]
        or len(text) < _TEXT_CHARS[0]
        or len(words(text)) < _LEAST_WORDS
    ):
        return "too_short", "title or text says too little to act on"
    for name, value, most in (("title", title, _TITLE_CHARS[1]), ("text", text, _TEXT_CHARS[1])):
        if len(value) > most:
            return "too_long", f"the {name} has {len(value)} characters, at most {most} are kept"
    return None


def injected(title: str, text: str) -> str | None:
    """Finds marks of the prompt, or an order to drop the rules."""
    if _MARKS.search(f"{title}\n{text}"):
        return "repeats marks of the prompt"
    if any(_OVERRIDE.search(part) for part in (title, *sentences(text))):
        return "orders the assistant to drop its rules"
    return None


def personal_data(title: str, text: str) -> str | None:
    """Finds addresses, numbers and links: a guideline needs none, and a model invents them."""
    both = f"{title}\n{text}"
    if _POSTAL.search(both):
        return "contains what looks like a postal address"
    masked = redact_text(both)
    if masked == both:
        return None
    kind = re.search(r"\[(email|url|iban|card|ssn|ip|phone)\]", masked)
    return f"contains what looks like {kind[1] if kind else 'personal data'}"


def names_person(title: str, text: str) -> str | None:
    """Finds a person's name: a rule about one person is no rule, and the name may be real."""
    # A title may be written in capitals throughout: "Dr" before one of its words says little.
    found = _TITLED.search(text)
    if found is None:
        both = f"{title}\n{text}"
        found = next((n for n in _CAPITALISED.finditer(both) if n[0] in given_names()), None)
    return f"names a person ({found[0]})" if found else None


def copied_example(title: str, text: str) -> str | None:
    """Finds an example of the prompt handed back: it was written for another input."""
    said = frozenset(content_stems(f"{title} {text}"))
    for example in _example_stems():
        shared = len(said & example) / max(1, len(said | example))
        if shared >= _COPY_OVERLAP:
            return "repeats an example of the prompt"
    return None


@lru_cache(maxsize=1)
def _example_stems() -> tuple[frozenset[str], ...]:
    found = []
    for name in (SAFETY_PROMPT, QUALITY_PROMPT):
        for turn in load_prompt(name).examples():
            pairs = re.findall(r'"title":"([^"]+)","text":"([^"]+)"', turn)
            found += [frozenset(content_stems(f"{title} {text}")) for title, text in pairs]
    return tuple(found)


def quoted(text: str, input_text: str) -> str | None:
    """Finds a run of words, or most content words, taken from the input."""
    mine, theirs = words(text), words(input_text)
    run = _longest_common_run(mine, theirs)
    if (
        len(run) >= _QUOTED_WORDS
        and sum(word not in common_words() for word in run) >= _QUOTED_CONTENT
    ):
        return f"{len(run)} words in a row come from the input"
    for inner in _IN_QUOTES.findall(text):
        marked = words(inner)
        if len(marked) >= _MARKED_WORDS and len(_longest_common_run(marked, theirs)) == len(marked):
            return f"{len(marked)} words in quotation marks come from the input"
    said, given = content_stems(text), set(content_stems(input_text))
    shared = [word for word in said if word in given]
    if len(set(shared)) >= _OVERLAP_LEAST and len(shared) / len(said) >= _OVERLAP:
        return f"{len(shared)} of {len(said)} content words come from the input"
    return None


def addresses_user(text: str) -> str | None:
    """Finds a text that speaks as the assistant, or to the person who wrote the input."""
    plain = re.sub(r"[\"\u201c\u2018][^\"\u201d\u2019]*[\"\u201d\u2019]", "", text)
    if _FIRST_PERSON.search(plain):
        return "speaks in the first person"
    if any(_SECOND_PERSON.search(part) for part in sentences(plain)):
        return "speaks to the person who asked"
    return None


def answers_input(text: str) -> str | None:
    """Finds an answer, a quantity or code in place of guidance."""
    parts = sentences(text)
    found = next((p for p in parts if _ANSWER.search(p) or _ANSWER_GIVEN.search(p)), None)
    return "gives an answer, a quantity or code" if found else None


def not_self_contained(text: str, input_text: str) -> str | None:
    """Finds a pointer to one message, or a name from it."""
    if _POINTS_AT_INPUT.search(text):
        return "points at one message, which later readers do not see"
    theirs = {name.lower() for name in _NAME.findall(f" {input_text}")}
    mine = {name.lower() for name in _NAME.findall(text)}
    # "the captain", after an input that made somebody Captain Chaos
    mine |= {word.lower() for word in _DEFINITE.findall(text)}
    named = (theirs & mine) - _KNOWN_NAMES
    return "uses a name from the input" if named else None


def not_guidance(text: str) -> str | None:
    """Finds a text whose first sentence does not tell an assistant what to do."""
    parts = sentences(text)
    first = words(parts[0])[:1] if parts else []
    if first and (first[0] in telling_words() or _SHOULD.search(parts[0])):
        return None
    return "the first sentence does not say what to do"


def _longest_common_run(mine: Sequence[str], theirs: Sequence[str]) -> list[str]:
    best_end, best = 0, 0
    lengths = [0] * (len(theirs) + 1)
    for i, word in enumerate(mine, start=1):
        fresh = [0] * (len(theirs) + 1)
        for j, other in enumerate(theirs, start=1):
            if word == other:
                fresh[j] = lengths[j - 1] + 1
                if fresh[j] > best:
                    best, best_end = fresh[j], i
        lengths = fresh
    return list(mine[best_end - best : best_end])
