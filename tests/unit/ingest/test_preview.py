"""The preview shows what would be read, and why not; the program says so by its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guidealign.cli._app import app
from guidealign.errors import BadInputError
from guidealign.ingest import file_source, preview_source
from guidealign.settings import Settings
from tests.unit.ingest.reading import write

_CHAT = {
    "id": "c1",
    "create_time": 1_764_000_000,
    "messages": [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": "Mail jo@example.org how to calm a dog?"},
    ],
}


def test_it_shows_inputs_rejects_and_notes(tmp_path: Path) -> None:
    lines = [json.dumps(_CHAT), "broken", "broken", '{"text": "Caf\\u00e9?"}', ""]
    path = write(tmp_path, "in.jsonl", "\n".join(lines).encode("utf-16"))
    found = preview_source(file_source(path, time_field="when"), settings=Settings())
    assert (found.n_read, found.n_accepted, found.n_rejected, found.complete) == (4, 2, 2, True)
    assert [(i.line, i.text, i.source_id) for i in found.inputs] == [
        (1, "Mail [email] how to calm a dog?", "c1#1"),
        (4, "Caf\u00e9?", None),
    ]
    assert [(r.reason, r.n, r.line) for r in found.rejects] == [("broken_json", 2, 2)]


def test_it_ends_where_it_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "in.jsonl", '{"text": "again?"}\n' * 9)
    found = preview_source(file_source(path), settings=Settings(), most_records=4)
    assert (found.n_read, found.complete) == (4, False)
    found = preview_source(file_source(path), settings=Settings(), most_records=9)
    assert (found.n_read, found.complete) == (9, True)


def test_the_command(tmp_path: Path) -> None:
    path = write(tmp_path, "in.csv", "id;text\n1;Is [this] it?\n2;\n")
    shown = CliRunner().invoke(app, ["inputs", "preview", str(path)])
    assert shown.exit_code == 0
    assert "2 records, 1 accepted, 1 rejected" in shown.output
    assert "Is [this] it?" in shown.output
    printed = CliRunner().invoke(app, ["inputs", "preview", str(path), "--json"])
    assert json.loads(printed.output)["n_accepted"] == 1
    piped = CliRunner().invoke(app, ["inputs", "preview", "-"], input='{"text": "piped?"}')
    assert "1 accepted" in piped.output


def test_a_file_of_which_nothing_can_be_read_fails(tmp_path: Path) -> None:
    path = write(tmp_path, "in.jsonl", "question,when\nWhat?,now\n")
    shown = CliRunner().invoke(app, ["inputs", "preview", str(path)])
    assert isinstance(shown.exception, BadInputError)
    assert "broken_json" in shown.output


@pytest.mark.parametrize("option", ["--delimiter", "--encoding"])
def test_an_option_that_is_wrong_is_one_sentence(tmp_path: Path, option: str) -> None:
    path = write(tmp_path, "in.csv", "text\nWhat?\n")
    shown = CliRunner().invoke(app, ["inputs", "preview", str(path), option, "wrong"])
    assert isinstance(shown.exception, BadInputError)
