"""Digests of model folders: what was registered is what is loaded, and nothing beside it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path, PurePosixPath

from guidealign.errors import IntegrityError

MANIFEST = "guidealign_manifest.json"
_MAY_BE = frozenset({
    ".gguf", ".jinja", ".json", ".md", ".model", ".npz", ".onnx", ".safetensors", ".txt",
})  # fmt: skip
"""Endings of files that cannot run code when they are loaded: weights, tables, texts."""
_BY_NAME = frozenset({"MLmodel"})
_DIGEST = re.compile(r"[0-9a-f]{64}")


def file_digest(file: Path) -> str:
    """SHA-256 (hex) of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path) -> str:
    """Writes the digests of all files beside them; returns the digest of the whole.

    Raises:
        IntegrityError: there is no file, or one of a kind that may run code when loaded.
    """
    files = {name: file_digest(folder / name) for name in _names_in(folder)}
    for name in files:
        _require_harmless(name)
    if not files:
        raise IntegrityError(f"{folder} holds no file: there is no model to register")
    content = json.dumps(files, indent=2, sort_keys=True)
    (folder / MANIFEST).write_text(content, encoding="utf-8")
    return hashlib.sha256(content.encode()).hexdigest()


def check_manifest(folder: Path, expected: str | None) -> None:
    """Compares a folder with its manifest, and the manifest with the registered digest.

    Raises:
        IntegrityError: something is missing, differs, is there beside what was registered, or is
            of a kind that may run code when loaded; or no digest was registered.
    """
    try:
        content = (folder / MANIFEST).read_text(encoding="utf-8")
        files = json.loads(content)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{folder} has no readable manifest") from error
    if expected is None or hashlib.sha256(content.encode()).hexdigest() != expected:
        raise IntegrityError(f"the manifest of {folder} is not the one that was registered")
    if not isinstance(files, dict) or not files:
        raise IntegrityError(f"the manifest of {folder} names no file")
    found = _names_in(folder)
    if beside := sorted(found - set(files)):
        raise IntegrityError(f"{folder / beside[0]} is there and was not registered")
    for name, digest in files.items():
        _require_harmless(name)
        if name not in found or not _is_digest_of(digest, folder / name):
            raise IntegrityError(f"{folder / name} is missing or differs from what was registered")


def _names_in(folder: Path) -> set[str]:
    """Every file below a folder but the manifest.

    Raises:
        IntegrityError: something is neither a file nor a folder; a link leads anywhere.
    """
    names = set()
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise IntegrityError(f"{path} is no plain file")
        if path.is_file():
            names.add(path.relative_to(folder).as_posix())
    return names - {MANIFEST}


def _require_harmless(name: str) -> None:
    path = PurePosixPath(name)
    if path.suffix not in _MAY_BE and path.name not in _BY_NAME:
        raise IntegrityError(
            f"{name} may run code when loaded: a model is made of safetensors, onnx and texts"
        )


def _is_digest_of(digest: object, file: Path) -> bool:
    is_one = isinstance(digest, str) and _DIGEST.fullmatch(digest) is not None
    return is_one and file_digest(file) == digest
