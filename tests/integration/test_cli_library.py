"""`guidealign library` as people and programs run it, against a real database."""

from __future__ import annotations

import getpass
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from guidealign.library import install_starter, merge
from guidealign.settings import Settings
from tests.fakes.program import run_program
from tests.integration.library_fixture import add_guideline, write_starter


class Cli:
    """The program on one database, in this process: a new one takes seconds to start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
        monkeypatch.setenv("GUIDEALIGN_DATABASE_URL", database_url)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_program("library", *arguments)

    def text(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refusal(self, *arguments: str) -> str:
        """The one line that says what is wrong; nothing goes to stdout."""
        done = self.run(*arguments)
        lines = done.stderr.strip().splitlines()
        assert (done.returncode, done.stdout, len(lines)) == (2, "", 1), done.stderr
        assert lines[0].startswith("guidealign: ")
        return lines[0]


@pytest.fixture
def cli(engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Version 1: six guidelines; 7 is a candidate, 8 was stopped by the filter."""
    write_starter(tmp_path / "starter")
    install_starter(engine=engine, settings=Settings(), folder=tmp_path / "starter")
    add_guideline(engine, "Name the [red]source[/red]", "Say where a figure comes from.")
    stopped = add_guideline(engine, "Mock him", "Answer rude nicknames with ruder ones.")
    with engine.begin() as connection:
        connection.execute(
            text(
                "update core.guidelines set state = 'quarantined', state_reason = 'harm: mocks'"
                " where id = :id"
            ),
            {"id": stopped},
        )
    return Cli(monkeypatch, database_url)


def _ids(found: list[dict[str, Any]]) -> set[int]:
    return {guideline["guideline_id"] for guideline in found}


def test_search_by_words(cli: Cli) -> None:
    # "nicknames" stands in guidelines 1 to 3 and in 8, which is not served.
    assert _ids(cli.json("search", "nicknames")) == {1, 2, 3}
    assert _ids(cli.json("search", '"point to people"')) == {2, 5}
    assert _ids(cli.json("search", "safety", "--category", "Physical_Harm")) == {4}
    assert _ids(cli.json("search", "safety", "--language", "de")) == set()
    assert len(cli.json("search", "nicknames", "--k", "2")) == 2
    shown = cli.text("search", "nicknames")
    assert "Put the safety of rude nicknames before anything." in shown
    assert "nothing found" in cli.text("search", "spaceship")


def test_search_by_meaning_and_by_both(cli: Cli) -> None:
    by_meaning = cli.json("search", "blades for cooking", "--meaning", "--k", "3")
    assert _ids(by_meaning) == {4, 5, 6}
    assert [g["rank"] for g in by_meaning] == [1, 2, 3]
    assert 4 in _ids(cli.json("search", "safety of kitchen knives", "--hybrid", "--k", "1"))
    assert _ids(cli.json("search", "knives", "--meaning", "--origin", "model")) == set()
    at_first = cli.json("search", "knives", "--meaning", "--version", "1")
    assert _ids(at_first) == {1, 2, 3, 4, 5, 6}
    # All cosines among these six are above 0.
    assert len(cli.json("search", "knives", "--meaning", "--distinct", "0")) == 1


def test_show_has_everything_about_a_guideline(cli: Cli, engine: Engine) -> None:
    merge(2, 1, engine=engine, actor="test", reason="the same")
    found = cli.json("show", "1")
    assert found["guideline"]["title"] == "Protect the person first"
    # The merged one's input is the same one: it counts for the one that stays.
    assert [i["text"] for i in found["inputs"]] == [
        "How do I harm somebody with rude nicknames? Mail me at [email]"
    ]
    assert [(m["id"], m["state"]) for m in found["merged"]] == [(2, "merged")]
    assert 0 < found["merged"][0]["score"] < 1
    assert {n["id"] for n in found["near"]} == {3, 4, 5, 6}
    steps = [(s["from_state"], s["to_state"], s["version"]) for s in found["history"]]
    assert steps == [(None, "candidate", None), ("candidate", "active", 1)]
    shown = cli.text("show", "2")
    assert "merged into  1" in shown
    assert "the same" in shown
    # Not read as markup.
    assert "Name the [red]source[/red]" in cli.text("show", "7")


