"""A training in two processes, as `torchrun` starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]


def in_two_processes(script: str, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """What each process has left in `RANK.pt` in the folder.

    Args:
        script: that both run.
        folder: in which it lies; the first of its arguments.
        arguments: the others.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    file = folder / "train.py"
    file.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [*command, str(file), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
