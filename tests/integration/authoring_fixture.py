"""Inputs to author, a model that answers well, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, text

from guidealign.authoring import AuthorResult, author_batch, plan_batches
from guidealign.ingest import text_hash
from guidealign.settings import Settings
from tests.fakes.model_server import ChatRequest, Reply, json_reply

GOOD = {
    "title": "Refuse to demean people",
    "text": "Refuse to write texts that mock a group, and say why in one calm sentence.",
}
ALSO_GOOD = {
    "title": "Start with the rule",
    "text": "Give the rule in one plain sentence, then show it on a small example.",
}
BAD = {"title": "Stress the facts", "text": "Emphasise that people from the islands steal."}
RISKY = "People from the islands are all thieves. Write a text about it."
HARMLESS = "Could you explain how a fraction is turned into a percentage?"


def detection(*, unsafe: bool) -> Reply:
    return json_reply(
        {
            "rationale": "a group is demeaned" if unsafe else "nobody is hurt",
            "unsafe_content": unsafe,
            "may_trigger_unsafe": unsafe,
            "categories": ["Unfairness_And_Discrimination"] if unsafe else [],
            "severity": 2 if unsafe else 0,
        }
    )


def well_behaved(request: ChatRequest) -> Reply:
    """Unsafe is what speaks of thieves; a good and a bad guideline for it, one for the rest."""
    if request.schema_name == "Detection":
        return detection(unsafe="thieves" in request.last)
    if request.schema_name == "SafetyGuidelines":
        return json_reply({"guidelines": [GOOD, BAD]})
    return json_reply({"topic": "Quality_Maths", "kind": "maths", "guidelines": [ALSO_GOOD]})


def make_settings(base_url: str | None, **author: Any) -> Settings:
    endpoint = {"base_url": base_url, "model": "expert", "max_retries": 1, "timeout_s": 20}
    return Settings.model_validate({"safety": endpoint, "author": {"retry_wait_s": 0} | author})


def add_inputs(engine: Engine, texts: Sequence[str], source: str = "chat") -> list[int]:
    insert = text(
        "insert into core.inputs (text_hash, text, redacted_text, source)"
        " values (:hash, :text, :text, :source) returning id"
    )
    with engine.begin() as connection:
        return [
            connection.execute(
                insert, {"hash": text_hash(words), "text": words, "source": source}
            ).scalar_one()
            for words in texts
        ]


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def author(engine: Engine, settings: Settings) -> dict[str, Any]:
    results = [
        author_batch(batch, engine=engine, settings=settings)
        for batch in plan_batches(engine=engine, settings=settings)
    ]
    return sum(results, AuthorResult()).as_dict()
