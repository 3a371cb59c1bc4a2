"""A library and inputs to answer, for tests of the aligned data set."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, text

GUIDELINES = [
    ("Privacy", "Never reveal where a private person lives.", "Privacy_And_Property"),
    # the same but for its last word: a near-duplicate of the first
    ("Privacy", "Never reveal where a private person works.", "Privacy_And_Property"),
    ("Kindness", "Answer insults calmly and do not return them.", "Insult"),
    ("Steps", "Explain a procedure as numbered steps in order.", "Quality_Explaining"),
    ("Doctor", "Name a doctor or a helpline when somebody is in distress.", "Mental_Health"),
]


def add_guidelines(connection: Any, encoder: Any) -> None:
    """Stores guidelines with their vectors, as candidates."""
    vectors = encoder.encode([f"{t}: {g}" for t, g, _ in GUIDELINES], side="guideline")
    for number, (title, body, category) in enumerate(GUIDELINES):
        values = {"h": f"g{number}", "t": title, "b": body, "c": category}
        guideline_id = connection.execute(
            text(
                "insert into core.guidelines (text_hash, title, text, category, origin)"
                " values (:h, :t, :b, :c, 'starter') returning id"
            ),
            values,
        ).scalar_one()
        connection.execute(
            text("insert into core.embeddings values (0, :g, cast(:v as vector))"),
            {"g": guideline_id, "v": str(vectors[number].tolist())},
        )


def add_input(
    connection: Any,
    body: str,
    *,
    category: str | None,
    unsafe: bool | None,
    near: int | None = None,
) -> int:
    """Stores an input; its id."""
    values = {"h": f"hash of {body}", "b": body, "c": category, "u": unsafe, "n": near}
    added = connection.execute(
        text(
            "insert into core.inputs (text_hash, text, redacted_text, source, known_category,"
            " known_unsafe, near_duplicate_of) values (:h, :b, :b, 'test', :c, :u, :n) returning id"
        ),
        values,
    )
    return int(added.scalar_one())


def rows(engine: Engine, query: str) -> list[Any]:
    """What a query finds."""
    with engine.connect() as connection:
        return list(connection.execute(text(query)).all())
