"""What a benchmark has asked for before, in a file that grows a line an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class KeptLines:
    """Values by keys of words; a run that was stopped goes on with what it has.

    Args:
        file: of JSON lines, each a key and its value; made when there is something to keep.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self._known = {tuple(key): value for key, value in map(json.loads, lines)}

    def __contains__(self, key: tuple[str, ...]) -> bool:
        return key in self._known

    def __getitem__(self, key: tuple[str, ...]) -> Any:
        return self._known[key]

    def __setitem__(self, key: tuple[str, ...], value: Any) -> None:
        self._known[key] = value
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps([key, value]) + "\n")
