"""Other people's servers and searches, each in an environment of its own, made once and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from guidealign.settings import load_settings

_LONGEST_S = 1_200
_READY = "ready"
_SHARED = ("numpy", "safetensors", "tokenizers", "tqdm", "typing-extensions")
"""What torch and transformers load, and peers bring too, in versions that both accept."""

console = Console(stderr=True)


def peer_folder(name: str) -> Path:
    """Where a peer keeps what it needs between runs."""
    folder = load_settings().platform.cache.expanduser() / "peers" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def peer_python(name: str, requirements: Sequence[str], *, shared: bool = False) -> Path | None:
    """The interpreter of an environment that holds a peer; None, with a printed reason, if none.

    Args:
        name: of the peer.
        requirements: with versions; others than last time make the environment anew.
        shared: it sees this project's packages behind its own (torch is large); what those load
            is installed in this project's version.
    """
    wanted = hashlib.sha256("\n".join([*sorted(requirements), str(shared)]).encode()).hexdigest()
    pins = [f"{package}=={version(package)}" for package in _SHARED] if shared else []
    folder = peer_folder(name) / "venv"
    python, mark = folder / "bin" / "python", folder / _READY
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    console.print(f"peers: installing {', '.join(requirements)}", highlight=False)
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--python", str(python), *requirements, *pins],
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
