"""The program under settings that are wrong: a line for each, no command begins, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from guidealign.cli import app
from guidealign.cli.settings import write_first_settings
from guidealign.settings import load_settings
from tests.fakes.program import run_program

WRONG = """
[retreival]
k = 6
[retrieval]
K = 6
[author]
review_polcy = "human"
[gates]
approver = ["ada"]
"""
MEANT = {
    "retreival": "retrieval",
    "retrieval.K": "retrieval.k",
    "author.review_polcy": "author.review_policy",
    "gates.approver": "gates.approvers",
}


@pytest.fixture
def wrong_file(own_home: Path) -> Path:
    own_home.mkdir()
    file = own_home / "guidealign.toml"
    file.write_text(WRONG)
    return file


def _lines(file: Path) -> set[str]:
    return {f"{file}: unknown setting {name}: did you mean {m}?" for name, m in MEANT.items()}


def _commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Each command with as many arguments and options as it asks for."""
    if hasattr(command, "commands"):
        below = command.commands.items()
        return [found for name, c in below for found in _commands(c, (*path, name))]
    needed = [p for p in command.params if p.required]
    given = [(*(p.opts[:1] if p.param_type_name == "option" else ()), "1") for p in needed]
    return [(*path, *(word for words in given for word in words))]


COMMANDS = _commands(get_command(app))
BEGIN = [c for c in COMMANDS if c[0] not in {"down", "status", "doctor"}]


@pytest.mark.parametrize("command", BEGIN, ids=" ".join)
def test_no_command_begins(command: tuple[str, ...], wrong_file: Path) -> None:
    done = run_program(*command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert set(done.stderr.splitlines()) == {f"guidealign: {line}" for line in _lines(wrong_file)}
    assert list(wrong_file.parent.iterdir()) == [wrong_file]


def test_a_process_of_its_own_says_the_same(wrong_file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "guidealign.cli", "serve"],
        env=os.environ | {"GUIDEALIGN_RETRIEVAL__KAY": "9"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert set(done.stderr.splitlines()) == {
        "guidealign: warning: GUIDEALIGN_RETRIEVAL__KAY is no setting and has no effect: did you"
        " mean GUIDEALIGN_RETRIEVAL__K?",
        *(f"guidealign: {line}" for line in _lines(wrong_file)),
    }


def test_doctor_says_each_and_looks_at_nothing_else(wrong_file: Path) -> None:
    done = run_program("doctor", GUIDEALIGN_RETRIEVAL__KAY="9")
    assert done.returncode == 2
    said = " ".join(done.stdout.split())
    for line in _lines(wrong_file):
        assert f"fail settings {line}" in said
    assert "warn settings GUIDEALIGN_RETRIEVAL__KAY is no setting" in said
    assert said.count("settings") - said.count("guidealign settings") >= 5
    assert "Python" not in said
    assert done.stderr == ""


def test_doctor_says_how_many_settings_were_changed() -> None:
    done = run_program("doctor", GUIDEALIGN_RETRIEVAL__K="3")
    said = " ".join(done.stdout.split())
    # The test's own home has deadlines off.
    assert "ok settings 2 differ from their defaults" in said


def test_a_worker_of_the_gateway_says_the_same(wrong_file: Path) -> None:
    code = "from guidealign.serving.run import create_app; create_app()"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 1
    assert {line.removeprefix("guidealign: ") for line in done.stderr.splitlines()} == (
        _lines(wrong_file)
    )


def test_status_shows_the_services_and_says_what_is_wrong(wrong_file: Path) -> None:
    done = run_program("status", "--json")
    assert (done.returncode, done.stdout) == (2, "[]\n")
    assert set(done.stderr.splitlines()) == {f"guidealign: {line}" for line in _lines(wrong_file)}


def test_what_runs_can_be_stopped_all_the_same(wrong_file: Path) -> None:
    done = run_program("down")
    assert (done.returncode, done.stdout) == (0, "nothing was running\n")
    assert {line.removeprefix("guidealign: warning: ") for line in done.stderr.splitlines()} == (
        _lines(wrong_file)
    )


def test_help_needs_no_settings(wrong_file: Path) -> None:
    for command in ((), ("library",), ("serve",)):
        done = run_program(*command, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage" in done.stdout


def test_a_variable_that_is_no_setting_is_a_warning() -> None:
    done = run_program("down", GUIDEALIGN_GATES__APPROVER='["ada"]')
    assert done.returncode == 0
    assert done.stderr == (
        "guidealign: warning: GUIDEALIGN_GATES__APPROVER is no setting and has no effect: did you"
        " mean GUIDEALIGN_GATES__APPROVERS?\n"
    )


def test_settings_show_what_was_changed_and_where(own_home: Path) -> None:
    own_home.mkdir()
    (own_home / "guidealign.toml").write_text('[retrieval]\nk = 6\n[safety]\napi_key = "secret"\n')
    shown = run_program("settings", "--changed", GUIDEALIGN_SERVE__PORT="9").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["retrieval.k", "6", "2", "guidealign.toml"] in lines
    assert ["serve.port", "9", "8093", "GUIDEALIGN_SERVE__PORT"] in lines
    assert ["safety.api_key", '"***"', '"none"', "guidealign.toml"] in lines
    assert "secret" not in shown.replace("secrets", "")


def test_settings_are_narrowed_down_by_name() -> None:
    one = run_program("settings", "retrieval.k")
    assert one.stdout.startswith("retrieval.k = 2\n  Most guidelines that a prompt gets.")
    names = [v["name"] for v in json.loads(run_program("settings", "gates", "--json").stdout)]
    assert names[0] == "gates.policy_folder"
    assert all(name.startswith("gates.") for name in names)
    wrong = run_program("settings", "retreival")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.endswith("is called retreival: did you mean retrieval?\n")


def test_the_schema_is_printed_and_the_documents_are_written(tmp_path: Path) -> None:
    printed = run_program("settings", "schema").stdout
    assert json.loads(printed)["additionalProperties"] is False
    assert run_program("settings", "--write-docs", str(tmp_path)).returncode == 0
    assert (tmp_path / "settings.schema.json").read_text() == printed
    assert (tmp_path / "settings.md").read_text().startswith("# Settings\n")


def test_the_first_settings_are_accepted_and_kept(own_home: Path) -> None:
    write_first_settings()
    assert load_settings().author.review_policy == "auto"
    file = own_home / "guidealign.toml"
    file.write_text('[author]\nreview_policy = "human"\n')
    write_first_settings()
    assert load_settings().author.review_policy == "human"
