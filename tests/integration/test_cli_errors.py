"""What a person sees when something is wrong: one line that says what to do, and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.fakes.model_server import serve_model, unused_base_url
from tests.fakes.program import run_program

ROOT = Path(__file__).resolve().parents[2]
NO_SERVER = "postgresql://nobody:secret-word@127.0.0.1:9/guidealign"


def says(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line on stderr, exit code 2, no traceback, nothing secret."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("guidealign: ")
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert "secret-word" not in done.stderr


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    file = tmp_path / "inputs.jsonl"
    file.write_text('{"text": "How do I bake bread?"}\n{"text": "And rolls?"}\n')
    return file


def _counts(engine: Engine) -> tuple[int, ...]:
    tables = ("inputs", "ingest_batches", "rejects", "assessments", "guidelines")
    with engine.connect() as connection:
        return tuple(
            connection.execute(text(f"select count(*) from core.{name}")).scalar_one()
            for name in tables
        )


@pytest.mark.parametrize("command", [("ingest",), ("run", "--inputs")])
def test_a_file_that_is_not_there(command: tuple[str, ...], tmp_path: Path) -> None:
    says(
        run_program(*command, str(tmp_path / "none.jsonl")),
        "none.jsonl is not a file",
        "check the path",
    )


@pytest.mark.parametrize("command", [("ingest",), ("run", "--inputs")])
def test_an_empty_file(command: tuple[str, ...], tmp_path: Path, database_url: str) -> None:
    file = tmp_path / "empty.jsonl"
    file.touch()
    says(run_program(*command, str(file), GUIDEALIGN_DATABASE_URL=database_url), "is empty")


@pytest.mark.parametrize("command", [("ingest",), ("run", "--inputs")])
def test_a_format_nobody_knows(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "inputs.docx"
    file.write_text("x")
    says(run_program(*command, str(file)), ".docx", "use jsonl, json, csv or parquet")


def test_no_database_yet(inputs: Path) -> None:
    says(run_program("ingest", str(inputs)), "guidealign up", "GUIDEALIGN_DATABASE_URL")


def test_the_database_is_down(inputs: Path) -> None:
    done = run_program("ingest", str(inputs), GUIDEALIGN_DATABASE_URL=NO_SERVER)
    says(done, "database does not answer", "guidealign status")


def test_airflow_is_down(inputs: Path) -> None:
    done = run_program(
        "run", "--inputs", str(inputs), GUIDEALIGN_AIRFLOW__BASE_URL="http://127.0.0.1:9"
    )
    says(done, "127.0.0.1:9", "guidealign up")


def test_a_setting_of_the_wrong_kind() -> None:
    done = run_program("status", GUIDEALIGN_AUTHOR__BATCH_SIZE="many")
    assert done.returncode in {1, 2}
    says(run_program("up", GUIDEALIGN_AUTHOR__BATCH_SIZE="many"), "GUIDEALIGN_AUTHOR__BATCH_SIZE")


def test_the_model_server_is_down(inputs: Path, engine: Engine, database_url: str) -> None:
    env = {
        "GUIDEALIGN_DATABASE_URL": database_url,
        "GUIDEALIGN_SAFETY__BASE_URL": unused_base_url(),
        "GUIDEALIGN_SAFETY__MAX_RETRIES": "0",
    }
    assert run_program("ingest", str(inputs), **env).returncode == 0
    before = _counts(engine)
    says(run_program("author", **env), "model server", "guidealign status")
    assert _counts(engine) == before


def test_the_model_returns_junk(inputs: Path, engine: Engine, database_url: str) -> None:
    with serve_model(lambda _: "I am a teapot.") as server:
        env = {
            "GUIDEALIGN_DATABASE_URL": database_url,
            "GUIDEALIGN_SAFETY__BASE_URL": server.base_url,
            "GUIDEALIGN_SAFETY__MODEL": "teapot",
            "GUIDEALIGN_AUTHOR__MAX_ATTEMPTS": "1",
        }
        assert run_program("ingest", str(inputs), **env).returncode == 0
        says(run_program("author", **env), "teapot", "any of 2 inputs", "author_dead_letters")
    n_inputs, _, n_rejects, n_assessments, n_guidelines = _counts(engine)
    assert (n_inputs, n_rejects, n_assessments, n_guidelines) == (2, 2, 0, 0)


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    for command in (("up",), ("run", "--quickstart")):
        done = run_program(*command, GUIDEALIGN_HOME=str(blocker / "home"))
        says(done, "cannot be written", "GUIDEALIGN_HOME")


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    done = run_program("up", GUIDEALIGN_PLATFORM__CACHE=str(blocker / "cache"))
    says(done, "cannot be written", "GUIDEALIGN_PLATFORM__CACHE")


@pytest.mark.parametrize("project", ["retriever", "labrador"])
def test_a_project_parameter_that_is_no_number(project: str) -> None:
    done = subprocess.run(
        [sys.executable, f"mlflow_projects/{project}/train.py", "--learning-rate", "quick"],
        env=os.environ | {"GUIDEALIGN_MLFLOW__TRACKING_URI": "http://127.0.0.1:9"},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    says(done, "not a number that fits", "quick")


def test_debug_shows_where_it_happened(tmp_path: Path) -> None:
    done = run_program("--debug", "ingest", str(tmp_path / "none.jsonl"))
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "BadInputError" in done.stderr


def test_a_gateway_without_an_upstream_names_no_address() -> None:
    done = run_program("serve", GUIDEALIGN_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    says(done, "no upstream", "serve.upstreams")
    assert done.stdout == ""
