"""Copies of model versions in the home folder, each beside the digest that it was checked with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from guidealign.registry._files import check_manifest
from guidealign.settings import home_folder


def copy_folder(tracking_uri: str, model_name: str, version: int) -> Path:
    """Where the copy of a version is kept."""
    server = tracking_uri.partition("://")[2].replace("/", "_").replace(":", "_")
    return home_folder() / "cache" / "models" / server / model_name / str(version)


def keep_copy(folder: Path, target: Path, manifest: str) -> None:
    """Keeps a folder's files: hard links where they can be made, as a model is some gigabytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(folder, scratch, copy_function=_link_or_copy)
    # What lies there under a new number is left from a server that is no more.
    place_copy(scratch, target, manifest)


def place_copy(folder: Path, target: Path, manifest: str) -> None:
    """Moves a checked folder to where copies are kept."""
    _digest_file(target).unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)
    _digest_file(target).write_text(manifest, encoding="utf-8")


def checked_copy(target: Path) -> Path | None:
    """A copy that is what it was when it was kept; None: there is none.

    Raises:
        IntegrityError: the copy is not what was registered.
    """
    try:
        expected = _digest_file(target).read_text(encoding="utf-8")
    except OSError:
        return None
    if not target.exists():
        return None
    check_manifest(target, expected)
    return target


def _digest_file(folder: Path) -> Path:
    """Where the registered digest of a local copy is kept: beside it, not in it."""
    return folder.with_name(f".{folder.name}.manifest_sha256")


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
