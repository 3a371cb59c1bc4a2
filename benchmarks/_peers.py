"""Other people's servers, each in an environment of its own, made once and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from guidealign.settings import load_settings

_LONGEST_S = 1_200
_READY = "ready"

console = Console(stderr=True)


def peer_folder(name: str) -> Path:
    """Where a peer keeps what it needs between runs."""
    folder = load_settings().platform.cache.expanduser() / "peers" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def peer_python(name: str, requirements: Sequence[str]) -> Path | None:
    """The interpreter of an environment that holds a peer; None, with a printed reason, if none.

    Args:
        name: of the peer.
        requirements: with versions; others than last time make the environment anew.
    """
    wanted = hashlib.sha256("\n".join(sorted(requirements)).encode()).hexdigest()
    folder = peer_folder(name) / "venv"
    python, mark = folder / "bin" / "python", folder / _READY
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    console.print(f"peers: installing {', '.join(requirements)}", highlight=False)
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--python", str(python), *requirements],
    ):
        problem = _uv(command)
        if problem:
            console.print(f"peers: {name} cannot be installed: {problem}", highlight=False)
            return None
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
