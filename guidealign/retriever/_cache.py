"""Exports made on demand: once a machine, by a process of its own, checked before they count."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from guidealign.errors import ConfigurationError, IntegrityError, PlatformError
from guidealign.library import encoder_folder
from guidealign.retriever._onnx import EXPORTER, read_description
from guidealign.retriever.encode import PROMPTS_FILE, own_prefixes
from guidealign.retriever.model import Prefixes
from guidealign.settings import RetrieverSettings

_SOURCES = (
    PROMPTS_FILE,
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "model.safetensors.index.json",
)
_EXPORT_TIMEOUT_S = 600.0


def set_prefixes(settings: RetrieverSettings) -> Prefixes | None:
    """What the settings put in front of texts, in place of the base's own; None: nothing else."""
    if settings.input_prefix is None and settings.guideline_prefix is None:
        return None
    own = own_prefixes(encoder_folder(settings.base_model))
    ours = (settings.input_prefix, settings.guideline_prefix)
    pairs = zip(ours, (own.input, own.guideline), strict=True)
    chosen = (theirs if mine is None else mine for mine, theirs in pairs)
    return Prefixes(*chosen)


def exported_base(
    base_model: str, *, cache: Path, max_length: int, prefixes: Prefixes | None = None
) -> Path:
    """The serving folder of an untrained encoder.

    Args:
        base_model: as in the settings.
        cache: where exports are kept.
        max_length: in tokens.
        prefixes: in place of the model's own; None: its own.

    Raises:
        ConfigurationError: it is not here and cannot be exported here.
        PlatformError: the cache cannot be written.
    """
    source = encoder_folder(base_model)
    return _exported(source, cache=cache, max_length=max_length, prefixes=prefixes)


def exported_folder(folder: Path, *, cache: Path, max_length: int) -> Path:
    """The serving folder of a model folder that holds none; raises as `exported_base` does."""
    return _exported(str(folder), cache=cache, max_length=max_length)


def _exported(
    source: str, *, cache: Path, max_length: int, prefixes: Prefixes | None = None
) -> Path:
    target = cache / _key(source, max_length, prefixes)
    if _is_whole(target):
        return target
    # What serves has its exports already, and starts without the platform's imports.
    from guidealign.platform import cache_lock

    with cache_lock(cache, target.name):
        if _is_whole(target):
            return target
        scratch = cache / f".{target.name}.{os.getpid()}"
        try:
            _export_apart(source, scratch, max_length, prefixes)
            read_description(scratch)
            shutil.rmtree(target, ignore_errors=True)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def _is_whole(folder: Path) -> bool:
    """What is damaged in a cache is made again."""
    try:
        read_description(folder)
    except IntegrityError:
        return False
    return True


def _key(source: str, max_length: int, prefixes: Prefixes | None) -> str:
    """Of a model's content where it is a folder, else of its name."""
    digest = hashlib.sha256(f"{EXPORTER}:{max_length}".encode())
    if prefixes is not None:
        digest.update(json.dumps(asdict(prefixes)).encode())
    folder = Path(source)
    if folder.is_dir():
        for file in (folder / name for name in _SOURCES):
            if file.is_file():
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
    else:
        digest.update(source.encode())
    return digest.hexdigest()[:32]


def _export_apart(source: str, target: Path, max_length: int, prefixes: Prefixes | None) -> None:
    """In a process of its own: torch is heavy, and stays out of the one that serves."""
    if find_spec("torch") is None:
        raise ConfigurationError(
            f"{source} has not been exported for serving and torch is not installed here: run"
            " `guidealign up` where it is, and share the folder GUIDEALIGN_PLATFORM__CACHE"
        )
    command = [sys.executable, "-m", "guidealign.retriever._export", source, str(target)]
    # The child runs the code that this process runs, wherever it was started.
    code = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([code, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [
                *command,
                str(max_length),
                *([] if prefixes is None else [*asdict(prefixes).values()]),
            ],
            check=False,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=_EXPORT_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise PlatformError(f"{source} was not exported in {_EXPORT_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ConfigurationError(f"{source} could not be exported for serving: {last[:300]}")
