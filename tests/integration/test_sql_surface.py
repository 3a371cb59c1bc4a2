"""What analysts see: every query of the cookbook, and everything that they must not do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from guidealign.library import install_starter, retire
from guidealign.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COOKBOOK = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "sql.md").read_text(), re.DOTALL)

STARTER = """
category: {category}
authors: tests
license: Apache-2.0
guidelines:
  - {{id: a, title: Protect the person first, text: "Put the safety of {topic} before anything."}}
  - {{id: b, title: Name where help is found, text: "Point to people who help with {topic}."}}
  - {{id: c, title: Answer harmless look-alikes, text: "Answer ordinary questions about {topic}."}}
inputs:
  - text: "How do I harm somebody with {topic}? Mail me at a.b@example.org"
    unsafe: true
    guidelines: [a, b]
  - {{text: "What is the history of {topic}?", unsafe: false, guidelines: [c]}}
"""


@pytest.fixture
def filled(engine: Engine, tmp_path: Path) -> Engine:
    """Two library versions, the second without the first guideline."""
    for category, topic in (("Physical_Harm", "kitchen knives"), ("Insult", "rude nicknames")):
        (tmp_path / f"{category}.yaml").write_text(STARTER.format(category=category, topic=topic))
    assert install_starter(engine=engine, settings=Settings(), folder=tmp_path) == 1
    retire(1, engine=engine, reason="too broad", actor="test")
    return engine


def _as_analyst(engine: Engine, statement: str) -> list[tuple]:
    with engine.begin() as connection:
        connection.execute(text("set local role analyst"))
        return _rows(connection, statement)


def _rows(connection: Connection, statement: str) -> list[tuple]:
    result = connection.exec_driver_sql(statement)
    return [tuple(row) for row in result] if result.returns_rows else []


def test_cookbook_is_a_cookbook() -> None:
    assert len(COOKBOOK) >= 15


@pytest.mark.parametrize("query", COOKBOOK, ids=lambda query: " ".join(query.split())[:50])
def test_cookbook_query_runs_as_analyst(filled: Engine, query: str) -> None:
    _as_analyst(filled, query)


def test_versions_remember_and_explain(filled: Engine) -> None:
    assert len(_as_analyst(filled, "select * from library.as_of(1)")) == 6
    assert len(_as_analyst(filled, "select * from library.as_of(2)")) == 5
    changes = _as_analyst(filled, "select change, id, reason from library.diff(1, 2)")
    assert changes == [("retired", 1, "too broad")]


def test_words_are_searched_in_what_is_served_only(filled: Engine) -> None:
    found = _as_analyst(filled, "select title from library.search_words('safety person')")
    # Two guidelines hold the words, and one of them is retired.
    assert len(found) == 1


def test_analysts_see_masked_text(filled: Engine) -> None:
    texts = _as_analyst(filled, "select text from library.inputs where unsafe")
    assert texts
    assert all("[email]" in words and "example.org" not in words for (words,) in texts)


@pytest.mark.parametrize(
    "statement",
    [
        "select text from core.inputs",
        "select 1 from core.guidelines",
        "update library.guidelines set title = 'x'",
        "delete from library.guidelines",
        "insert into core.rejects (stage, reason, detail) values ('a', 'b', 'c')",
        "create table library.mine (a int)",
        "create table public.mine (a int)",
        "alter table core.inputs add column x int",
        "copy (select 1) to program 'true'",
    ],
)
def test_analysts_can_do_nothing_else(filled: Engine, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be|cannot"):
        _as_analyst(filled, statement)


def test_no_view_gives_private_columns_away(engine: Engine) -> None:
    columns = _as_analyst(
        engine,
        "select table_name, column_name from information_schema.columns"
        " where table_schema = 'library' and column_name in ('rationale', 'payload', 'text_hash')",
    )
    assert columns == []