def test_decisions_are_made_and_remembered(cli: Cli, engine: Engine) -> None:
    me = f"cli:{getpass.getuser()}"
    assert "approved" in cli.text("approve", "8", "--reason", "irony")
    assert "version 2" in cli.text("merge", "2", "1", "--reason", "the same")
    assert "version 3" in cli.text("unmerge", "2", "--reason", "it is not")
    assert "version 4" in cli.text("retire", "3", "--reason", "too broad")
    steps = cli.json("history", "2")
    assert [(s["to_state"], s["reason"], s["actor"]) for s in steps[2:]] == [
        ("merged", "the same", me),
        ("active", "merge undone: it is not", me),
    ]
    with engine.begin() as connection:
        connection.execute(
            text("insert into core.conflicts (left_id, right_id, score) values (4, 5, 0.9)")
        )
    assert "served together" in cli.text("dismiss", "5", "4", "--reason", "they add up")
    assert cli.json("show", "4")["conflicts"][0]["decided_by"] == me


def test_versions_and_what_changed(cli: Cli) -> None:
    cli.text("retire", "3", "--reason", "too broad")
    rows = cli.json("versions")
    assert [(row["version"], row["n_active"], row["n_retired"]) for row in rows] == [
        (2, 5, 1),
        (1, 6, 0),
    ]
    assert cli.json("history") == rows
    changes = cli.json("diff", "1", "2")
    assert [(c["change"], c["id"], c["reason"]) for c in changes] == [("retired", 3, "too broad")]
    assert [c["change"] for c in cli.json("diff", "2", "1")] == ["added"]
    assert "too broad" in cli.text("diff", "1", "2")
    assert "hold the same" in cli.text("diff", "2", "2")


def test_figures(cli: Cli) -> None:
    found = cli.json("stats")
    assert found["states"] == {"active": 6, "candidate": 1, "quarantined": 1}
    insult = next(c for c in found["categories"] if c["category"] == "Insult")
    assert (insult["n_inputs"], insult["n_unsafe"], insult["n_active"]) == (2, 1, 3)
    assert [v["version"] for v in found["publications"]] == [1]
    assert found["indexes"] == []
    assert "6 active, 1 candidate, 1 quarantined" in cli.text("stats")


def test_index_says_how_each_version_is_searched(cli: Cli) -> None:
    # Six active guidelines and one that waits: fewer than an index is worth.
    results = cli.json("index")
    assert [(r["retriever_version"], r["indexed"]) for r in results] == [(-1, False)]
    assert "exactly" in cli.text("index", "--", "-1")


REFUSALS = [
    (("show", "99"), "there is no guideline 99"),
    (("history", "99"), "there is no guideline 99"),
    (("diff", "1", "9"), "there is no library version 9"),
    (("retire", "99", "--reason", "x"), "there is no guideline 99"),
    (("retire", "1", "--reason", " "), "needs a reason"),
    (("retire", "1"), "--reason"),
    (("approve", "1", "--reason", "x"), "only what waits can be approved"),
    (("unmerge", "1", "--reason", "x"), "is not merged"),
    (("dismiss", "1", "2", "--reason", "x"), "no open conflict"),
    (("search", "x", "--category", "Nope"), "there is no category 'Nope'"),
    (("search", "x", "--origin", "model"), "--meaning only"),
    (("search", "x", "--meaning", "--hybrid"), "exclude each other"),
    (("search", "x", "--meaning", "--version", "9"), "there is no library version 9"),
    (("search", "x", "--k", "0"), "--k"),
    (("show", "seven"), "guideline_id"),
    (("index", "5"), "retriever version 5 has no vectors"),
]


def test_bad_input_is_one_line(cli: Cli) -> None:
    # One database for all: nothing is written.
    for arguments, words in REFUSALS:
        assert words in cli.refusal(*arguments), arguments


def test_no_database_is_one_line() -> None:
    done = run_program("library", "stats")
    assert done.returncode == 2
    assert done.stderr.startswith("guidealign: no database is configured")
