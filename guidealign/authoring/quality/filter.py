"""The quality filter lets a written guideline into the library only past every rule."""

from __future__ import annotations

from pathlib import Path

import yaml

from guidealign.authoring.model import FilterVerdict, GuidelineDraft
from guidealign.authoring.quality import _harm_stance, form_rules, leakage
from guidealign.authoring.quality.injection_tripwire import speaks_to_reader
from guidealign.errors import IntegrityError

FILTER_RULES = (
    "too_short",
    "too_long",
    "injected",
    "leaks_prompt",
    "personal_data",
    "names_person",
    "repeats_prejudice",
    "endorses_harm",
    "quotes_input",
    "addresses_user",
    "answers_input",
    "not_self_contained",
    "obeys_input",
    "not_guidance",
    "copies_example",
)
"""Reasons of the filter, in the order in which they are looked for."""
_EXAMPLES = Path(__file__).resolve().parents[2] / "starter" / "review_examples.yaml"


def check_guideline(title: str, text: str, input_text: str) -> FilterVerdict:
    """Judges one guideline against the input it was written for.

    The first rule that is broken gives the reason: one of `FILTER_RULES`.

    The rules go by words. They are meant to stop too much rather than too little: what is
    stopped is kept in quarantine with the reason.
    """
    if problem := form_rules.length_problem(title, text):
        return FilterVerdict(ok=False, reason=problem[0], detail=problem[1])
    for reason, detail in (
        ("injected", form_rules.injected(title, text)),
        ("leaks_prompt", leakage.repeats_prompt(f"{title}\n{text}")),
        ("personal_data", form_rules.personal_data(title, text)),
        ("names_person", form_rules.names_person(title, text)),
        ("repeats_prejudice", _prejudice(title, text, input_text)),
        ("endorses_harm", _harm(text)),
        ("quotes_input", form_rules.quoted(text, input_text)),
        ("addresses_user", form_rules.addresses_user(text)),
        ("answers_input", form_rules.answers_input(text)),
        ("not_self_contained", form_rules.not_self_contained(text, input_text)),
        ("obeys_input", _obeyed(title, text, input_text)),
        ("not_guidance", form_rules.not_guidance(text)),
        ("copies_example", form_rules.copied_example(title, text)),
    ):
        if detail:
            return FilterVerdict(ok=False, reason=reason, detail=detail)
    return FilterVerdict(ok=True)


def stopped_example() -> tuple[GuidelineDraft, FilterVerdict]:
    """Judges the first labelled example that turns a prejudice or a harm into a rule."""
    content = yaml.safe_load(_EXAMPLES.read_text(encoding="utf-8"))
    for item in content["examples"]:
        if item["verdict"] == "stop" and item["reason"] in {"repeats_prejudice", "endorses_harm"}:
            verdict = check_guideline(item["title"], item["text"], item["input"])
            if not verdict.ok:
                return GuidelineDraft(title=item["title"], text=item["text"]), verdict
    raise IntegrityError(f"the filter stops no example of {_EXAMPLES.name}")


def _obeyed(title: str, text: str, input_text: str) -> str | None:
    if not speaks_to_reader(input_text):
        return None
    return leakage.carries_planted(title, text, input_text)


def _prejudice(title: str, text: str, input_text: str) -> str | None:
    found = (
        _harm_stance.unprotected("demeaning", text)
        or _harm_stance.unprotected("demeaning", title)
        or _harm_stance.repeated_claim(text, input_text)
    )
    return f"says of people what only prejudice says ({found})" if found else None


def _harm(text: str) -> str | None:
    found = _harm_stance.unprotected("harm", text)
    return f"names harm without working against it ({found})" if found else None
