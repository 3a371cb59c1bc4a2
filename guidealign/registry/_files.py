"""Digests of model folders: what was registered is what is loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from guidealign.errors import IntegrityError

MANIFEST = "guidealign_manifest.json"
_NEVER = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".ckpt"}
"""Endings of files that can run code when they are loaded."""


def file_digest(file: Path) -> str:
    """SHA-256 (hex) of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path) -> str:
    """Writes the digests of all files beside them; returns the digest of the whole.

    Raises:
        IntegrityError: a file could run code when loaded, such as a pickle.
    """
    files = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        if name == MANIFEST:
            continue
        if file.suffix in _NEVER:
            raise IntegrityError(f"{name} may run code when loaded: register safetensors instead")
        files[name] = file_digest(file)
    content = json.dumps(files, indent=2, sort_keys=True)
    (folder / MANIFEST).write_text(content, encoding="utf-8")
    return hashlib.sha256(content.encode()).hexdigest()


def check_manifest(folder: Path, expected: str | None) -> None:
    """Compares a folder with its manifest, and the manifest with the registered digest.

    Raises:
        IntegrityError: something is missing or differs.
    """
    try:
        content = (folder / MANIFEST).read_text(encoding="utf-8")
        files = json.loads(content)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{folder} has no readable manifest") from error
    if expected is not None and hashlib.sha256(content.encode()).hexdigest() != expected:
        raise IntegrityError(f"the manifest of {folder} is not the one that was registered")
    for name, digest in files.items():
        file = folder / name
        if not file.is_file() or file_digest(file) != digest:
            raise IntegrityError(f"{file} is missing or differs from what was registered")
