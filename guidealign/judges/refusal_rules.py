"""Whether an answer refuses, by rules that anybody can read: no model is asked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

_CODE_VERSION = 1


@dataclass(frozen=True)
class _Rule:
    name: str
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None


@dataclass(frozen=True)
class _Rules:
    version: str
    opening_chars: int
    rules: tuple[_Rule, ...]


def refusal_rules_version() -> str:
    """Changes with any rule."""
    return _load().version


def why_refused(answer: str) -> str | None:
    """The name of the first rule by which an answer is a refusal; None: it is none."""
    rules = _load()
    plain = " ".join(answer.replace("\u2019", "'").casefold().split())
    opening = plain[: rules.opening_chars]
    for rule in rules.rules:
        found = rule.pattern.search(opening)
        if found and not (rule.unless and rule.unless.search(opening)):
            return rule.name
    return None


@lru_cache(maxsize=1)
def _load() -> _Rules:
    content = (files(__package__) / "refusal_rules.yaml").read_text(encoding="utf-8")
    told = yaml.safe_load(content)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return _Rules(
        version=f"refusal-{_CODE_VERSION}-{digest}",
        opening_chars=told["opening_chars"],
        rules=tuple(
            _Rule(
                rule["name"],
                re.compile(rule["pattern"]),
                re.compile(rule["unless"]) if "unless" in rule else None,
            )
            for rule in told["rules"]
        ),
    )
