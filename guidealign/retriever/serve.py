"""The encoder as it serves: onnxruntime and tokenizers, no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from guidealign.errors import IntegrityError
from guidealign.guidance import ReleaseGuidance, RiskProbe, Side, TopicThresholds
from guidealign.records import RETRIEVER_MODEL, UNTRAINED_VERSION, Release
from guidealign.registry import Registry
from guidealign.retriever._cache import exported_base, exported_folder, set_prefixes
from guidealign.retriever._onnx import (
    GRAPH_FILE,
    TOKENIZER_FILE,
    Form,
    ServingDescription,
    read_description,
)
from guidealign.retriever.model import Prefixes
from guidealign.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SERVING_FOLDER = "serving"
_TOKENS_PER_BATCH = 1_024
"""Padding included: more does not fit the caches of a core and takes longer a text."""
_MOST_THREADS = 4
"""One query is too little work for more."""


class ServingEncoder:
    """A retriever version ready to serve; safe to call from several threads."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """Loads and checks a serving folder.

        Args:
            folder: with graph, tokenizer and description.
            threads: of one inference; None: as many as there are cores, at most 4.

        Raises:
            IntegrityError: a file is missing, altered, or not what onnxruntime can run.
        """
        self._about: ServingDescription = read_description(folder)
        self._session = _session(folder / GRAPH_FILE, threads or _threads())
        self._tokenizer = _tokenizer(folder / TOKENIZER_FILE, self._about.max_length)
        self._prefixes = Prefixes(self._about.input_prefix, self._about.guideline_prefix)
        self._thresholds = _thresholds(self._about)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._about.dimensions

    @property
    def thresholds(self) -> TopicThresholds:
        """What this version was calibrated to."""
        return self._thresholds

    @property
    def form(self) -> Form:
        """The arithmetic that both sides of this version are encoded with."""
        return self._about.form

    def encode(self, texts: Sequence[str], *, side: Side) -> NDArray[np.float32]:
        """L2-normalised vectors, (len(texts), dimensions); one graph serves both sides.

        A text's vector does not depend on the others it is encoded with, beyond rounding.
        """
        import numpy as np

        read = self._prefixes.put(texts, side)
        if len(read) == 1:
            return self._run([self._tokenizer.encode(read[0]).ids])
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(read)]
        result = np.zeros((len(tokens), self.dimensions), dtype=np.float32)
        for chosen in _batches([len(ids) for ids in tokens]):
            result[chosen] = self._run([tokens[i] for i in chosen])
        return result

    def _run(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        import numpy as np

        longest = max(len(ids) for ids in tokens)
        ids = np.full((len(tokens), longest), self._about.pad_id, dtype=np.int64)
        mask = np.zeros((len(tokens), longest), dtype=np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        vectors: NDArray[np.float32] = self._session.run(
            None, {"input_ids": ids, "attention_mask": mask}
        )[0]
        return vectors


def _thresholds(about: ServingDescription) -> TopicThresholds:
    probe = None
    if about.risk_threshold is not None:
        probe = RiskProbe(tuple(about.risk_weights), about.risk_bias)
    return TopicThresholds(
        rule=about.topic_rule or ("cosine" if probe is None else "risk"),
        risk=about.risk_threshold,
        cosine=about.threshold,
        quality=about.quality_threshold,
        probe=probe,
    )


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions, short texts first, in batches that pad little and fit the budget."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > _TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _threads() -> int:
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))


def _session(file: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between queries take the cores from the database that answers next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no common root
        raise IntegrityError(
            f"{file} is no graph that onnxruntime {onnxruntime.__version__} can run: register"
            " the retriever again"
        ) from error


def _tokenizer(file: Path, max_length: int) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare exceptions
        raise IntegrityError(f"{file} is no tokenizer that can be loaded") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def load_serving_encoder(version: int, *, settings: Settings, registry: Registry) -> ServingEncoder:
    """The encoder of a registered version, loaded once a process; 0 is the untrained base.

    Neither torch nor transformers is imported. The base, and versions registered before there
    was a serving form, are exported into the cache on first use, by a process of its own.

    Raises:
        IntegrityError: the files are not the registered ones.
        ConfigurationError: an export is needed and cannot be made here.
        ServiceUnavailableError: there is no copy here and the registry does not answer.
    """
    return _loaded(str(_folder(version, settings, registry)))


def load_guidance(
    release: Release, *, engine: Engine, settings: Settings, registry: Registry
) -> ReleaseGuidance:
    """The guidance engine under one release, for work that is no request.

    Raises:
        IntegrityError: nothing of the release's library is embedded under its retriever.
        ServiceUnavailableError: the database or the registry does not answer.
    """
    return ReleaseGuidance.load(
        release,
        engine=engine,
        load=partial(load_serving_encoder, settings=settings, registry=registry),
        exact_up_to=settings.serve.exact_up_to,
    )


def prepare_base(settings: Settings) -> Path:
    """Exports the untrained base where this machine has not: a gateway without torch finds it.

    The folder has `model.onnx` and its tokenizer.

    Raises:
        ConfigurationError: it cannot be exported here.
        PlatformError: the cache cannot be written.
    """
    return _base_folder(
        settings.retriever.base_model, *_bounds(settings), set_prefixes(settings.retriever)
    )


@lru_cache(maxsize=3)
def _loaded(folder: str) -> ServingEncoder:
    return ServingEncoder(Path(folder))


def _folder(version: int, settings: Settings, registry: Registry) -> Path:
    if version == UNTRAINED_VERSION:
        return prepare_base(settings)
    return _version_folder(registry, version, *_bounds(settings))


def _bounds(settings: Settings) -> tuple[str, int]:
    """Where exports are kept, and how many tokens of a text they read."""
    return str(settings.platform.cache.expanduser() / "encoders"), settings.retriever.max_length


@lru_cache(maxsize=8)
def _base_folder(base_model: str, cache: str, max_length: int, prefixes: Prefixes | None) -> Path:
    return exported_base(base_model, cache=Path(cache), max_length=max_length, prefixes=prefixes)


@lru_cache(maxsize=8)
def _version_folder(registry: Registry, version: int, cache: str, max_length: int) -> Path:
    package = registry.local_copy(RETRIEVER_MODEL, version)
    if package is None:
        package = registry.download(RETRIEVER_MODEL, version)
    if (package / SERVING_FOLDER).is_dir():
        return package / SERVING_FOLDER
    return exported_folder(package, cache=Path(cache), max_length=max_length)
