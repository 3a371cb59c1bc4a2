"""The last good release on disk: what a gateway serves that starts while the database is away."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidealign.errors import IntegrityError
from guidealign.guidance.snapshot import Overlay, Snapshot, Texts
from guidealign.records import GuidancePolicy, Release

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CURRENT = "current.json"
_VECTORS, _GUIDELINES = "vectors.npy", "guidelines.json"
_FORMAT = 3
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading a file raises that somebody else has written."""


def save(
    folder: Path, release: Release, texts: Texts, vectors: NDArray[np.float32], overlay: Overlay
) -> Path:
    """Writes a release, whole or not at all, and makes it the last good one.

    Older ones are removed; who has mapped their vectors keeps them.

    Returns:
        The file of the vectors.

    Raises:
        OSError: the folder cannot be written.
    """
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = json.dumps(_packed(release, texts), ensure_ascii=False).encode()
    name = f"{_prefix(release)}{hashlib.sha256(content).hexdigest()[:16]}"
    target = folder / name
    if not target.is_dir():
        scratch = folder / f".{name}.{os.getpid()}"
        scratch.mkdir(exist_ok=True)
        (scratch / _GUIDELINES).write_bytes(content)
        np.save(scratch / _VECTORS, vectors)
        try:
            scratch.rename(target)
        except OSError:
            # Another process of this gateway was first.
            shutil.rmtree(scratch, ignore_errors=True)
    digests = {f: _digest(target / f) for f in (_GUIDELINES, _VECTORS)}
    _point(folder, {"name": name, "digests": digests}, overlay)
    for other in folder.glob("release-*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)
    return target / _VECTORS


def update(folder: Path, release: Release, overlay: Overlay) -> None:
    """Writes what was decided since about the last good release, where it is the one given.

    Raises:
        OSError: the folder cannot be read or written; the others of `UNREADABLE`: the file there
            is none of ours.
    """
    known = json.loads((folder / _CURRENT).read_text(encoding="utf-8"))
    if known["name"].startswith(_prefix(release)):
        _point(folder, known, overlay)


def _prefix(release: Release) -> str:
    return f"release-{release.release_id}-"


def _point(folder: Path, known: dict[str, Any], overlay: Overlay) -> None:
    """Makes a release the last good one, in one step."""
    decided = {name: sorted(values) for name, values in asdict(overlay).items()}
    scratch = folder / f".{_CURRENT}.{os.getpid()}"
    scratch.write_text(json.dumps(known | {"overlay": decided}), encoding="utf-8")
    scratch.replace(folder / _CURRENT)


def load(folder: Path, *, exact_up_to: int) -> Snapshot | None:
    """The last good release; None: there is none yet.

    Raises:
        IntegrityError: its files are not those that were written.
    """
    import numpy as np

    pointer = folder / _CURRENT
    if not pointer.exists():
        return None
    try:
        known = json.loads(pointer.read_text(encoding="utf-8"))
        place = folder / known["name"]
        if any(_digest(place / file) != digest for file, digest in known["digests"].items()):
            raise IntegrityError(f"{place} has changed since it was written: remove it")
        packed = json.loads((place / _GUIDELINES).read_text(encoding="utf-8"))
        vectors = np.load(place / _VECTORS, mmap_mode="r")
        if packed["format"] != _FORMAT:
            return None
        decided = known["overlay"]
        overlay = Overlay(
            retired=frozenset(decided["retired"]),
            conflicts=frozenset((a, b) for a, b in decided["conflicts"]),
            proven_for=frozenset(decided["proven_for"]),
        )
    except UNREADABLE as error:
        raise IntegrityError(f"{folder} holds no release that can be read: remove it") from error
    return held(
        Release(**packed["release"] | {"policy": GuidancePolicy(**packed["release"]["policy"])}),
        Texts(
            ids=np.asarray(packed["ids"], dtype=np.int64),
            titles=tuple(packed["titles"]),
            texts=tuple(packed["texts"]),
            categories=tuple(packed["categories"]),
        ),
        vectors,
        overlay,
        exact_up_to=exact_up_to,
    )


def held(
    release: Release,
    texts: Texts,
    vectors: NDArray[np.float32],
    overlay: Overlay,
    *,
    exact_up_to: int,
) -> Snapshot:
    """A snapshot with the vectors of a small library in memory, of a large one as they are."""
    import numpy as np

    in_memory = len(texts.ids) <= exact_up_to
    if in_memory:
        vectors = np.ascontiguousarray(vectors)
    return Snapshot(
        release=release, guidelines=texts, vectors=vectors, in_memory=in_memory, overlay=overlay
    )


def mapped(file: Path) -> NDArray[np.float32]:
    """Vectors that stay on disk until they are compared."""
    import numpy as np

    vectors: NDArray[np.float32] = np.load(file, mmap_mode="r")
    return vectors


def _packed(release: Release, texts: Texts) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "release": asdict(release),
        "ids": texts.ids.tolist(),
        "titles": texts.titles,
        "texts": texts.texts,
        "categories": texts.categories,
    }


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
