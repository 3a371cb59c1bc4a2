"""Other people's servers and searches, each in an environment of its own, made once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from guidealign.settings import load_settings

_LONGEST_S = 1_200
_READY = "ready"
_LOCKS = Path(__file__).resolve().parents[1] / "locks"

console = Console(stderr=True)


def peer_folder(name: str) -> Path:
    """Where a peer keeps what it needs between runs."""
    folder = load_settings().platform.cache.expanduser() / "peers" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def peer_python(name: str, *, shared: bool = False) -> Path | None:
    """The interpreter of an environment that holds a peer; None, with a printed reason, if none.

    Args:
        name: of its lock in `benchmarks/locks`; another lock than last time makes it anew.
        shared: it sees this environment's packages behind its own (torch is large). Its lock holds
            what those load in this environment's versions.
    """
    lock = _LOCKS / f"{name}.lock"
    wanted = lock.read_text(encoding="utf-8") + str(shared)
    folder = peer_folder(name) / "venv"
    python, mark = folder / "bin" / "python", folder / _READY
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    console.print(f"peers: installing {name}", highlight=False)
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "sync", "--quiet", "--python", str(python), str(lock)],
    ):
        problem = _uv(command)
        if problem:
            console.print(f"peers: {name} cannot be installed: {problem}", highlight=False)
            return None
    if shared:
        own = next((folder / "lib").glob("python*/site-packages"))
        # Read last of all: its own packages come first.
        (own / "zz_project.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    mark.write_text(wanted, encoding="utf-8")
    return python


def _uv(arguments: Sequence[str]) -> str | None:
    """What went wrong, in short."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "uv", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:300]
    return None if done.returncode == 0 else done.stderr.strip()[-300:] or "uv failed"
