"""The house rules that no linter knows: faces, sizes, and what may be imported where."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "guidealign"
SOURCES = sorted(
    [*PACKAGE.rglob("*.py"), *(ROOT / "dags").glob("*.py"), *(ROOT / "plugins").rglob("*.py")]
)
ROOMS = (
    "db", "llm", "registry", "platform", "ingest", "authoring", "library", "guidance", "retriever",
    "alignment", "labrador", "evaluation", "promotion", "serving", "replay",
)  # fmt: skip
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("room", ROOMS)
def test_face_of_a_room_is_sorted_and_complete(room: str) -> None:
    module = importlib.import_module(f"guidealign.{room}")
    # Ruff's order: constants, then classes, then functions, each sorted.
    assert list(module.__all__) == sorted(
        module.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)
    )
    assert all(hasattr(module, name) for name in module.__all__)
    assert module.__doc__


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_files_and_functions_stay_readable(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    # The tables of one schema are read together.
    if path.name != "tables.py":
        assert len(source.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_rooms_are_entered_by_their_face(path: Path) -> None:
    own = path.relative_to(ROOT).parts[1] if path.is_relative_to(PACKAGE) else None
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] == "guidealign" and len(parts) > 2 and parts[1] != own:
            # The tables are the one exception: migrations and tests read them.
            assert parts[1] not in ROOMS, f"{name} is behind the face of a room"


def test_importing_every_room_brings_in_nothing_heavy() -> None:
    code = "import sys\n" + "\n".join(f"import guidealign.{room}" for room in ROOMS)
    code += "\nprint(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    heavy = {
        "torch",
        "transformers",
        "sentence_transformers",
        "mlflow",
        "openai",
        "peft",
        "airflow",
    }
    assert not heavy & set(done.stdout.split())
